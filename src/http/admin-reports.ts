// GET /admin/usage and /admin/requests: the ledger for the operator's own tools. Read-only, bounded, as JSON.
import { z } from "zod";
import { formatUsd } from "../pricing.ts";
import { nanoUsd } from "../units.ts";
import { isTimeZone, MOMENT, parseMoment } from "../zones.ts";
import { type AdminOperation, operation } from "./admin.ts";
import { type AppContext, callerError, errorResponse } from "./context.ts";
import {
  isProblem,
  type ReportedAttempt,
  type ReportedRequest,
  type ReportedSums,
  type ReportProblem,
  type Reports,
} from "./reports.ts";

const ROWS_MAX = 500;
const ROWS_DEFAULT = 100;
const GROUPINGS = ["model", "provider", "key", "team", "organisation", "tag", "rule", "day", "hour"] as const;

const patterns = z
  .string()
  .max(2_000)
  .transform((text) => text.split(","))
  .refine(
    (list) => list.length <= 50 && list.every(({ length }) => length <= 200),
    "at most 50 patterns of 200 characters",
  )
  .optional()
  .describe("One or several patterns with commas between; * stands for any characters.");

const filters = {
  key: patterns,
  team: patterns,
  organisation: patterns,
  tag: patterns,
  model: patterns,
  provider: patterns,
  rule: patterns,
};

const moment = z
  .string()
  .max(40)
  .refine((text) => parseMoment(text, 0, "UTC") !== undefined, `expected ${MOMENT}`);
const time = {
  since: moment.default("24h").describe(`Start: ${MOMENT}.`),
  until: moment.optional().describe("End, itself not included; now when absent."),
};
const limit = z.coerce.number().int().min(1).max(ROWS_MAX).default(ROWS_DEFAULT);

const usageQuery = z.strictObject({
  ...time,
  ...filters,
  by: z
    .string()
    .default("model")
    .transform((text) => text.split(","))
    .pipe(
      z
        .array(z.enum(GROUPINGS))
        .max(2)
        .refine((list) => new Set(list).size === list.length, "expected two different groupings"),
    )
    .describe(`One or two of ${GROUPINGS.join(", ")}, with a comma between.`),
  time_zone: z.string().max(100).default("UTC").refine(isTimeZone, "expected a name such as Europe/Berlin"),
  limit,
});

const requestsQuery = z.strictObject({
  ...time,
  ...filters,
  status: z
    .string()
    .regex(/^[1-5](\d\d|xx)$/, "expected a status such as 429, or a class such as 5xx")
    .optional(),
  error_kind: z.string().max(100).optional().describe("Of the request or of one of its attempts."),
  min_cost_usd: nanoUsd.optional().describe("All attempts together, as far as costs are known."),
  cursor: z
    .string()
    .regex(/^req_[0-9a-f]{32}$/, "expected the next_cursor of a page before")
    .optional(),
  limit,
});

const count = z.int().nonnegative();
const money = { cost_usd: z.string(), estimated_usd: z.string() };
const sums = z.object({
  requests: count,
  attempts: count,
  failed_attempts: count,
  input_tokens: count,
  cache_read_tokens: count,
  cache_write_tokens: count,
  output_tokens: count,
  ...money,
  unpriced_attempts: count,
  unknown_attempts: count,
});

export const usageAnswer = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime().nullable(),
  data: z.array(sums.extend({ group: z.partialRecord(z.enum(GROUPINGS), z.string()) })),
  totals: sums,
  more_groups: count.describe("Groups that the limit left out; the totals have them."),
});

const attemptAnswer = z.object({
  attempt: count,
  state: z.string(),
  rule: z.string(),
  provider: z.string(),
  model: z.string(),
  opened_at: z.iso.datetime(),
  duration_ms: count.nullable(),
  first_byte_ms: count.nullable(),
  input_tokens: count.nullable(),
  cache_read_tokens: count.nullable(),
  cache_write_tokens: count.nullable(),
  output_tokens: count.nullable(),
  reasoning_tokens: count.nullable(),
  cost_usd: z.string().nullable(),
  estimated_usd: z.string().nullable(),
  price_status: z.string().nullable(),
  http_status: z.int().nullable(),
  error_kind: z.string().nullable(),
  end_reason: z.string().nullable(),
  finish_reason: z.string().nullable(),
  upstream_request_id: z.string().nullable(),
  account: z.string().nullable().describe("With which of the provider's keys, where it is called with several."),
});

