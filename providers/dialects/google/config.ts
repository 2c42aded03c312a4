// Sampling, limits and the form of the answer as `generationConfig`.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Gates } from "./gates.ts";
import { toJsonSchema } from "./json-schema.ts";
import { toOpenApiSchema } from "./openapi-schema.ts";
import type { Report } from "./report.ts";
import { toThinkingConfig } from "./thinking.ts";

const STOP_SEQUENCES_MAX = 5;

export interface ConfigContext {
  gates: Gates;
  report: Report;
}

/** The form of the answer. Where the model cannot enforce it, `instruction` asks for it in words. */
export interface AnswerForm {
  config: JsonObject;
  instruction?: string;
}

/** Everything but the form of the answer. `explicit` members replace translated ones entirely. */
export function toGenerationConfig(body: ChatBody, explicit: JsonObject, context: ConfigContext): JsonObject {
  const { gates, report } = context;
  const config: JsonObject = {
    maxOutputTokens: outputLimit(body, report),
    ...sampling(body, context),
    stopSequences: stopSequences(body.stop, report),
    candidateCount: candidateCount(body.n, context),
    seed: seed(body.seed, report),
    presencePenalty: penalty(body, "presence_penalty", context),
    frequencyPenalty: penalty(body, "frequency_penalty", context),
    thinkingConfig: explicit.thinkingConfig ?? toThinkingConfig(body, gates.thinking, report),
    ...explicit,
  };
  refuseMediaOutput(body, config.responseModalities, report);
  // The answer has no place for log-probabilities yet, and most models refuse the switch.
  if (body.logprobs === true) report.dropped("logprobs");
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

function outputLimit(body: ChatBody, report: Report): number | undefined {
  const field = body.max_completion_tokens != null ? "max_completion_tokens" : "max_tokens";
  const limit = body[field];
  if (limit == null) return undefined;
  if (Number.isInteger(limit) && Number(limit) > 0) return Number(limit);
  report.invalid(field, "invalid_value", `Invalid value for '${field}': expected an integer of at least 1.`);
  return undefined;
}

const SAMPLING = { temperature: "temperature", top_p: "topP", top_k: "topK" } as const;
/** OpenAI's defaults change nothing, so leaving them out is not worth a report. */
const SAMPLING_DEFAULT: Record<string, unknown> = { temperature: 1, top_p: 1 };

function sampling(body: ChatBody, { gates, report }: ConfigContext): JsonObject {
  const config: JsonObject = {};
  for (const [field, name] of Object.entries(SAMPLING)) {
    const value = body[field];
    if (value == null) continue;
    if (typeof value !== "number")
      report.invalid(field, "invalid_type", `Invalid type for '${field}': expected a number.`);
    else if (gates.sampling) config[name] = value;
    else if (value !== SAMPLING_DEFAULT[field]) report.dropped(field);
  }
  return config;
}

function stopSequences(stop: unknown, report: Report): string[] | undefined {
  if (stop == null) return undefined;
  const listed: unknown[] = Array.isArray(stop) ? stop : [stop];
  const sequences = listed.filter((sequence) => typeof sequence === "string");
  if (sequences.length < listed.length) {
    report.invalid("stop", "invalid_type", "Invalid type for 'stop': expected a string or a list of strings.");
  }
  const usable = sequences.filter((sequence) => sequence !== "");
  if (usable.length > STOP_SEQUENCES_MAX) {
    const message = `This model takes at most ${STOP_SEQUENCES_MAX} stop sequences; there are ${usable.length}.`;
    report.unsupported("stop", "invalid_value", message);
  }
  return usable.length === 0 ? undefined : usable;
}

function candidateCount(n: unknown, { gates, report }: ConfigContext): number | undefined {
  if (n == null || n === 1) return undefined;
  if (!Number.isInteger(n) || Number(n) < 1) report.invalid("n", "invalid_value", "Expected an integer of at least 1.");
  else if (!gates.multiCandidate) {
    report.unsupported("n", "unsupported_value", "This model gives one answer per request: 'n' must be 1.");
  } else return Number(n);
  return undefined;
}

/** The API takes 32 bits. */
function seed(value: unknown, report: Report): number | undefined {
  if (value == null) return undefined;
  if (!Number.isInteger(value)) {
    report.invalid("seed", "invalid_type", "Invalid type for 'seed': expected an integer.");
    return undefined;
  }
  const wrapped = Number(BigInt.asIntN(32, BigInt(Number(value))));
  if (wrapped !== value) report.clamped("seed", Number(value), wrapped);
  return wrapped;
}

function penalty(body: ChatBody, field: string, { gates, report }: ConfigContext): number | undefined {
  const value = body[field];
  if (value == null || value === 0) return undefined;
  if (typeof value !== "number")
    report.invalid(field, "invalid_type", `Invalid type for '${field}': expected a number.`);
  else if (!gates.penalties) report.dropped(field);
  // The API's range is half open: −2 ≤ x < 2.
  else if (value >= -2 && value < 2) return value;
  else report.unsupported(field, "unsupported_value", `'${field}' must be at least -2 and below 2.`);
  return undefined;
}

/** Answers have no place for images and audio yet: better no answer than one that was paid for and thrown away. */
function refuseMediaOutput(body: ChatBody, responseModalities: unknown, report: Report): void {
  const lists: [string, unknown][] = [
    ["modalities", body.modalities],
    ["google.response_modalities", responseModalities],
  ];
  for (const [field, list] of lists) {
    const isTextOnly = !Array.isArray(list) || list.every((modality) => firstText(modality).toLowerCase() === "text");
    if (!isTextOnly) report.unsupported(field, "unsupported_value", "Only text output is supported.");
  }
  if (body.audio != null) report.unsupported("audio", "unsupported_parameter", "Only text output is supported.");
}

export function answerForm(body: ChatBody, { gates, report }: ConfigContext): AnswerForm {
  const format = isObject(body.response_format) ? body.response_format : {};
  if (format.type === undefined || format.type === "text") return { config: {} };
  if (format.type !== "json_object" && format.type !== "json_schema") {
    const message = `Invalid value: '${firstText(format.type)}'; use one of: text, json_object, json_schema.`;
    report.invalid("response_format.type", "invalid_value", message);
    return { config: {} };
  }
  const described = isObject(format.json_schema) ? format.json_schema : {};
  const schema = isObject(described.schema) ? withDescription(described.schema, described.description) : undefined;
  const hasTools =
    objectsIn(body.tools).length > 0 || objectsIn(body.functions).length > 0 || isObject(body.web_search_options);
  if (hasTools && !gates.jsonWithTools) {
    report.downgraded("response_format");
    const matching = schema === undefined ? "." : ` matching this schema: ${JSON.stringify(schema)}`;
    return { config: {}, instruction: `Respond only with JSON${matching}` };
  }
  return { config: { responseMimeType: "application/json", ...responseSchema(schema, { gates, report }) } };
}

function withDescription(schema: JsonObject, description: unknown): JsonObject {
  const isMissing = schema.description === undefined && typeof description === "string" && description !== "";
  return isMissing ? { ...schema, description } : schema;
}

function responseSchema(schema: JsonObject | undefined, { gates, report }: ConfigContext): JsonObject {
  if (schema === undefined || Object.keys(schema).length === 0) return {};
  const result = gates.jsonSchema ? toJsonSchema(schema) : toOpenApiSchema(schema);
  if ("problem" in result) {
    report.unsupported("response_format.json_schema.schema", "invalid_schema", `Invalid schema: ${result.problem}.`);
    return {};
  }
  if (result.schema === undefined) return {};
  return gates.jsonSchema ? { responseJsonSchema: result.schema } : { responseSchema: result.schema };
}
