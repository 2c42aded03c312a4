// Anthropic's token counts as ours. Theirs leave cached tokens out of the input; ours hold the whole prompt.
import type { JsonObject, Usage } from "../../../src/chat.ts";
import { isObject, shortWord } from "../../../src/json.ts";

/** Counts told later replace earlier ones, null and absent leave them. Never adds (BerriAI/litellm#11364). */
export function overlayCounts(before: JsonObject, told: unknown): JsonObject {
  if (!isObject(told)) return before;
  const present = Object.entries(told).filter(([, value]) => value !== null && value !== undefined);
  return { ...before, ...Object.fromEntries(present) };
}

/** `undefined` counts were not told. `cache_creation_input_tokens` is the sum of both lifetimes: never add all three. */
export function toUsage(counts: JsonObject): Usage {
  const lifetimes = isObject(counts.cache_creation) ? counts.cache_creation : {};
  const details = isObject(counts.output_tokens_details) ? counts.output_tokens_details : {};
  const tools = isObject(counts.server_tool_use) ? counts.server_tool_use : {};
  const fresh = tokens(counts.input_tokens);
  const read = tokens(counts.cache_read_input_tokens);
  const write1h = tokens(lifetimes.ephemeral_1h_input_tokens);
  const write5m = tokens(lifetimes.ephemeral_5m_input_tokens);
  const writes =
    tokens(counts.cache_creation_input_tokens) ??
    (write1h === undefined && write5m === undefined ? undefined : (write1h ?? 0) + (write5m ?? 0));
  return {
    inputTokens: fresh === undefined ? undefined : fresh + (read ?? 0) + (writes ?? 0),
    cacheReadTokens: read,
    cacheWriteTokens: writes === undefined ? undefined : Math.max(0, writes - (write1h ?? 0)),
    cacheWrite1hTokens: write1h,
    outputTokens: tokens(counts.output_tokens),
    reasoningTokens: tokens(details.thinking_tokens),
    searches: tokens(tools.web_search_requests),
    serviceTier: pricedTierOf(counts),
    region: shortWord(counts.inference_geo),
  };
}

/** The fast mode is no tier to Anthropic, but has prices of its own as tiers have. */
function pricedTierOf({ service_tier: tier, speed }: JsonObject): string | undefined {
  if (speed === "fast") return "fast";
  return shortWord(tier);
}

/** The tier that answered, in OpenAI's words; `undefined` for batches and where nobody told. */
export function serviceTierOf(counts: JsonObject): string | undefined {
  if (counts.service_tier === "priority") return "priority";
  return counts.service_tier === "standard" ? "default" : undefined;
}

function tokens(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
