// What Anthropic refuses about tools, the choice among them, and schemas for structured output.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import type { ClaudeProfile } from "./anthropic-models.ts";
import { invalid, knownTag, noExtras, required } from "./anthropic-words.ts";
import { given, type Violations } from "./check.ts";
import { text } from "./face.ts";

const toolKeys = [
  "name",
  "description",
  "input_schema",
  "type",
  "cache_control",
  "strict",
  "allowed_callers",
  "defer_loading",
  "eager_input_streaming",
  "input_examples",
];

export function* toolViolations(body: JsonObject, profile: ClaudeProfile): Violations {
  if (given(body.tools) && !Array.isArray(body.tools)) yield invalid("tools: Input should be a valid list");
  const tools = objectsIn(body.tools);
  for (const [at, tool] of tools.entries()) {
    // Tools the server runs have a dated type and their own fields.
    if (/_\d{8}$/.test(text(tool.type))) continue;
    yield* customTool(tool, `tools.${at}.custom`);
  }
  if (new Set(tools.map((tool) => tool.name)).size < tools.length) yield invalid("tools: Tool names must be unique.");
  yield* choiceViolations(body, tools, profile);
}

function* customTool(tool: JsonObject, at: string): Violations {
  yield* noExtras(at, tool, toolKeys);
  yield* required(`${at}.name`, tool.name);
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(text(tool.name))) {
    yield invalid(`${at}.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`);
  }
  const schema = tool.input_schema;
  yield* required(`${at}.input_schema`, schema);
  if (!isObject(schema)) yield invalid(`${at}.input_schema: Input should be a valid dictionary`);
  else {
    yield* required(`${at}.input_schema.type`, schema.type);
    if (schema.type !== "object") yield invalid(`${at}.input_schema.type: Input should be 'object'`);
    if (["oneOf", "allOf", "anyOf"].some((word) => given(schema[word]))) {
      yield invalid(`${at}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level`);
    }
    if (tool.strict === true) yield* closedSchema(`${at}.input_schema`, schema);
  }
}

const choiceKeys: Record<string, string[]> = {
  auto: ["type", "disable_parallel_tool_use"],
  any: ["type", "disable_parallel_tool_use"],
  tool: ["type", "name", "disable_parallel_tool_use"],
  none: ["type"],
};

function* choiceViolations(body: JsonObject, tools: JsonObject[], profile: ClaudeProfile): Violations {
  const choice = body.tool_choice;
  if (!given(choice)) return;
  if (!isObject(choice)) {
    yield invalid("tool_choice: Input should be a valid dictionary or object to extract fields from");
    return;
  }
  yield* knownTag("tool_choice", choice, Object.keys(choiceKeys));
  const type = text(choice.type);
  yield* noExtras(`tool_choice.${type}`, choice, choiceKeys[type] ?? []);
  if (tools.length === 0) yield invalid("tool_choice: tool_choice may only be specified while providing tools.");
  if (type === "tool") {
    yield* required("tool_choice.tool.name", choice.name);
    if (!tools.some((tool) => tool.name === choice.name))
      yield invalid(`Tool '${choice.name}' not found in provided tools`);
  }
  if (type !== "tool" && type !== "any") return;
  if (!profile.forcedTools) yield invalid('tool_choice: type "tool" and "any" are not supported for this model.');
  const thinks = isObject(body.thinking) && ["enabled", "adaptive"].includes(text(body.thinking.type));
  if (thinks && !profile.forcedWithThinking) {
    yield invalid("Thinking may not be enabled when tool_choice forces tool use.");
  }
}

export function* formatViolations(body: JsonObject, profile: ClaudeProfile): Violations {
  const format = isObject(body.output_config) ? body.output_config.format : undefined;
  if (!isObject(format)) return;
  const at = "output_config.format";
  if (!profile.structuredOutputs) yield invalid(`${at}: structured outputs are not supported on this model`);
  yield* knownTag(at, format, ["json_schema"]);
  yield* noExtras(at, format, ["type", "schema"]);
  yield* required(`${at}.schema`, format.schema);
  yield* closedSchema(`${at}.schema`, format.schema);
}

const refusedKeywords: Record<string, string[]> = {
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  string: ["minLength", "maxLength"],
  array: ["maxItems", "uniqueItems"],
  object: ["minProperties", "maxProperties", "patternProperties", "propertyNames"],
};

/** The subset of JSON Schema that constrained decoding takes. */
function* closedSchema(at: string, schema: unknown): Violations {
  if (!isObject(schema)) return;
  const type = text(schema.type);
  const refused = (refusedKeywords[type] ?? []).filter((word) => given(schema[word])).sort();
  if (refused.length > 0)
    yield invalid(`${at}: For '${type}' type, properties ${refused.join(", ")} are not supported`);
  if (type === "array" && Number(schema.minItems) > 1) {
    yield invalid(`${at}: For 'array' type, 'minItems' values other than 0 or 1 are not supported`);
  }
  if (type === "object" && schema.additionalProperties !== false) {
    yield invalid(`${at}: For 'object' type, 'additionalProperties' must be explicitly set to false`);
  }
  if (given(schema.oneOf)) yield invalid(`${at}: Schema type 'oneOf' is not supported`);
  for (const name of ["properties", "$defs"]) {
    for (const [key, one] of Object.entries(isObject(schema[name]) ? schema[name] : {})) {
      yield* closedSchema(`${at}.${name}.${key}`, one);
    }
  }
  yield* closedSchema(`${at}.items`, schema.items);
  for (const one of objectsIn(schema.anyOf)) yield* closedSchema(`${at}.anyOf`, one);
}
