// What Bedrock's Converse refuses: the form of requests and conversations, and what Claude refuses behind it.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { blockViolations } from "./bedrock-blocks.ts";
import { invalid, NAME, profileOf } from "./bedrock-words.ts";
import { firstOf, given, isInteger, type Violations } from "./check.ts";
import { type Call, type Fault, text } from "./face.ts";

export const validateBedrock = firstOf(violations);

const KEYS = [
  ..."system messages inferenceConfig toolConfig guardrailConfig additionalModelRequestFields".split(" "),
  ..."additionalModelResponseFieldPaths promptVariables requestMetadata performanceConfig serviceTier outputConfig".split(
    " ",
  ),
];

function* violations(call: Call): Violations {
  const { body } = call;
  for (const key of Object.keys(body)) {
    if (!KEYS.includes(key)) yield invalid(`Malformed input request: extraneous key [${key}] is not permitted`);
  }
  yield* inference(body.inferenceConfig);
  yield* tools(body);
  yield* conversation(call);
  if (
    given(body.serviceTier) &&
    !["default", "flex", "priority"].includes(text((body.serviceTier as JsonObject).type))
  ) {
    yield invalid("1 validation error detected: Value at 'serviceTier.type' failed to satisfy constraint");
  }
  if (call.model.includes("claude")) yield* claude(call);
}

function* inference(config: unknown): Violations {
  if (!given(config)) return;
  const { maxTokens, temperature, topP, stopSequences, ...others } = config as JsonObject;
  for (const key of Object.keys(others))
    yield invalid(`Malformed input request: extraneous key [${key}] is not permitted`);
  if (given(maxTokens) && !(isInteger(maxTokens) && maxTokens >= 1)) yield outOf("maxTokens");
  if (given(temperature) && !isShare(temperature)) yield outOf("temperature");
  if (given(topP) && !isShare(topP)) yield outOf("topP");
  if (given(stopSequences) && !(Array.isArray(stopSequences) && stopSequences.every((one) => text(one) !== ""))) {
    yield outOf("stopSequences");
  }
}

function outOf(field: string): Fault {
  return invalid(`1 validation error detected: Value at 'inferenceConfig.${field}' failed to satisfy constraint`);
}