export const requestsAnswer = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      received_at: z.iso.datetime(),
      duration_ms: count,
      queued_ms: count.nullable(),
      key: z.string(),
      key_id: z.string().nullable(),
      team: z.string().nullable(),
      organisation: z.string().nullable(),
      tags: z.array(z.string()),
      user: z.string().nullable(),
      app: z.string().nullable(),
      session: z.string().nullable(),
      endpoint: z.string(),
      model: z.string(),
      stream: z.boolean(),
      status: z.int(),
      error_kind: z.string().nullable(),
      decision: z.string(),
      warnings: z.array(z.string()),
      cost_usd: z.string().describe("Of all attempts, as far as it is known."),
      attempts: z.array(attemptAnswer),
    }),
  ),
  next_cursor: z.string().nullable().describe("For the page after; a page may be short and yet have one."),
});

interface ReportDeps {
  reports: Reports;
  nowMs(): number;
}

export function reportOperations(deps: ReportDeps): AdminOperation[] {
  const refusals = { 503: "The ledger cannot be read now, or not within the time a report has." };
  return [
    operation({
      method: "GET",
      path: "/admin/usage",
      summary: "What was used and what it cost, by one or two groupings.",
      query: usageQuery,
      answer: { status: 200, description: "Sums by group, and of all.", schema: usageAnswer },
      refusals,
      handle: async ({ context, query }) => told(context, await usage(query, deps)),
    }),
    operation({
      method: "GET",
      path: "/admin/requests",
      summary: "Requests, newest first, each with its attempts.",
      query: requestsQuery,
      answer: { status: 200, description: "A page.", schema: requestsAnswer },
      refusals,
      handle: async ({ context, query }) => told(context, await requests(query, deps)),
    }),
  ];
}

function told(context: AppContext, answer: object): object {
  return isProblem(answer) ? problemResponse(context, answer) : answer;
}

/** 400 for what was pruned, 503 with a time to come back for what the reader could not do now. */
export function problemResponse(context: AppContext, { problem, message }: ReportProblem): Response {
  const text = `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`;
  if (problem === "not_kept") return errorResponse(context, callerError(400, text, "not_kept"));
  return errorResponse(context, callerError(503, text, `report_${problem}`), { "retry-after": "5" });
}

function filtersOf(query: z.output<z.ZodObject<typeof filters>>) {
  const { key, team, organisation, tag, model, provider, rule } = query;
  return { key, team, organisation, tag, model, provider, rule };
}

function rangeOf(query: { since: string; until?: string | undefined }, nowMs: number, timeZone: string) {
  const fromMs = parseMoment(query.since, nowMs, timeZone) ?? nowMs;
  return { fromMs, toMs: query.until === undefined ? undefined : parseMoment(query.until, nowMs, timeZone) };
}

async function usage(query: z.output<typeof usageQuery>, { reports, nowMs }: ReportDeps): Promise<object> {
  const now = nowMs();
  const { by, time_zone: timeZone, limit: rowsMax } = query;
  const range = rangeOf(query, now, timeZone);
  const summary = await reports.usage({ ...range, by, timeZone, filters: filtersOf(query), nowMs: now, rowsMax });
  if (isProblem(summary)) return summary;
  return {
    from: iso(summary.range.fromMs),
    to: summary.range.toMs === undefined ? null : iso(summary.range.toMs),
    data: summary.rows.map((row) => ({
      group: Object.fromEntries(by.map((name, at) => [name, row.groups[at]])),
      ...sumsJson(row),
    })),
    totals: sumsJson(summary.totals),
    more_groups: summary.moreRows,
  } satisfies z.input<typeof usageAnswer>;
}

