// 429: which window is full, and when it opens again. The sentence in the message is the same for all of them.
import type { JsonObject, ProviderError } from "../../../src/chat.ts";
import { firstText, objectsIn } from "../../../src/json.ts";
import { durationMs } from "../retry-after.ts";

/** What is known about one refusal. `details` are the `google.rpc` objects. */
export interface QuotaFacts {
  message: string;
  details: JsonObject[];
  /** Wait told by the headers, if any. */
  headerMs: number | undefined;
  nowMs: number;
  /** Without any hint. Dynamic shared quotas answer like this, and they are not daily (Wei-Shaw/sub2api#5443). */
  defaultWaitMs: number | undefined;
}

type Verdict = Pick<ProviderError, "kind" | "subkind" | "code" | "retryAfterMs" | "quotaId">;

/** Windows open by the clock of the server, not ours. */
const MARGIN_MS = 250;
const WAIT_MAX_MS = 600_000;
const NOT_IN_TIER_WAIT_MS = 3_600_000;
const QUOTA_ID_MAX = 200;

export function quotaVerdict(facts: QuotaFacts): Verdict {
  const violations = detailsOf(facts.details, "QuotaFailure").flatMap(({ violations }) => objectsIn(violations));
  const ids = violations.map(({ quotaId, quotaMetric }) => `${firstText(quotaId)} ${firstText(quotaMetric)}`);
  const isNotInTier =
    violations.some(({ quotaValue }) => quotaValue === "0" || quotaValue === 0) || /limit: 0\b/.test(facts.message);
  if (isNotInTier) {
    const told = { code: "insufficient_quota", retryAfterMs: NOT_IN_TIER_WAIT_MS };
    return { kind: "quota", subkind: "no_allowance", ...told };
  }
  const wait = waitMs(facts);
  const toldMs = wait === undefined ? undefined : Math.min(wait + MARGIN_MS, WAIT_MAX_MS);
  const limited = { kind: "rate_limited", code: "rate_limit_exceeded" } as const;
  const daily = ids.find((id) => /per_?day/i.test(id));
  if (daily === undefined) return { ...limited, retryAfterMs: toldMs ?? facts.defaultWaitMs };
  // A RetryInfo beside a daily limit may be meant or not (dcdpr/jp#1061): the pool finds out.
  const retryAfterMs = toldMs ?? untilPacificMidnightMs(facts.nowMs);
  return { ...limited, subkind: "daily_quota", quotaId: daily.trim().slice(0, QUOTA_ID_MAX), retryAfterMs };
}

/** The wait the answer names, wherever it does; in ms, without a margin. */
export function waitMs({
  message,
  details,
  headerMs,
}: Pick<QuotaFacts, "message" | "details" | "headerMs">): number | undefined {
  const infos = detailsOf(details, "ErrorInfo").map(({ metadata }) => metadata as JsonObject | undefined);
  const told = [
    ...detailsOf(details, "RetryInfo").map(({ retryDelay }) => retryDelay),
    ...infos.map((metadata) => metadata?.quotaResetDelay),
    /(?:retry|reset)[^0-9]{0,20}((?:\d+h)?(?:\d+m)?(?:\d+(?:\.\d+)?s)?)/i.exec(message)?.[1],
  ];
  for (const text of told) {
    const ms = typeof text === "string" && text !== "" ? durationMs(text) : undefined;
    if (ms !== undefined) return ms;
  }
  return headerMs;
}

/** Details by the last word of their type, whatever the prefix. */
export function detailsOf(details: JsonObject[], type: string): JsonObject[] {
  return details.filter((detail) => firstText(detail["@type"]).split(/[./]/).at(-1) === type);
}

/** Daily limits are reset at midnight in California (ai.google.dev/gemini-api/docs/rate-limits). */
function untilPacificMidnightMs(nowMs: number): number {
  const today = pacificMs(nowMs);
  const nextMidnight = Math.floor(today / DAY_MS) * DAY_MS + DAY_MS;
  // The zone may change its offset before midnight, so the offset that counts is the one at midnight.
  const guess = nextMidnight - (today - nowMs);
  return nextMidnight - (pacificMs(guess) - guess) - nowMs;
}

const DAY_MS = 86_400_000;
const PACIFIC = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/Los_Angeles",
  hourCycle: "h23",
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
});

/** The wall clock there, as if it were UTC. */
function pacificMs(nowMs: number): number {
  const parts = Object.fromEntries(PACIFIC.formatToParts(nowMs).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) + (nowMs % 1000);
}
