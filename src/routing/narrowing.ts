// OpenRouter's request dialect: how a caller may narrow the choice with `provider`, `models`, `:floor` and `:nitro`.
// https://openrouter.ai/docs/features/provider-routing
import { z } from "zod";
import type { ChatBody } from "../chat.ts";
import type { CallerError } from "../dialect.ts";

/** Numbers may come as strings: OpenRouter's schema and its documentation differ. */
const NUMBER = z.union(
  [
    z.number(),
    z
      .string()
      .regex(/^\d+(\.\d+)?$/)
      .transform(Number),
  ],
  "expected a number",
);
const CUTOFFS = z.union(
  [
    NUMBER.transform((p50) => ({ p50 })),
    z.strictObject({ p50: NUMBER.optional(), p75: NUMBER.optional(), p90: NUMBER.optional(), p99: NUMBER.optional() }),
  ],
  "expected a number or { p50, p75, p90, p99 }",
);
const SORT = z.enum(["price", "throughput", "latency", "exacto"]);
const SLUGS = z.array(z.string().min(1)).nullish();

const PROVIDER = z.strictObject({
  order: SLUGS,
  allow_fallbacks: z.boolean().nullish(),
  require_parameters: z.boolean().nullish(),
  data_collection: z.enum(["allow", "deny"]).nullish(),
  zdr: z.boolean().nullish(),
  enforce_distillable_text: z.boolean().nullish(),
  only: SLUGS,
  ignore: SLUGS,
  quantizations: z.array(z.string()).nullish(),
  sort: z
    .union(
      [SORT, z.strictObject({ by: SORT, partition: z.enum(["model", "none"]).nullish() })],
      `expected one of ${SORT.options.join(", ")}, or { by, partition }`,
    )
    .nullish(),
  preferred_min_throughput: CUTOFFS.nullish(),
  preferred_max_latency: CUTOFFS.nullish(),
  max_price: z
    .strictObject({
      prompt: NUMBER.nullish(),
      completion: NUMBER.nullish(),
      request: NUMBER.nullish(),
      image: NUMBER.nullish(),
      audio: NUMBER.nullish(),
    })
    .nullish(),
});
/** As long as `model` itself may be: what is learnt of a target is kept under its name. */
const MODEL_CHARS_MAX = 256;
const MODELS = z.array(z.string().min(1).max(MODEL_CHARS_MAX)).min(1).max(20);

export type Cutoffs = {
  p50?: number | undefined;
  p75?: number | undefined;
  p90?: number | undefined;
  p99?: number | undefined;
};

/** What the caller asks for. Everything but the order narrows what the rule allows; nothing widens it. */
export interface Narrowing {
  /** Names to try in turn: the model, then `models`. A variant suffix is already taken off. */
  models: string[];
  order: string[];
  allowFallbacks: boolean;
  requireParameters: boolean;
  dataPolicy: "no_training" | "no_retention" | undefined;
  only: string[] | undefined;
  ignore: string[];
  quantizations: string[] | undefined;
  sort: "price" | "throughput" | "latency" | undefined;
  /** Sort across all models instead of within each. */
  acrossModels: boolean;
  /** Tokens per second, and seconds. */
  minThroughput: Cutoffs;
  maxLatencyS: Cutoffs;
  /** Micro-dollars per million tokens. Nothing here is billed per request or per image, so those bounds always hold. */
  maxPrice: { prompt: number | undefined; completion: number | undefined; audio: number | undefined };
}

const VARIANTS: Record<string, Narrowing["sort"]> = { ":floor": "price", ":nitro": "throughput" };

/** Reads the caller's wishes; `isKnown` tells names that are models as they stand (some ids end in `:something`). */
export function readNarrowing(body: ChatBody, isKnown: (name: string) => boolean): Narrowing | { error: CallerError } {
  const provider = PROVIDER.safeParse(body.provider ?? {});
  if (!provider.success) return { error: malformed("provider", provider.error.issues[0]) };
  const models = MODELS.safeParse(body.models ?? [body.model]);
  if (!models.success) return { error: malformed("models", models.error.issues[0]) };
  const wishes = provider.data;
  const named = [body.model, ...(body.models === undefined ? [] : models.data)].map((name) =>
    splitVariant(name, isKnown),
  );
  const sort = typeof wishes.sort === "string" ? wishes.sort : wishes.sort?.by;
  return {
    models: [...new Set(named.map(({ model }) => model))],
    order: wishes.order ?? [],
    allowFallbacks: wishes.allow_fallbacks !== false,
    requireParameters: wishes.require_parameters === true,
    dataPolicy: wishes.zdr ? "no_retention" : wishes.data_collection === "deny" ? "no_training" : undefined,
    only: wishes.only ?? undefined,
    ignore: wishes.ignore ?? [],
    quantizations: wishes.quantizations ?? undefined,
    sort: sort === "exacto" ? undefined : (sort ?? named[0]?.sort),
    acrossModels: typeof wishes.sort === "object" && wishes.sort?.partition === "none",
    minThroughput: wishes.preferred_min_throughput ?? {},
    maxLatencyS: wishes.preferred_max_latency ?? {},
    maxPrice: {
      prompt: microUsdOf(wishes.max_price?.prompt),
      completion: microUsdOf(wishes.max_price?.completion),
      audio: microUsdOf(wishes.max_price?.audio),
    },
  };
}

/** Rounded: 8.2 × 1e6 is a little less than 8,200,000 in floating point. */
function microUsdOf(usd: number | null | undefined): number | undefined {
  return usd === null || usd === undefined ? undefined : Math.round(usd * 1e6);
}

/** Nothing is wished for beyond the model itself. */
export function isPlain(body: ChatBody): boolean {
  return body.provider === undefined && body.models === undefined && !/:(floor|nitro)$/.test(body.model);
}

function splitVariant(name: string, isKnown: (name: string) => boolean): { model: string; sort: Narrowing["sort"] } {
  const suffix = /:\w+$/.exec(name)?.[0] ?? "";
  if (!Object.hasOwn(VARIANTS, suffix) || isKnown(name)) return { model: name, sort: undefined };
  return { model: name.slice(0, -suffix.length), sort: VARIANTS[suffix] };
}

function malformed(field: string, issue: z.core.$ZodIssue | undefined): CallerError {
  const path = [field, ...(issue?.path ?? [])].join(".");
  const unknown =
    issue?.code === "unrecognized_keys" ? issue.keys.map((key) => `'${path}.${key}'`).join(", ") : undefined;
  const accepted = Object.keys(PROVIDER.shape).join(", ");
  const message =
    unknown === undefined
      ? `Invalid value for '${path}': ${issue?.message ?? "not understood"}.`
      : `Unrecognized ${unknown}. Accepted: ${accepted}.`;
  return { status: 400, message, type: "invalid_request_error", code: "invalid_value", param: path };
}

/** `google` and `google/us-east5` are both the provider `google`: here a provider has no variants. Without regard to case. */
export function slugMatches(slug: string, providerId: string, standsInFor: string | undefined): boolean {
  const asked = slug.toLowerCase();
  return [providerId, standsInFor].some((name) => {
    const id = name?.toLowerCase();
    return id !== undefined && (asked === id || asked.startsWith(`${id}/`));
  });
}
