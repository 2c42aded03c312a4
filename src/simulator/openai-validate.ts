// What OpenAI's Chat Completions API refuses, in its own words.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { firstOf, given, isInteger, isText, type Violations } from "./check.ts";
import { type Call, countTokens, type Fault, text } from "./face.ts";
import { messageViolations } from "./openai-messages.ts";
import { gptProfile } from "./openai-models.ts";
import { strictViolations } from "./openai-schema.ts";
import { toolViolations } from "./openai-tools.ts";
import { choices, emptyArray, invalid, missing, typeOf, wrongType } from "./openai-words.ts";

export const validateOpenai = firstOf(violations);

type Kind = "string" | "boolean" | "object" | "array" | "integer" | "decimal" | "any";

interface Field {
  kind: Kind;
  min?: number;
  max?: number;
  values?: readonly string[];
}

/** Every request argument there is, with what can be said about it alone. */
const fields: Record<string, Field> = {
  model: { kind: "string" },
  messages: { kind: "array" },
  audio: { kind: "object" },
  frequency_penalty: { kind: "decimal", min: -2, max: 2 },
  function_call: { kind: "any" },
  functions: { kind: "array" },
  logit_bias: { kind: "object" },
  logprobs: { kind: "boolean" },
  max_completion_tokens: { kind: "integer", min: 1 },
  max_tokens: { kind: "integer", min: 1 },
  metadata: { kind: "object" },
  modalities: { kind: "array" },
  moderation: { kind: "object" },
  n: { kind: "integer", min: 1, max: 128 },
  parallel_tool_calls: { kind: "boolean" },
  prediction: { kind: "object" },
  presence_penalty: { kind: "decimal", min: -2, max: 2 },
  prompt_cache_key: { kind: "string" },
  prompt_cache_options: { kind: "object" },
  prompt_cache_retention: { kind: "string", values: ["in_memory", "24h"] },
  reasoning_effort: { kind: "string", values: ["none", "minimal", "low", "medium", "high", "xhigh", "max"] },
  response_format: { kind: "object" },
  safety_identifier: { kind: "string" },
  seed: { kind: "integer" },
  service_tier: { kind: "string", values: ["auto", "default", "flex", "scale", "priority", "fast"] },
  stop: { kind: "any" },
  store: { kind: "boolean" },
  stream: { kind: "boolean" },
  stream_options: { kind: "object" },
  temperature: { kind: "decimal", min: 0, max: 2 },
  tool_choice: { kind: "any" },
  tools: { kind: "array" },
  top_logprobs: { kind: "integer", min: 0, max: 20 },
  top_p: { kind: "decimal", min: 0, max: 1 },
  user: { kind: "string" },
  verbosity: { kind: "string", values: ["low", "medium", "high"] },
  web_search_options: { kind: "object" },
};

function* violations(call: Call): Violations {
  const { body } = call;
  const unknown = Object.keys(body).filter((name) => !Object.hasOwn(fields, name));
  if (unknown.length > 0) {
    const plural = unknown.length > 1 ? "s" : "";
    yield invalid(null, null, `Unrecognized request argument${plural} supplied: ${unknown.join(", ")}`);
  }
  if (!given(body.model) || body.model === "") yield invalid(null, null, "you must provide a model parameter");
  if (!given(body.messages)) yield missing("messages");
  for (const [name, field] of Object.entries(fields)) {
    if (given(body[name])) yield* fieldViolations(name, body[name], field);
  }
  if ((body.messages as unknown[]).length === 0) yield emptyArray("messages");
  yield* modelViolations(call);
  yield* combinationViolations(body);
  yield* stopViolations(body.stop);
  yield* formatViolations(body);
  yield* toolViolations(body);
  yield* messageViolations(body.messages as unknown[]);
  yield* sizeViolations(call);
}

function* fieldViolations(name: string, value: unknown, field: Field): Violations {
  const { kind, min, max, values } = field;
  const number = kind === "integer" || kind === "decimal";
  const fits = kind === "any" || (number ? typeof value === "number" : typeOf(value) === kind);
  if (!fits) yield wrongType(name, kind, value);
  else if (kind === "integer" && !isInteger(value)) yield wrongType(name, kind, value);
  else if (typeof value === "number" && (value < (min ?? value) || value > (max ?? value))) {
    yield outside(name, field, value);
  } else if (values !== undefined && !values.includes(text(value))) yield choices(name, value, values);
}

function outside(name: string, { kind, min, max }: Field, value: number): Fault {
  const below = min !== undefined && value < min;
  const [side, edge, sign, bound] = below ? ["below", "min", ">=", min] : ["above", "max", "<=", max];
  const message = `Invalid '${name}': ${kind} ${side} ${edge}imum value. Expected a value ${sign} ${bound}, but got ${value} instead.`;
  return invalid(name, `${kind}_${side}_${edge}_value`, message);
}

const samplingFields = ["top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"];
const samplingDefaults: JsonObject = { top_p: 1, presence_penalty: 0, frequency_penalty: 0, logprobs: false };

