// Sampling, limits and the form of the answer as `generationConfig`.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import type { Translation } from "./context.ts";
import { outputMedia } from "./output-media.ts";
import { acceptedThinking } from "./repairs.ts";
import { schemaMember } from "./schema-form.ts";
import { toThinkingConfig } from "./thinking.ts";

const STOP_SEQUENCES_MAX = 5;

/** The form of the answer. Where the model cannot enforce it, `instruction` asks for it in words. */
export interface AnswerForm {
  config: JsonObject;
  instruction?: string;
}

/** Everything but the form of the answer. `explicit` members replace translated ones entirely. */
export function toGenerationConfig(explicit: JsonObject, context: Translation): JsonObject {
  const { body, report } = context;
  const config: JsonObject = {
    maxOutputTokens: outputLimit(context),
    ...sampling(context),
    stopSequences: stopSequences(body.stop, report),
    candidateCount: candidateCount(context),
    seed: seed(body.seed, report),
    presencePenalty: penalty("presence_penalty", context),
    frequencyPenalty: penalty("frequency_penalty", context),
    ...logprobs(context),
    ...outputMedia(context),
    ...explicit,
    thinkingConfig: thinkingConfig(explicit.thinkingConfig, context),
  };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

function thinkingConfig(explicit: unknown, { body, gates, repairs, report }: Translation): unknown {
  if (explicit === undefined) return toThinkingConfig(body, gates.thinking, report);
  if (!isObject(explicit)) return explicit;
  const { config, refused } = acceptedThinking(explicit, repairs);
  if (refused) report.note("dropped", "google.thinking_config");
  return config;
}

const TOP_LOGPROBS_MAX = 20;

/** Without a number of alternatives only the tokens that were chosen are told. */
function logprobs({ body, gates, report }: Translation): JsonObject {
  const { logprobs: isWanted, top_logprobs: alternatives } = body;
  if (isWanted != null && typeof isWanted !== "boolean")
    report.refuse("invalid_type", "logprobs", "Invalid type for 'logprobs': expected a boolean.");
  const isCount = Number.isInteger(alternatives) && Number(alternatives) >= 0;
  if (alternatives != null && (!isCount || Number(alternatives) > TOP_LOGPROBS_MAX)) {
    const message = `Invalid value for 'top_logprobs': expected an integer from 0 to ${TOP_LOGPROBS_MAX}.`;
    report.refuse("invalid_value", "top_logprobs", message);
    return {};
  }
  const isUsed = isWanted === true && gates.logprobs;
  if (isWanted === true && !gates.logprobs) report.note("dropped", "logprobs");
  if (!isUsed) {
    if (alternatives) report.note("dropped", "top_logprobs");
    return {};
  }
  return { responseLogprobs: true, ...(alternatives ? { logprobs: alternatives } : {}) };
}

function outputLimit({ body, profile, report }: Translation): number | undefined {
  const field = body.max_completion_tokens != null ? "max_completion_tokens" : "max_tokens";
  const limit = body[field];
  if (limit == null) return undefined;
  if (!Number.isInteger(limit) || Number(limit) < 1) {
    report.refuse("invalid_value", field, `Invalid value for '${field}': expected an integer of at least 1.`);
    return undefined;
  }
  const accepted = Math.min(Number(limit), profile.outputTokensMax ?? Number.POSITIVE_INFINITY);
  if (accepted !== limit) report.note("clamped", field, `${Number(limit)}->${accepted}`);
  return accepted;
}

const SAMPLING = { temperature: "temperature", top_p: "topP", top_k: "topK" } as const;
/** OpenAI's defaults change nothing, so leaving them out is not worth a report. */
const SAMPLING_DEFAULT: Record<string, unknown> = { temperature: 1, top_p: 1 };

function sampling({ body, gates, report }: Translation): JsonObject {
  const config: JsonObject = {};
  for (const [field, name] of Object.entries(SAMPLING)) {
    const value = body[field];
    if (value == null) continue;
    if (typeof value !== "number")
      report.refuse("invalid_type", field, `Invalid type for '${field}': expected a number.`);
    else if (gates.sampling) config[name] = value;
    else if (value !== SAMPLING_DEFAULT[field]) report.note("dropped", field);
  }
  return config;
}

function stopSequences(stop: unknown, report: Report): string[] | undefined {
  if (stop == null) return undefined;
  const listed: unknown[] = Array.isArray(stop) ? stop : [stop];
  const sequences = listed.filter((sequence) => typeof sequence === "string");
  if (sequences.length < listed.length) {
    report.refuse("invalid_type", "stop", "Invalid type for 'stop': expected a string or a list of strings.");
  }
  const usable = sequences.filter((sequence) => sequence !== "");
  if (usable.length > STOP_SEQUENCES_MAX) {
    const message = `This model takes at most ${STOP_SEQUENCES_MAX} stop sequences; there are ${usable.length}.`;
    report.refuse("invalid_value", "stop", message, "unsupported");
  }
  return usable.length === 0 ? undefined : usable;
}

function candidateCount({ body: { n }, gates, repairs, report }: Translation): number | undefined {
  if (n == null || n === 1) return undefined;
  if (!Number.isInteger(n) || Number(n) < 1) report.refuse("invalid_value", "n", "Expected an integer of at least 1.");
  else if (repairs.dropped.has("n")) report.note("dropped", "n");
  else if (!gates.multiCandidate) {
    report.refuse("unsupported_value", "n", "This model gives one answer per request: 'n' must be 1.");
  } else return Number(n);
  return undefined;
}

/** The API takes 32 bits. */
function seed(value: unknown, report: Report): number | undefined {
  if (value == null) return undefined;
  if (!Number.isInteger(value)) {
    report.refuse("invalid_type", "seed", "Invalid type for 'seed': expected an integer.");
    return undefined;
  }
  const wrapped = Number(BigInt.asIntN(32, BigInt(Number(value))));
  if (wrapped !== value) report.note("clamped", "seed", `${Number(value)}->${wrapped}`);
  return wrapped;
}

function penalty(field: string, { body, gates, report }: Translation): number | undefined {
  const value = body[field];
  if (value == null || value === 0) return undefined;
  if (typeof value !== "number")
    report.refuse("invalid_type", field, `Invalid type for '${field}': expected a number.`);
  else if (!gates.penalties) report.note("dropped", field);
  // The API's range is half open: −2 ≤ x < 2.
  else if (value >= -2 && value < 2) return value;
  else report.refuse("unsupported_value", field, `'${field}' must be at least -2 and below 2.`);
  return undefined;
}

export function answerForm(context: Translation): AnswerForm {
  const { body, gates, report } = context;
  const format = isObject(body.response_format) ? body.response_format : {};
  if (format.type === undefined || format.type === "text") return { config: {} };
  if (format.type !== "json_object" && format.type !== "json_schema") {
    const message = `Invalid value: '${firstText(format.type)}'; use one of: text, json_object, json_schema.`;
    report.refuse("invalid_value", "response_format.type", message);
    return { config: {} };
  }
  const described = isObject(format.json_schema) ? format.json_schema : {};
  const schema = isObject(described.schema) ? withDescription(described.schema, described.description) : undefined;
  const hasTools =
    objectsIn(body.tools).length > 0 || objectsIn(body.functions).length > 0 || isObject(body.web_search_options);
  if (hasTools && !gates.jsonWithTools) {
    report.note("downgraded", "response_format");
    const matching = schema === undefined ? "." : ` matching this schema: ${JSON.stringify(schema)}`;
    return { config: {}, instruction: `Respond only with JSON${matching}` };
  }
  return { config: { responseMimeType: "application/json", ...responseSchema(schema, context) } };
}

function withDescription(schema: JsonObject, description: unknown): JsonObject {
  const isMissing = schema.description === undefined && typeof description === "string" && description !== "";
  return isMissing ? { ...schema, description } : schema;
}

function responseSchema(schema: JsonObject | undefined, context: Translation): JsonObject {
  if (schema === undefined || Object.keys(schema).length === 0) return {};
  const members = { json: "responseJsonSchema", openApi: "responseSchema" };
  return schemaMember(schema, "response_format.json_schema.schema", members, context);
}