/** Tokens beyond 2^53 lose units in JSON as JavaScript reads it; money does not, being text. */
function sumsJson(of: ReportedSums): z.input<typeof sums> {
  return {
    requests: Number(of.requests),
    attempts: Number(of.attempts),
    failed_attempts: Number(of.failedAttempts),
    input_tokens: Number(of.inputTokens),
    cache_read_tokens: Number(of.cacheReadTokens),
    cache_write_tokens: Number(of.cacheWriteTokens),
    output_tokens: Number(of.outputTokens),
    cost_usd: formatUsd(of.costNanoUsd),
    estimated_usd: formatUsd(of.estimatedNanoUsd),
    unpriced_attempts: Number(of.unpricedAttempts),
    unknown_attempts: Number(of.unknownAttempts),
  };
}

async function requests(query: z.output<typeof requestsQuery>, { reports, nowMs }: ReportDeps): Promise<object> {
  const { status, error_kind: errorKind, min_cost_usd: minCostNanoUsd, cursor: before } = query;
  const page = await reports.requests({
    ...rangeOf(query, nowMs(), "UTC"),
    filters: filtersOf(query),
    status: status === undefined ? undefined : statusesOf(status),
    ...{ errorKind, minCostNanoUsd, before, limit: query.limit },
  });
  if (isProblem(page)) return page;
  return { data: page.rows.map(requestJson), next_cursor: page.next ?? null } satisfies z.input<typeof requestsAnswer>;
}

function statusesOf(text: string): { from: number; to: number } {
  return { from: Number(text.replace("xx", "00")), to: Number(text.replace("xx", "99")) };
}

function requestJson({ request, attempts }: ReportedRequest) {
  const { receivedAtMs, endedAtMs } = request;
  const known = attempts.reduce((sum, { costNanoUsd }) => sum + BigInt(costNanoUsd ?? 0), 0n);
  return {
    id: request.requestId,
    received_at: iso(receivedAtMs),
    duration_ms: Math.max(0, endedAtMs - receivedAtMs),
    queued_ms: request.queuedMs,
    key: request.callerKey,
    key_id: request.keyId || null,
    team: request.team || null,
    organisation: request.organisation || null,
    tags: request.tags,
    ...{ user: request.user, app: request.app, session: request.session },
    endpoint: request.endpoint,
    model: request.modelRequested,
    stream: request.stream,
    status: request.status,
    error_kind: request.errorKind,
    decision: request.decision,
    warnings: request.warnings,
    cost_usd: formatUsd(known),
    attempts: attempts.map(attemptJson),
  };
}

function attemptJson(row: ReportedAttempt): z.input<typeof attemptAnswer> {
  const { attempt, state, rule, provider, model, cacheWriteTokens, cacheWrite1hTokens } = row;
  const isWriteTold = cacheWriteTokens !== null || cacheWrite1hTokens !== null;
  return {
    ...{ attempt, state, rule, provider, model },
    opened_at: iso(row.openedAtMs),
    duration_ms: row.endedAtMs === null ? null : Math.max(0, row.endedAtMs - row.openedAtMs),
    first_byte_ms: row.firstByteMs,
    input_tokens: row.inputTokens,
    cache_read_tokens: row.cacheReadTokens,
    cache_write_tokens: isWriteTold ? (cacheWriteTokens ?? 0) + (cacheWrite1hTokens ?? 0) : null,
    output_tokens: row.outputTokens,
    reasoning_tokens: row.reasoningTokens,
    cost_usd: row.costNanoUsd === null ? null : formatUsd(row.costNanoUsd),
    estimated_usd: row.estimatedNanoUsd === null ? null : formatUsd(row.estimatedNanoUsd),
    price_status: row.priceStatus,
    http_status: row.httpStatus,
    error_kind: row.errorKind,
    end_reason: row.endReason,
    finish_reason: row.finishReason,
    upstream_request_id: row.upstreamRequestId,
    account: row.account,
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