function* modelViolations(call: Call): Violations {
  const { body, model } = call;
  const profile = gptProfile(model);
  if (given(body.max_tokens) && given(body.max_completion_tokens)) {
    const message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
    yield invalid("max_tokens", "invalid_parameter_combination", message);
  }
  if (profile.reasoning && given(body.max_tokens)) {
    const message =
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    yield invalid("max_tokens", "unsupported_parameter", message);
  }
  const effort = body.reasoning_effort;
  if (given(effort) && profile.efforts.length === 0) {
    yield invalid(null, null, "Unrecognized request argument supplied: reasoning_effort");
  } else if (given(effort) && !profile.efforts.includes(text(effort))) {
    const list = profile.efforts.map((one) => `'${one}'`).join(", ");
    const message = `Unsupported value: 'reasoning_effort' does not support '${effort}' with this model. Supported values are: ${list}.`;
    yield invalid("reasoning_effort", "unsupported_value", message);
  }
  const silent = profile.sampling === "effort-none" && (!given(effort) || effort === "none");
  if (profile.sampling !== "always" && !silent) yield* samplingViolations(body);
  if (!profile.stop && given(body.stop)) yield unsupported("stop");
}

function* samplingViolations(body: JsonObject): Violations {
  if (given(body.temperature) && body.temperature !== 1) {
    const message = `Unsupported value: 'temperature' does not support ${body.temperature} with this model. Only the default (1) value is supported.`;
    yield invalid("temperature", "unsupported_value", message);
  }
  for (const name of samplingFields) {
    if (given(body[name]) && body[name] !== samplingDefaults[name]) yield unsupported(name);
  }
}

function unsupported(name: string): Fault {
  return invalid(name, "unsupported_parameter", `Unsupported parameter: '${name}' is not supported with this model.`);
}

function* combinationViolations(body: JsonObject): Violations {
  if (given(body.stream_options)) {
    if (body.stream !== true) {
      yield invalid("stream_options", null, "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    }
    for (const name of Object.keys(body.stream_options as JsonObject)) {
      if (name === "include_usage" || name === "include_obfuscation") continue;
      yield invalid(`stream_options.${name}`, "unknown_parameter", `Unknown parameter: 'stream_options.${name}'.`);
    }
  }
  if (given(body.top_logprobs) && body.logprobs !== true) {
    yield invalid("top_logprobs", null, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.");
  }
}

function* stopViolations(stop: unknown): Violations {
  if (!given(stop) || isText(stop)) return;
  if (!Array.isArray(stop)) yield wrongType("stop", "string or array", stop);
  else if (stop.length > 4) {
    const message = `Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length ${stop.length} instead.`;
    yield invalid("stop", "array_above_max_length", message);
  } else if (!stop.every(isText))
    yield wrongType(
      "stop[0]",
      "string",
      stop.find((one) => !isText(one)),
    );
}

function* formatViolations(body: JsonObject): Violations {
  const format = body.response_format;
  if (!isObject(format)) return;
  if (!given(format.type)) yield missing("response_format.type");
  const types = ["json_object", "json_schema", "text"];
  if (!types.includes(text(format.type))) yield choices("response_format.type", format.type, types);
  if (format.type === "json_object" && !/json/i.test(JSON.stringify(body.messages))) {
    const message =
      "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
    yield invalid("messages", null, message);
  }
  if (format.type !== "json_schema") return;
  const declared = format.json_schema;
  if (!isObject(declared)) yield missing("response_format.json_schema");
  else {
    if (!given(declared.name)) yield missing("response_format.json_schema.name");
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(text(declared.name))) {
      const message =
        "Invalid 'response_format.json_schema.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.";
      yield invalid("response_format.json_schema.name", "invalid_value", message);
    }
    if (declared.strict === true)
      yield* strictViolations(`response_format '${declared.name}'`, "response_format", declared.schema);
  }
}

function* sizeViolations(call: Call): Violations {
  const { body, model } = call;
  const profile = gptProfile(model);
  const [name, limit] = given(body.max_tokens)
    ? ["max_tokens", body.max_tokens]
    : ["max_completion_tokens", body.max_completion_tokens];
  if (typeof limit === "number" && limit > profile.maxTokens) {
    const message = `${name} is too large: ${limit}. This model supports at most ${profile.maxTokens} completion tokens, whereas you provided ${limit}.`;
    yield invalid(text(name), "invalid_value", message);
  }
  const characters = objectsIn(body.messages).reduce(
    (sum, { content }) => sum + (isText(content) ? content.length : partsLength(content)),
    0,
  );
  const tokens = Math.ceil(characters / 4);
  if (tokens > profile.contextTokens) {
    const message = `This model's maximum context length is ${profile.contextTokens} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`;
    yield invalid("messages", "context_length_exceeded", message);
  }
}

function partsLength(content: unknown): number {
  return objectsIn(content).reduce((sum, part) => sum + countTokens(text(part.text)) * 4, 0);
}
