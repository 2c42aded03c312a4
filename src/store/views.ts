// The two views through which the ledger is read row by row, typed. migrations/ is what creates them; a test holds the two
// together.
import type { Database } from "better-sqlite3";

interface Column<T> {
  name: string;
  read(value: unknown): T;
}

type Row<Columns> = { [Field in keyof Columns]: Columns[Field] extends Column<infer T> ? T : never };

/** What SQLite gives is what was put in. */
function as<T>() {
  return (name: string): Column<T> => ({ name, read: (value) => value as T });
}

const text = as<string>();
const integer = as<number>();
const textOrNull = as<string | null>();
const integerOrNull = as<number | null>();

function boolean(name: string): Column<boolean> {
  return { name, read: (value) => value !== 0 };
}

function json<T>(name: string): Column<T> {
  return { name, read: (value) => (value === null ? null : JSON.parse(value as string)) as T };
}

interface View<R> {
  name: string;
  /** As the database calls them. */
  columns: string[];
  /** `rest`: what follows the name of the view in SQL. */
  select(db: Database, rest: string, ...values: (string | number)[]): R[];
}

function view<Columns extends Record<string, Column<unknown>>>(name: string, columns: Columns): View<Row<Columns>> {
  const fields = Object.entries(columns);
  const names = fields.map(([, column]) => column.name);
  const read = (row: Record<string, unknown>) => {
    return Object.fromEntries(fields.map(([field, column]) => [field, column.read(row[column.name])])) as Row<Columns>;
  };
  return {
    name,
    columns: names,
    select: (db, rest, ...values) => {
      const rows = db.prepare(`SELECT ${names.join(", ")} FROM ${name} ${rest}`).all(...values);
      return (rows as Record<string, unknown>[]).map(read);
    },
  };
}

/** One row for each call of a provider. */
export const attempts = view("attempts", {
  requestId: text("request_id"),
  attempt: integer("attempt"),
  state: as<"open" | "settled" | "unknown">()("state"),
  key: text("key"),
  keyId: text("key_id"),
  team: text("team"),
  organisation: text("organisation"),
  tags: json<string[]>("tags"),
  rule: text("rule"),
  provider: text("provider"),
  model: text("model"),
  openedAtMs: integer("opened_at_ms"),
  catalogVersion: text("catalog_version"),
  endedAtMs: integerOrNull("ended_at_ms"),
  firstByteMs: integerOrNull("first_byte_ms"),
  inputTokens: integerOrNull("input_tokens"),
  cacheReadTokens: integerOrNull("cache_read_tokens"),
  cacheWriteTokens: integerOrNull("cache_write_tokens"),
  cacheWrite1hTokens: integerOrNull("cache_write_1h_tokens"),
  outputTokens: integerOrNull("output_tokens"),
  reasoningTokens: integerOrNull("reasoning_tokens"),
  audioInputTokens: integerOrNull("audio_input_tokens"),
  audioOutputTokens: integerOrNull("audio_output_tokens"),
  usageMore: json<Record<string, unknown> | null>("usage_more"),
  costNanoUsd: integerOrNull("cost_nano_usd"),
  estimatedNanoUsd: integerOrNull("estimated_nano_usd"),
  reservedNanoUsd: integerOrNull("reserved_nano_usd"),
  priceStatus: textOrNull("price_status"),
  rates: textOrNull("rates"),
  httpStatus: integerOrNull("http_status"),
  errorKind: textOrNull("error_kind"),
  endReason: as<"complete" | "truncated" | "cancelled" | "failed" | null>()("end_reason"),
  finishReason: textOrNull("finish_reason"),
  upstreamRequestId: textOrNull("upstream_request_id"),
  account: textOrNull("account"),
});

/** One row for each request that has ended. */
export const requests = view("requests", {
  requestId: text("request_id"),
  receivedAtMs: integer("received_at_ms"),
  endedAtMs: integer("ended_at_ms"),
  callerKey: text("caller_key"),
  keyId: text("key_id"),
  team: text("team"),
  organisation: text("organisation"),
  tags: json<string[]>("tags"),
  endpoint: text("endpoint"),
  modelRequested: text("model_requested"),
  stream: boolean("stream"),
  status: integer("status"),
  errorKind: textOrNull("error_kind"),
  attempts: integer("attempts"),
  /** See story.ts. */
  story: text("story"),
  figures: text("figures"),
  snapshotId: text("snapshot_id"),
  warnings: json<string[]>("warnings"),
  queuedMs: integerOrNull("queued_ms"),
  user: textOrNull("caller_user"),
  app: textOrNull("app"),
  session: textOrNull("session"),
  bodyHash: as<Buffer | null>()("body_hash"),
});

export type AttemptView = ReturnType<typeof attempts.select>[number];
export type RequestView = ReturnType<typeof requests.select>[number];
