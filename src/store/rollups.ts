// Sums by minute, hour and day, kept in the transaction that books the rows they are of.
import type { Database, Statement } from "better-sqlite3";

/** The summed columns, in the order of the tables. */
export const SUMS = [
  "requests",
  "failed_requests",
  "attempts",
  "failed_attempts",
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "output_tokens",
  "reasoning_tokens",
  "cost_nano_usd",
  "estimated_nano_usd",
  "unpriced_attempts",
  "unknown_attempts",
] as const;

export type Sums = Partial<Record<(typeof SUMS)[number], number>>;

export const ROLLUPS = [
  { table: "rollup_minutes", bucketMs: 60_000 },
  { table: "rollup_hours", bucketMs: 3_600_000 },
  { table: "rollup_days", bucketMs: 86_400_000 },
] as const;

interface Counted {
  bucket: number;
  dimension: number;
  /** BigInt where two sums of a batch are together more than a number holds. */
  sums: (number | bigint)[];
}

/** What one transaction adds. */
export class RollupBatch {
  readonly #upserts: Statement[];
  /** One for each rollup. */
  readonly #counted: Map<string, Counted>[] = ROLLUPS.map(() => new Map());

  constructor(db: Database) {
    this.#upserts = ROLLUPS.map(({ table }) => db.prepare(upsertOf(table)));
  }

  /** `atMs`: when the attempt was opened, or the request received. */
  add(atMs: number, dimension: number, sums: Sums): void {
    for (const [index, { bucketMs }] of ROLLUPS.entries()) {
      const counted = this.#counted[index] as Map<string, Counted>;
      const bucket = Math.floor(atMs / bucketMs);
      const key = `${bucket}:${dimension}`;
      let entry = counted.get(key);
      if (entry === undefined) {
        entry = { bucket, dimension, sums: SUMS.map(() => 0) };
        counted.set(key, entry);
      }
      for (const [column, name] of SUMS.entries()) {
        const more = sums[name];
        if (more !== undefined && more !== 0) entry.sums[column] = plus(entry.sums[column] ?? 0, more);
      }
    }
  }

  /** Writes what was added. To be called inside the transaction. */
  flush(): void {
    for (const [index, counted] of this.#counted.entries()) {
      for (const { bucket, dimension, sums } of counted.values()) {
        this.#upserts[index]?.run(bucket, dimension, ...sums.map(BigInt));
      }
      counted.clear();
    }
  }

  /** After a transaction that was rolled back. */
  forget(): void {
    for (const counted of this.#counted) counted.clear();
  }
}

function plus(sum: number | bigint, more: number): number | bigint {
  const next = typeof sum === "number" ? sum + more : Number.NaN;
  return Number.isSafeInteger(next) ? next : BigInt(sum) + BigInt(more);
}

function upsertOf(table: string): string {
  const added = SUMS.map((name) => `${name} = ${name} + excluded.${name}`).join(", ");
  return `INSERT INTO ${table} (bucket, dimension, ${SUMS.join(", ")}) VALUES (?, ?, ${SUMS.map(() => "?").join(", ")})
    ON CONFLICT (bucket, dimension) DO UPDATE SET ${added}`;
}
