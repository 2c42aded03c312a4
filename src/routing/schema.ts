// The shape of a rule file. Its keys are documented in routing-rules/README.md, and a test keeps the two equal.
import { z } from "zod";
import { durationMs, microUsd, nanoUsd, percentage, tokenCount } from "../units.ts";

export const STRATEGIES = ["order", "cheapest", "fastest", "balanced", "weighted"] as const;
export type StrategyName = (typeof STRATEGIES)[number];

export const FEATURES = ["tools", "vision", "audio", "files", "json_schema", "reasoning"] as const;
export type Feature = (typeof FEATURES)[number];

export const DATA_POLICIES = ["no_training", "no_retention"] as const;
export type DataPolicy = (typeof DATA_POLICIES)[number];

/** A wait of 0 would end every attempt before it began. */
const TIMEOUT = durationMs.refine((ms) => ms > 0, "expected a duration longer than 0");
/** A caller's place in a queue or a socket is not held for longer for the sake of a number. */
const DRAIN = TIMEOUT.refine((ms) => ms <= 120_000, "expected at most 2m");
const NAME = z.string().min(1).max(256);

/** What a rule does to a parameter: a value that replaces the caller's, or bounds and a default. */
const SET_VALUE = z.union([
  z
    .strictObject({ min: z.number().optional(), max: z.number().optional(), default: z.unknown().optional() })
    .refine((bounds) => Object.keys(bounds).length > 0, "expected at least one of min, max, default")
    .refine(({ min, max }) => min === undefined || max === undefined || min <= max, "expected a min of at most max"),
  z.string(),
  z.number(),
  z.boolean(),
  z.array(z.unknown()),
]);

/** These are not parameters: a rule that rewrote them would answer a question nobody asked. */
const NOT_SETTABLE = ["model", "models", "provider", "messages", "tools", "stream", "functions"];
const SET = z
  .record(z.string().min(1), SET_VALUE)
  .refine((set) => NOT_SETTABLE.every((field) => !(field in set)), `cannot set ${NOT_SETTABLE.join(", ")}`);

const TARGET = z.union([
  NAME,
  z.strictObject({
    use: NAME,
    weight: z.number().positive().optional(),
    quality: z.number().min(0).max(100).optional(),
    set: SET.optional(),
  }),
]);
const TARGETS = z.array(TARGET).min(1);

const QUALITY = z.union([z.number(), z.string()]).transform((value, context) => {
  const match = /^(?:>=\s*)?(\d+(?:\.\d+)?)$/.exec(String(value).trim());
  if (match !== null) return Number(match[1]);
  context.addIssue({ code: "custom", message: 'expected the least quality, such as 7 or ">= 7"' });
  return z.NEVER;
});

const REQUIRE = z.strictObject({
  min_context: tokenCount.optional(),
  max_cost: nanoUsd.optional(),
  max_input_price: microUsd.optional(),
  max_output_price: microUsd.optional(),
  supports: z.array(z.enum(FEATURES)).min(1).optional(),
  regions: z.array(z.string().min(1)).min(1).optional(),
  data_policy: z.enum(DATA_POLICIES).optional(),
  max_ttft: TIMEOUT.optional(),
  quality: QUALITY.optional(),
});

const PER_SECOND = z.string().transform((text, context) => {
  const match = /^(.*)\/s$/.exec(text.trim());
  const parsed = match === null ? undefined : nanoUsd.safeParse(match[1]);
  if (parsed?.success) return parsed.data;
  context.addIssue({ code: "custom", message: "expected dollars per second such as $0.001/s" });
  return z.NEVER;
});

/** Whose turn it is when there is less than is asked for: 16, 4 and 1 parts. */
export const PRIORITIES = ["interactive", "default", "batch"] as const;

const AFTER_EXPECTED = "expected p95 or a duration of at most 2m such as 800ms";
const HEDGE_AFTER = z.union([z.string(), z.number()], AFTER_EXPECTED).transform((value, context): number | "p95" => {
  if (value === "p95") return value;
  const parsed = durationMs.safeParse(value);
  if (parsed.success && parsed.data <= 120_000) return parsed.data;
  context.addIssue({ code: "custom", message: AFTER_EXPECTED });
  return z.NEVER;
});
const HEDGE_MAX = z.union([z.string(), z.number()]).transform((value, context) => {
  const parsed = percentage.safeParse(value);
  if (parsed.success && parsed.data > 0) return parsed.data;
  context.addIssue({ code: "custom", message: "expected a percentage above 0% such as 2%" });
  return z.NEVER;
});

const RULE = z.strictObject({
  name: z.string().min(1).max(100),
  model: z.union([NAME, z.array(NAME).min(1)]).optional(),
  when: z.string().optional(),
  pick: z.enum(STRATEGIES).optional(),
  from: TARGETS.optional(),
  fallback: z
    .array(z.union([TARGET, TARGETS]))
    .min(1)
    .optional(),
  require: REQUIRE.optional(),
  attempts: z.int().min(1).max(10).optional(),
  timeouts: z
    .strictObject({
      connect: TIMEOUT.optional(),
      first_byte: TIMEOUT.optional(),
      idle: TIMEOUT.optional(),
      content_idle: TIMEOUT.optional(),
      total: TIMEOUT.optional(),
    })
    .optional(),
  queue: z.strictObject({ priority: z.enum(PRIORITIES).optional(), max_wait: TIMEOUT.optional() }).optional(),
  affinity: z
    .strictObject({
      by: z.enum(["session", "none"]).optional(),
      ttl: TIMEOUT.optional(),
    })
    .optional(),
  on_client_abort: z.union([z.enum(["cancel", "drain"]), z.strictObject({ drain: DRAIN })]).optional(),
  stream_failover: z.enum(["error", "continue"]).optional(),
  hedge: z.strictObject({ after: HEDGE_AFTER, max: HEDGE_MAX.optional() }).optional(),
  set: SET.optional(),
  value_of_time: PER_SECOND.optional(),
  deny: z
    .strictObject({ status: z.int().min(400).max(499).optional(), message: z.string().min(1).max(1_000) })
    .optional(),
  affordable_max_tokens: z.boolean().optional(),
  on_filter: z.enum(["stop", "next"]).optional(),
  caller_overrides: z.enum(["allow", "deny"]).optional(),
});

/** `Intl.supportedValuesOf` leaves out names in daily use: it has Asia/Calcutta and not Asia/Kolkata. */
function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export const RULE_FILE = z.strictObject({
  version: z.literal(1),
  timezone: z.string().refine(isTimeZone, "expected a time zone such as Europe/Berlin").optional(),
  aliases: z.record(NAME, z.array(NAME).min(1)).default({}),
  rules: z.array(RULE).default([]),
});

export type RuleFile = z.output<typeof RULE_FILE>;
export type RuleEntry = z.output<typeof RULE>;
export type TargetEntry = z.output<typeof TARGET>;
export type Requirements = z.output<typeof REQUIRE>;
export type SetEntry = z.output<typeof SET>;
