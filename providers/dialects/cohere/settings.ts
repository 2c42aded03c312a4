// Sampling, bounds and Cohere's own settings.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText } from "../../../src/json.ts";
import type { Report } from "../report.ts";

const STOP_SEQUENCES_MAX = 5;

interface Dial {
  field: string;
  name: string;
  min: number;
  max: number;
  /** OpenAI's default, where the nearest value in bounds is as good. */
  neutral?: number;
  /** As if it were not there. */
  noop?: number;
}

/** Bounds from docs.cohere.com, reference of v2 chat, 2026-11. */
const DIALS: readonly Dial[] = [
  { field: "temperature", name: "temperature", min: 0, max: 1 },
  { field: "top_p", name: "p", min: 0.01, max: 0.99, neutral: 1 },
  { field: "top_k", name: "k", min: 0, max: 500 },
  { field: "frequency_penalty", name: "frequency_penalty", min: 0, max: 1, noop: 0 },
  { field: "presence_penalty", name: "presence_penalty", min: 0, max: 1, noop: 0 },
];

/** Extensions under Cohere's own names. */
export const NATIVE_FIELDS = ["citation_options", "documents", "priority", "safety_mode"] as const;

/** Members of the request body. */
export function toSettings(body: ChatBody, report: Report): JsonObject {
  const settings: JsonObject = {
    max_tokens: outputLimit(body, report),
    stop_sequences: stopSequences(body.stop, report),
    seed: integer("seed", body.seed, report),
    logprobs: body.logprobs === true ? true : undefined,
  };
  for (const dial of DIALS) settings[dial.name] = turned(dial, body[dial.field], report);
  for (const field of NATIVE_FIELDS) settings[field] = body[field] ?? undefined;
  refuseSeveral(body, report);
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function turned({ field, min, max, neutral, noop }: Dial, value: unknown, report: Report): number | undefined {
  if (value == null || value === noop) return undefined;
  if (typeof value !== "number") {
    report.refuse("invalid_type", field, `Invalid type for '${field}': expected a number.`);
    return undefined;
  }
  const nearest = Math.min(Math.max(value, min), max);
  if (nearest !== value && value !== neutral) report.note("clamped", field, `${value}->${nearest}`);
  return nearest === noop ? undefined : nearest;
}

function outputLimit(body: ChatBody, report: Report): number | undefined {
  const field = body.max_completion_tokens != null ? "max_completion_tokens" : "max_tokens";
  const limit = integer(field, body[field], report);
  if (limit === undefined || limit >= 1) return limit;
  report.refuse("invalid_value", field, `Invalid value for '${field}': expected an integer of at least 1.`);
  return undefined;
}

function integer(field: string, value: unknown, report: Report): number | undefined {
  if (value == null) return undefined;
  if (Number.isInteger(value)) return Number(value);
  report.refuse("invalid_type", field, `Invalid type for '${field}': expected an integer.`);
  return undefined;
}

function stopSequences(stop: unknown, report: Report): string[] | undefined {
  if (stop == null) return undefined;
  const listed: unknown[] = Array.isArray(stop) ? stop : [stop];
  if (listed.some((sequence) => typeof sequence !== "string"))
    report.refuse("invalid_type", "stop", "Invalid type for 'stop': expected a string or a list of strings.");
  const usable = listed.map((sequence) => firstText(sequence)).filter((sequence) => sequence !== "");
  if (usable.length > STOP_SEQUENCES_MAX) {
    const message = `This model takes at most ${STOP_SEQUENCES_MAX} stop sequences; there are ${usable.length}.`;
    report.refuse("invalid_value", "stop", message, "unsupported");
  }
  return usable.length === 0 ? undefined : usable;
}

/** What would change the form of the answer. */
function refuseSeveral({ n, modalities, audio }: ChatBody, report: Report): void {
  if (n != null && n !== 1)
    report.refuse("unsupported_value", "n", "This model gives one answer per request: 'n' must be 1.");
  const wanted: unknown[] = Array.isArray(modalities) ? modalities : [];
  const param = wanted.some((one) => one !== "text") ? "modalities" : audio == null ? undefined : "audio";
  if (param !== undefined) report.refuse("unsupported_value", param, "This model answers in text only.");
}