function isShare(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function* tools({ toolConfig: config }: JsonObject): Violations {
  if (!given(config)) return;
  const { tools: offered, toolChoice } = config as JsonObject;
  const specs = objectsIn(offered).flatMap(({ toolSpec }) => (isObject(toolSpec) ? [toolSpec] : []));
  if (specs.length === 0) yield invalid("The value at toolConfig.tools is empty. Specify at least one tool.");
  for (const { name, description, inputSchema } of specs) {
    if (!NAME.test(text(name))) yield invalid(`Value '${text(name)}' at 'toolConfig.tools.toolSpec.name' is not valid`);
    if (description === "") yield invalid("Value at 'toolConfig.tools.toolSpec.description' must not be empty");
    const schema = isObject(inputSchema) ? inputSchema.json : undefined;
    if (!isObject(schema) || schema.type !== "object")
      yield invalid("The value at toolSpec.inputSchema.json.type must be object.");
  }
  const names = specs.map(({ name }) => name);
  if (new Set(names).size < names.length) yield invalid("The toolConfig contains tools with the same name.");
  if (!given(toolChoice)) return;
  const [kind = "", ...more] = Object.keys(toolChoice as JsonObject);
  if (more.length > 0 || !["auto", "any", "tool"].includes(kind))
    yield invalid("The toolChoice must be one of auto, any, tool.");
  const chosen = (toolChoice as JsonObject).tool;
  if (isObject(chosen) && !names.includes(chosen.name)) yield invalid("The tool of toolChoice is not among the tools.");
}

function* conversation(call: Call): Violations {
  const { body, model } = call;
  const messages = objectsIn(body.messages);
  if (messages.length === 0) yield invalid("A conversation must have at least one message.");
  if (messages[0]?.role !== "user") yield invalid("A conversation must start with a user message.");
  const mayEnd = messages.at(-1)?.role === "user" || (model.includes("claude") && profileOf(model).prefill);
  if (!mayEnd)
    yield invalid(
      "This model does not support assistant message prefill. The conversation must end with a user message.",
    );
  for (const block of objectsIn(body.system)) {
    if (Object.keys(block).length !== 1) yield invalid("A system block has exactly one member.");
    if (text(block.text).trim() === "" && !isObject(block.cachePoint))
      yield invalid("The text field in the system is blank.");
  }
  for (const [at, { role, content }] of messages.entries()) {
    if (!["user", "assistant"].includes(text(role)))
      yield invalid(`Value '${text(role)}' at 'messages.role' is not valid`);
    if (role === messages[at - 1]?.role)
      yield invalid("A conversation must alternate between user and assistant roles.");
    const blocks = objectsIn(content);
    if (blocks.length === 0) yield invalid(`The content field in the Message object at messages.${at} is empty.`);
    for (const block of blocks) yield* blockViolations(block, text(role), call);
    yield* results(objectsIn(messages[at - 1]?.content), blocks, at);
  }
}

/** Every call of a turn is answered in the next one, and nothing else is. */
function* results(before: JsonObject[], blocks: JsonObject[], at: number): Violations {
  const ids = (of: JsonObject[], member: string) =>
    of.flatMap((block) => (isObject(block[member]) ? [text(block[member].toolUseId)] : []));
  const called = ids(before, "toolUse").sort();
  const answered = ids(blocks, "toolResult").sort();
  if (called.join() === answered.join()) return;
  const numbers = `messages.${at}.content: expected toolResult blocks for ${called.join(", ")}, found ${answered.join(", ")}`;
  yield invalid(`The number of toolResult blocks at ${numbers} exceeds or misses toolUse blocks of the previous turn.`);
}

/** What the vendor itself refuses arrives wrapped. */
function behind(message: string): Fault {
  return invalid(`The model returned the following errors: ${message}`);
}

function* claude({ model, body }: Call): Violations {
  const profile = profileOf(model);
  const fields = isObject(body.additionalModelRequestFields) ? body.additionalModelRequestFields : {};
  const { maxTokens, temperature, topP } = isObject(body.inferenceConfig) ? body.inferenceConfig : ({} as JsonObject);
  const { thinking: told, output_config: output, top_k: topK, ...others } = fields;
  for (const key of Object.keys(others)) yield behind(`${key}: Extra inputs are not permitted`);
  const thinking = isObject(told) ? told : {};
  const type = text(thinking.type);
  if (type !== "" && !(profile.thinking as string[]).includes(type))
    yield behind(`"thinking.type.${type}" is not supported for this model.`);
  const budget = thinking.budget_tokens;
  if (type === "enabled" && !(isInteger(budget) && budget >= 1024 && isInteger(maxTokens) && budget < maxTokens)) {
    yield behind("`max_tokens` must be greater than `thinking.budget_tokens`.");
  }
  const thinks = type === "enabled" || type === "adaptive";
  const isForced =
    isObject(body.toolConfig) && isObject(body.toolConfig.toolChoice) && !("auto" in body.toolConfig.toolChoice);
  if (isForced && !profile.forcedTools)
    yield behind("tool_choice forces tool use, which is not supported for this model.");
  if (thinks && isForced && !profile.forcedWithThinking)
    yield behind("Thinking may not be enabled when tool_choice forces tool use.");
  const isFree = temperature === undefined || temperature === 1;
  if ((thinks || profile.sampling === "none") && !isFree)
    yield behind("`temperature` may only be set to 1 for this model.");
  if ((thinks || profile.sampling === "none") && topK !== undefined)
    yield behind("`top_k` is deprecated for this model.");
  if (profile.sampling === "none" && topP !== undefined && topP !== 1)
    yield behind("`top_p` is deprecated for this model.");
  if (profile.sampling === "one" && temperature !== undefined && topP !== undefined) {
    yield behind("`temperature` and `top_p` cannot both be specified for this model.");
  }
  if (isInteger(maxTokens) && maxTokens > profile.maxTokens) {
    yield behind(
      `max_tokens: ${maxTokens} > ${profile.maxTokens}, which is the maximum allowed number of output tokens`,
    );
  }
  if (!isObject(output)) return;
  if (given(output.effort) && !profile.efforts.includes(text(output.effort)))
    yield behind("This model does not support effort level");
  if (given(output.format) && !profile.structuredOutputs)
    yield behind("output_config.format is not supported for this model.");
}
