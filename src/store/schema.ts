// The tables as drizzle sees them, for queries. migrations/ is what creates them; a test holds the two together.
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

export const attempts = sqliteTable(
  "attempts",
  {
    requestId: text("request_id").notNull(),
    attempt: integer("attempt").notNull(),
    state: text("state", { enum: ["open", "settled", "unknown"] }).notNull(),
    openedAtMs: integer("opened_at_ms").notNull(),
    provider: text("provider").notNull(),
    model: text("model").notNull(),
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
    costNanoUsd: integer("cost_nano_usd"),
    priceStatus: text("price_status", {
      enum: ["exact", "alias", "prefix", "override", "reported", "unknown", "unmetered"],
    }),
    httpStatus: integer("http_status"),
    errorKind: text("error_kind"),
    endReason: text("end_reason", { enum: ["complete", "truncated", "cancelled", "failed"] }),
    upstreamRequestId: text("upstream_request_id"),
    finishReason: text("finish_reason"),
  },
  (table) => [
    primaryKey({ columns: [table.requestId, table.attempt] }),
    index("attempts_opened_at").on(table.openedAtMs),
  ],
);

export const requests = sqliteTable(
  "requests",
  {
    requestId: text("request_id").notNull().primaryKey(),
    receivedAtMs: integer("received_at_ms").notNull(),
    endedAtMs: integer("ended_at_ms").notNull(),
    callerKey: text("caller_key").notNull(),
    endpoint: text("endpoint").notNull(),
    modelRequested: text("model_requested").notNull(),
    stream: integer("stream", { mode: "boolean" }).notNull(),
    status: integer("status").notNull(),
    errorKind: text("error_kind"),
    attempts: integer("attempts").notNull(),
    decision: text("decision").notNull(),
    snapshotId: text("snapshot_id").notNull(),
    warnings: text("warnings", { mode: "json" }).$type<string[]>().notNull(),
    trace: text("trace"),
  },
  (table) => [index("requests_received_at").on(table.receivedAtMs)],
);

export const statistics = sqliteTable("statistics", {
  name: text("name").notNull().primaryKey(),
  updatedAtMs: integer("updated_at_ms").notNull(),
  json: text("json").notNull(),
});
