// Scalar parameters of a request: output limit, sampling, stop sequences, the user's id, service tier.
import { createHash } from "node:crypto";
import type { ChatBody } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import type { ModelProfile } from "./profile.ts";
import type { Terms } from "./terms.ts";
import type { MessagesBody } from "./wire.ts";

/**
 * The output limit Anthropic demands, by default the model's own maximum: a fixed one such as 4096 cuts answers and
 * tool arguments, and a high one costs nothing since only produced tokens count.
 */
export function maxTokens(body: ChatBody, terms: Terms, report: Report): number {
  const field = typeof body.max_completion_tokens === "number" ? "max_completion_tokens" : "max_tokens";
  const wanted = body[field];
  if (typeof wanted !== "number") {
    if (terms.isLimitRepaired) report.note("repaired", "max_tokens");
    return terms.maxOutputTokens;
  }
  if (wanted < 1 || !Number.isInteger(wanted)) {
    // Anthropic takes 0 as an order to warm the cache: nobody may reach that by accident.
    report.refuse("integer_below_min_value", field, `${field} must be an integer of at least 1; found ${wanted}.`);
    return 1;
  }
  if (wanted <= terms.maxOutputTokens) return wanted;
  report.note("clamped", "max_tokens");
  return terms.maxOutputTokens;
}

type Sampling = Pick<MessagesBody, "temperature" | "top_p" | "top_k">;

/** Sampling fields the model takes. 1 is everyone's default and is sent by habit: it goes without a report. */
export function sampling(body: ChatBody, profile: ModelProfile, thinks: boolean, report: Report): Sampling {
  const sent: Sampling = {};
  const temperature = inRange(body, "temperature", 2, report);
  const topP = inRange(body, "top_p", 1, report);
  const topK = typeof body.top_k === "number" && body.top_k > 0 ? body.top_k : undefined;
  if (temperature !== undefined) {
    // With thinking on only the default is accepted (badlogic/pi-mono#1665).
    if (profile.sampling === "none" || thinks) report.note("dropped", "temperature");
    else sent.temperature = clampedTemperature(temperature, report);
  }
  if (topP !== undefined) {
    const isRefused =
      profile.sampling === "none" ||
      (profile.sampling === "one" && sent.temperature !== undefined) ||
      (thinks && topP < 0.95);
    if (isRefused) report.note("dropped", "top_p");
    else sent.top_p = topP;
  }
  if (topK !== undefined) {
    if (profile.sampling === "none" || thinks) report.note("dropped", "top_k");
    else sent.top_k = topK;
  }
  return sent;
}

/** A number in 0..max that is not 1, which would change nothing. */
function inRange(body: ChatBody, field: string, max: number, report: Report): number | undefined {
  const value = body[field];
  if (value === undefined || value === null || value === 1) return undefined;
  if (typeof value === "number" && value >= 0 && value <= max) return value;
  const message = `${field} must be a number from 0 to ${max}; found ${JSON.stringify(value)}.`;
  report.refuse("invalid_value", field, message);
  return undefined;
}

/** OpenAI's scale ends at 2, Anthropic's at 1. Cut, not rescaled: 0.7 means the same on both. */
function clampedTemperature(temperature: number, report: Report): number {
  if (temperature <= 1) return temperature;
  report.note("clamped", "temperature", `${temperature}->1`);
  return 1;
}

/** "each stop sequence must contain non-whitespace": the others go, with a report. */
export function stopSequences({ stop }: ChatBody, report: Report): string[] {
  const given: unknown[] = Array.isArray(stop) ? stop : typeof stop === "string" ? [stop] : [];
  return given.filter((sequence, i): sequence is string => {
    if (typeof sequence === "string" && /\S/.test(sequence)) return true;
    report.note("dropped", Array.isArray(stop) ? `stop[${i}]` : "stop");
    return false;
  });
}

const USER_ID_CHARS_MAX = 256;

/** An opaque id: what looks like an address or a phone number, or is too long, is sent as a hash of itself. */
export function userId(body: ChatBody): string | undefined {
  const metadata = isObject(body.metadata) ? body.metadata : {};
  const id = firstText(body.safety_identifier, body.user, metadata.user_id);
  if (id === "") return undefined;
  const isPersonal = id.includes("@") || /^\+?\d[\d\s().-]{6,18}$/.test(id);
  if (!isPersonal && id.length <= USER_ID_CHARS_MAX) return id;
  return `u_${createHash("sha256").update(id).digest("hex").slice(0, 32)}`;
}

/** `fast` costs several times the price, so it is sent only to models whose catalogue entry says they have it. */
export function serviceTier(
  { service_tier }: ChatBody,
  terms: Terms,
  report: Report,
): Pick<MessagesBody, "service_tier" | "speed"> {
  if (service_tier === "default") return { service_tier: "standard_only" };
  if (service_tier === "fast" && terms.hasFastMode) return { speed: "fast" };
  if (service_tier === undefined || service_tier === null || service_tier === "auto") return {};
  report.note("dropped", "service_tier");
  return {};
}
