// What the Gemini API refuses, in its own words.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { firstOf, given, isText, type Violations } from "./check.ts";
import { type Call, type Fault, text } from "./face.ts";
import { contentViolations } from "./google-contents.ts";
import { type GeminiProfile, geminiProfile } from "./google-models.ts";
import { shapeViolations } from "./google-shape.ts";
import { schemaViolations, toolViolations } from "./google-tools.ts";
import { field, invalid } from "./google-words.ts";

export const validateGoogle = firstOf(violations);

const inputTokensMax = 1_048_576;

function* violations(call: Call): Violations {
  const { body, model } = call;
  yield* unparsable(body);
  const profile = geminiProfile(model);
  const config = isObject(body.generationConfig) ? body.generationConfig : {};
  yield* contentViolations(body, model, profile);
  yield* toolViolations(body);
  yield* samplingViolations(config, model, profile);
  yield* thinkingViolations(config, profile);
  yield* formatViolations(config, body, profile);
  const tokens = Math.ceil(JSON.stringify(objectsIn(body.contents).map(partTexts)).length / 4);
  if (tokens > inputTokensMax) {
    yield invalid(
      `The input token count (${tokens}) exceeds the maximum number of tokens allowed (${inputTokensMax}).`,
    );
  }
}

function partTexts(content: JsonObject): string {
  return objectsIn(content.parts)
    .map((part) => text(part.text))
    .join("");
}

function* unparsable(body: JsonObject): Violations {
  const found = shapeViolations(body);
  if (found.length === 0) return;
  const fieldViolations = found.map(({ path, message }) =>
    path === "" ? { description: message } : { field: path, description: message },
  );
  const fault: Fault = {
    status: 400,
    message: found.map(({ message }) => message).join("\n"),
    details: [{ "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations }],
  };
  yield fault;
}

const ranges: Record<string, { min: number; max: number; words: string }> = {
  temperature: { min: 0, max: 2, words: "in the range [0.0, 2.0]" },
  topP: { min: 0, max: 1, words: "in the range [0.0, 1.0]" },
  topK: { min: 1, max: Number.POSITIVE_INFINITY, words: "positive" },
  maxOutputTokens: { min: 1, max: Number.POSITIVE_INFINITY, words: "positive" },
  candidateCount: { min: 1, max: 8, words: "in the range [1, 8]" },
};

function* samplingViolations(config: JsonObject, model: string, profile: GeminiProfile): Violations {
  for (const [name, { min, max, words }] of Object.entries(ranges)) {
    const value = config[name];
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (typeof value === "number" && (value < min || value > max)) {
      yield field(`generation_config.${snake}`, `${snake} must be ${words}.`);
    }
  }
  if ([config.presencePenalty, config.frequencyPenalty].some((penalty) => given(penalty) && penalty !== 0)) {
    yield invalid(`Penalty is not enabled for models/${model}`);
  }
  if (Number(config.candidateCount) > 1 && !profile.multiCandidate) {
    yield invalid("Multiple candidates is not enabled for this model");
  }
  if (config.responseLogprobs === true || given(config.logprobs)) {
    yield invalid(`Logprobs is not enabled for models/${model}`);
  }
  const stops = Array.isArray(config.stopSequences) ? config.stopSequences.filter(isText) : [];
  if (stops.length > 5) {
    yield field(
      "generation_config.stop_sequences",
      `at most 5 stop sequences are allowed, but ${stops.length} were given.`,
    );
  }
  if (stops.includes("")) yield field("generation_config.stop_sequences", "stop sequences must not be empty.");
}

function* thinkingViolations(config: JsonObject, profile: GeminiProfile): Violations {
  const thinking = config.thinkingConfig;
  if (!isObject(thinking)) return;
  const { thinkingBudget: budget, thinkingLevel: level } = thinking;
  if (profile.thinking === "none") yield invalid("Thinking is not supported by this model.");
  if (given(budget) && given(level)) yield invalid("You can only set only one of thinking budget and thinking level.");
  if (given(level)) {
    if (profile.thinking !== "level") yield invalid("Thinking level is not supported for this model.");
    const known = ["minimal", "low", "medium", "high", "thinking_level_unspecified"];
    const said = text(level).toLowerCase();
    if (!known.includes(said)) {
      const type = "type.googleapis.com/google.ai.generativelanguage.v1beta.ThinkingConfig.ThinkingLevel";
      yield invalid(`Invalid value at 'generation_config.thinking_config.thinking_level' (${type}), "${level}"`);
    }
    if (!profile.thinkingLevels.includes(said)) {
      yield invalid(`Thinking level ${said.toUpperCase()} is not supported for this model.`);
    }
  }
  if (budget === 0 && !profile.canStopThinking) {
    yield invalid("Budget 0 is invalid. This model only works in thinking mode.");
  }
  const [least, most] = profile.budget;
  const special = budget === 0 || budget === -1;
  if (typeof budget === "number" && !special && (budget < least || budget > most)) {
    yield invalid(`The thinking budget ${budget} is invalid. Please choose a value between ${least} and ${most}.`);
  }
}

const mimeTypes = ["text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum"];

function* formatViolations(config: JsonObject, body: JsonObject, profile: GeminiProfile): Violations {
  const mime = config.responseMimeType;
  if (given(mime) && !mimeTypes.includes(text(mime))) {
    const list = mimeTypes.map((one) => `\`${one}\``);
    const rule = `allowed mimetypes are ${list.slice(0, -1).join(", ")} and ${list.at(-1)}.`;
    yield field("generation_config.response_mime_type", rule);
  }
  const schemas = ["responseSchema", "responseJsonSchema"].filter((name) => given(config[name]));
  if (schemas.length === 2) {
    yield invalid("Only one of response_schema and response_json_schema may be set.");
  }
  if (schemas.length > 0 && mime !== "application/json" && mime !== "text/x.enum") {
    yield field(
      "generation_config.response_schema",
      "only allowed when mimetype is `application/json`, `text/x.enum`.",
    );
  }
  yield* schemaViolations(config.responseSchema, "generation_config.response_schema");
  const functions = objectsIn(body.tools).some((tool) => given(tool.functionDeclarations));
  if (mime === "application/json" && functions && !profile.jsonWithTools) {
    yield invalid("Function calling with a response mime type: 'application/json' is unsupported");
  }
}
