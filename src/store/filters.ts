// Which part of the ledger a report is about: patterns on the dimensions rows are kept by, as SQL.

/** Each a list of patterns of which one has to match; `*` stands for any characters. Absent: everything. */
export interface UsageFilters {
  /** Name or id of a caller's key. */
  key?: readonly string[] | undefined;
  team?: readonly string[] | undefined;
  organisation?: readonly string[] | undefined;
  tag?: readonly string[] | undefined;
  /** The model as the provider calls it, or "provider/model". */
  model?: readonly string[] | undefined;
  provider?: readonly string[] | undefined;
  rule?: readonly string[] | undefined;
}

export interface Sql {
  sql: string;
  values: string[];
}

/** A condition on `d`, a row of `dimensions`, for each filter. */
const MATCHES: Record<keyof UsageFilters, string> = {
  key: "(d.key GLOB ?1 OR d.key_id GLOB ?1)",
  team: "d.team GLOB ?1",
  organisation: "d.organisation GLOB ?1",
  tag: "EXISTS (SELECT 1 FROM json_each(d.tags) g WHERE g.value GLOB ?1)",
  model: "(d.model GLOB ?1 OR d.provider || '/' || d.model GLOB ?1)",
  provider: "d.provider GLOB ?1",
  rule: "d.rule GLOB ?1",
};

const OF_ATTEMPTS = ["model", "provider", "rule"] as const;

/** Model, provider and rule belong to attempts: what is asked about them is not answered by whole requests. */
export function isAboutAttempts(filters: UsageFilters): boolean {
  return OF_ATTEMPTS.some((name) => filters[name] !== undefined);
}

/** The ids of matching dimensions; `undefined` when all match. */
export function dimensionsWhere(filters: UsageFilters): Sql | undefined {
  const values: string[] = [];
  const conditions: string[] = [];
  for (const [name, condition] of Object.entries(MATCHES)) {
    const patterns = filters[name as keyof UsageFilters];
    if (patterns === undefined) continue;
    const each = patterns.map((pattern) => {
      const places = condition.split("?1").length - 1;
      for (let place = 0; place < places; place += 1) values.push(globOf(pattern));
      return condition.replaceAll("?1", "?");
    });
    conditions.push(`(${each.join(" OR ") || "0"})`);
  }
  if (conditions.length === 0) return undefined;
  return { sql: `SELECT d.id FROM dimensions d WHERE ${conditions.join(" AND ")}`, values };
}

/** SQLite's GLOB knows more than `*`: its other signs stand for themselves here, as in rules. */
export function globOf(pattern: string): string {
  return pattern.replaceAll(/[?[]/g, "[$&]");
}
