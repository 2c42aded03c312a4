// The tables and views as drizzle sees them, for queries. migrations/ is what creates them; a test holds the two together.
import { blob, integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

/** A view: one row for each call of a provider. */
export const attempts = sqliteTable("attempts", {
  requestId: text("request_id").notNull(),
  attempt: integer("attempt").notNull(),
  state: text("state", { enum: ["open", "settled", "unknown"] }).notNull(),
  key: text("key").notNull(),
  keyId: text("key_id").notNull(),
  team: text("team").notNull(),
  organisation: text("organisation").notNull(),
  tags: text("tags", { mode: "json" }).$type<string[]>().notNull(),
  rule: text("rule").notNull(),
  provider: text("provider").notNull(),
  model: text("model").notNull(),
  openedAtMs: integer("opened_at_ms").notNull(),
  catalogVersion: text("catalog_version").notNull(),
  endedAtMs: integer("ended_at_ms"),
  firstByteMs: integer("first_byte_ms"),
  inputTokens: integer("input_tokens"),
  cacheReadTokens: integer("cache_read_tokens"),
  cacheWriteTokens: integer("cache_write_tokens"),
  cacheWrite1hTokens: integer("cache_write_1h_tokens"),
  outputTokens: integer("output_tokens"),
  reasoningTokens: integer("reasoning_tokens"),
  audioInputTokens: integer("audio_input_tokens"),
  audioOutputTokens: integer("audio_output_tokens"),
  usageMore: text("usage_more", { mode: "json" }).$type<Record<string, unknown>>(),
  costNanoUsd: integer("cost_nano_usd"),
  estimatedNanoUsd: integer("estimated_nano_usd"),
  reservedNanoUsd: integer("reserved_nano_usd"),
  priceStatus: text("price_status"),
  rates: text("rates"),
  httpStatus: integer("http_status"),
  errorKind: text("error_kind"),
  endReason: text("end_reason", { enum: ["complete", "truncated", "cancelled", "failed"] }),
  finishReason: text("finish_reason"),
  upstreamRequestId: text("upstream_request_id"),
  account: text("account"),
});

/** A view: one row for each request that has ended. */
export const requests = sqliteTable("requests", {
  requestId: text("request_id").notNull(),
  receivedAtMs: integer("received_at_ms").notNull(),
  endedAtMs: integer("ended_at_ms").notNull(),
  callerKey: text("caller_key").notNull(),
  keyId: text("key_id").notNull(),
  team: text("team").notNull(),
  organisation: text("organisation").notNull(),
  tags: text("tags", { mode: "json" }).$type<string[]>().notNull(),
  endpoint: text("endpoint").notNull(),
  modelRequested: text("model_requested").notNull(),
  stream: integer("stream", { mode: "boolean" }).notNull(),
  status: integer("status").notNull(),
  errorKind: text("error_kind"),
  attempts: integer("attempts").notNull(),
  /** See story.ts. */
  story: text("story").notNull(),
  figures: text("figures").notNull(),
  snapshotId: text("snapshot_id").notNull(),
  warnings: text("warnings", { mode: "json" }).$type<string[]>().notNull(),
  queuedMs: integer("queued_ms"),
  user: text("caller_user"),
  app: text("app"),
  session: text("session"),
  bodyHash: blob("body_hash", { mode: "buffer" }),
});

export const dimensions = sqliteTable("dimensions", {
  id: integer("id").primaryKey(),
  key: text("key").notNull(),
  keyId: text("key_id").notNull(),
  team: text("team").notNull(),
  organisation: text("organisation").notNull(),
  tags: text("tags", { mode: "json" }).$type<string[]>().notNull(),
  rule: text("rule").notNull(),
  provider: text("provider").notNull(),
  model: text("model").notNull(),
});

/** One of the three tables of sums; see rollups.ts. */
function rollup<Name extends string>(name: Name) {
  return sqliteTable(name, {
    bucket: integer("bucket").notNull(),
    dimension: integer("dimension").notNull(),
    requests: integer("requests").notNull(),
    failedRequests: integer("failed_requests").notNull(),
    attempts: integer("attempts").notNull(),
    failedAttempts: integer("failed_attempts").notNull(),
    inputTokens: integer("input_tokens").notNull(),
    cacheReadTokens: integer("cache_read_tokens").notNull(),
    cacheWriteTokens: integer("cache_write_tokens").notNull(),
    outputTokens: integer("output_tokens").notNull(),
    reasoningTokens: integer("reasoning_tokens").notNull(),
    costNanoUsd: integer("cost_nano_usd").notNull(),
    estimatedNanoUsd: integer("estimated_nano_usd").notNull(),
    unpricedAttempts: integer("unpriced_attempts").notNull(),
    unknownAttempts: integer("unknown_attempts").notNull(),
  });
}

export const rollupMinutes = rollup("rollup_minutes");
export const rollupHours = rollup("rollup_hours");
export const rollupDays = rollup("rollup_days");

export const statistics = sqliteTable("statistics", {
  name: text("name").notNull().primaryKey(),
  updatedAtMs: integer("updated_at_ms").notNull(),
  json: text("json").notNull(),
});
