// Texts, prices and dimensions that no row refers to any more. Nothing points from them to their users, so all rows are
// walked once, in pieces, marking what they refer to; what was in use since is marked by the dictionary itself.
import type { Database } from "better-sqlite3";
import type { Dictionary } from "./dictionary.ts";

const ROWS_MAX = 2_000;

type Kind = "texts" | "rates" | "dimensions";

/** Every column that refers to one of the three, by the table it is in. */
const REFERENCES: { table: string; key: string[]; columns: Record<string, Kind> }[] = [
  {
    table: "attempt_rows",
    key: ["request_id", "attempt"],
    columns: {
      dimension: "dimensions",
      catalog: "texts",
      price_status: "texts",
      rates: "rates",
      error_kind: "texts",
      end_reason: "texts",
      finish_reason: "texts",
      account: "texts",
    },
  },
  {
    table: "request_rows",
    key: ["request_id"],
    columns: {
      dimension: "dimensions",
      endpoint: "texts",
      model_requested: "texts",
      error_kind: "texts",
      story: "texts",
      snapshot: "texts",
      warnings: "texts",
      app: "texts",
    },
  },
  ...["rollup_minutes", "rollup_hours", "rollup_days"].map((table) => {
    const columns: Record<string, Kind> = { dimension: "dimensions" };
    return { table, key: ["bucket", "dimension"], columns };
  }),
];

/** Ids that are referred to, up to the largest there was when the walk began; later ones are not swept this time. */
export class Marks {
  readonly maxId: number;
  readonly #bits: Uint8Array;

  constructor(maxId: number) {
    this.maxId = maxId;
    this.#bits = new Uint8Array(Math.floor(maxId / 8) + 1);
  }

  add(id: number): void {
    if (id <= this.maxId) this.#bits[id >> 3] = (this.#bits[id >> 3] ?? 0) | (1 << (id & 7));
  }

  has(id: number): boolean {
    return id > this.maxId || ((this.#bits[id >> 3] ?? 0) & (1 << (id & 7))) !== 0;
  }
}

export type MarksByKind = Record<Kind, Marks>;

/** Answers with how many were removed. */
export function* sweep(db: Database, words: Dictionary): Generator<void, number> {
  const marks: MarksByKind = {
    texts: marksOf(db, "texts"),
    rates: marksOf(db, "rates"),
    dimensions: marksOf(db, "dimensions"),
  };
  words.markIn(marks);
  try {
    for (const reference of REFERENCES) yield* mark(db, reference, marks);
    let removed = 0;
    for (const kind of ["texts", "rates", "dimensions"] as const)
      removed += yield* remove(db, words, kind, marks[kind]);
    return removed;
  } finally {
    words.markIn(undefined);
  }
}

function marksOf(db: Database, kind: Kind): Marks {
  return new Marks(Number(db.prepare(`SELECT coalesce(max(id), 0) FROM ${kind}`).pluck().get()));
}

function* mark(
  db: Database,
  { table, key, columns }: (typeof REFERENCES)[number],
  marks: MarksByKind,
): Generator<void> {
  const kinds = Object.values(columns);
  const keys = key.join(", ");
  const read = (where: string) =>
    db
      .prepare(`SELECT ${[...key, ...Object.keys(columns)].join(", ")} FROM ${table} ${where}
      ORDER BY ${keys} LIMIT ${ROWS_MAX}`)
      .raw();
  const first = read("");
  const next = read(`WHERE (${keys}) > (${key.map(() => "?").join(", ")})`);
  for (let rows = first.all() as unknown[][]; rows.length > 0; ) {
    for (const row of rows) {
      for (const [index, kind] of kinds.entries()) {
        const id = row[key.length + index];
        if (typeof id === "number") marks[kind].add(id);
      }
    }
    yield;
    rows = next.all(...(rows.at(-1) ?? []).slice(0, key.length)) as unknown[][];
  }
}

interface Row {
  id: number;
  /** Of prices; else "". */
  key: string;
}

function* remove(db: Database, words: Dictionary, kind: Kind, marks: Marks): Generator<void, number> {
  const key = kind === "rates" ? "key" : "''";
  const read = db.prepare(
    `SELECT id, ${key} AS key FROM ${kind} WHERE id > ? AND id <= ${marks.maxId} ORDER BY id LIMIT ${ROWS_MAX}`,
  );
  const write = db.prepare(`DELETE FROM ${kind} WHERE id = ?`);
  const removeNext = db.transaction((rows: Row[]) => {
    const unused = rows.filter(({ id, key }) => !marks.has(id) && !words.areRatesInUse(key));
    for (const { id } of unused) write.run(id);
    return unused.length;
  });
  let removed = 0;
  for (let rows = read.all(0) as Row[]; rows.length > 0; rows = read.all(rows.at(-1)?.id) as Row[]) {
    const count = removeNext.immediate(rows);
    // The dictionary may remember one of them.
    if (count > 0) words.forget();
    removed += count;
    yield;
  }
  return removed;
}
