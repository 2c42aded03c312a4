// What the Gemini API refuses about tools, the choice among them, and its own dialect of schemas.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { given, isText, type Violations } from "./check.ts";
import { text } from "./face.ts";
import { field, invalid } from "./google-words.ts";

export function* toolViolations(body: JsonObject): Violations {
  const tools = objectsIn(body.tools);
  for (const [at, tool] of tools.entries()) {
    const declared = tool.functionDeclarations;
    const kinds = Object.keys(tool).filter((kind) => given(tool[kind]));
    if (kinds.length === 0 || (kinds.length === 1 && Array.isArray(declared) && declared.length === 0)) {
      yield field(`tools[${at}].tool_type`, "required one_of 'tool_type' must have one initialized field");
    }
    for (const [index, declaration] of objectsIn(declared).entries()) {
      yield* declarationViolations(declaration, `tools[${at}].function_declarations[${index}]`);
    }
  }
  if (tools.filter((tool) => given(tool.functionDeclarations)).length > 1) {
    yield invalid("Multiple tools are supported only when they are all search tools.");
  }
  const names = tools
    .flatMap((tool) => objectsIn(tool.functionDeclarations))
    .map((declaration) => text(declaration.name));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) yield invalid(`Duplicate function declaration found: ${twice}`);
  yield* choiceViolations(body, names);
}

function* declarationViolations(declaration: JsonObject, at: string): Violations {
  if (!/^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$/.test(text(declaration.name))) {
    const rule =
      "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), " +
      "underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.";
    yield field(`${at}.name`, rule);
  }
  if (given(declaration.parameters) && given(declaration.parametersJsonSchema)) {
    yield field(at, "only one of parameters and parameters_json_schema may be set.");
  }
  yield* schemaViolations(declaration.parameters, `${at}.parameters`);
}

const modes = ["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"];

function* choiceViolations(body: JsonObject, names: string[]): Violations {
  const config = isObject(body.toolConfig) ? body.toolConfig.functionCallingConfig : undefined;
  if (!isObject(config)) return;
  const mode = text(config.mode).toUpperCase();
  if (given(config.mode) && !modes.includes(mode)) {
    const type = "type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode";
    yield invalid(`Invalid value at 'tool_config.function_calling_config.mode' (${type}), "${config.mode}"`);
  }
  if (names.length === 0) yield invalid("Function calling config is set without function_declarations.");
  const allowed = Array.isArray(config.allowedFunctionNames) ? config.allowedFunctionNames.map(String) : [];
  if (allowed.length === 0) return;
  if (mode !== "ANY" && mode !== "VALIDATED") {
    yield invalid("Allowed function names should be set only when function calling mode is ANY.");
  }
  const stranger = allowed.find((name) => !names.includes(name));
  if (stranger !== undefined) {
    const path = "tool_config.function_calling_config.allowed_function_names";
    yield field(path, `function ${stranger} is not declared.`);
  }
}

const types = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED"];
const formats: Record<string, string[]> = {
  STRING: ["enum", "date-time"],
  INTEGER: ["int32", "int64", "enum"],
  NUMBER: ["float", "double", "enum"],
};

/** Rules of the schema dialect beyond its fields, which the shape has checked. */
export function* schemaViolations(schema: unknown, at: string, isProperty = false): Violations {
  if (!isObject(schema)) return;
  const type = text(schema.type).toUpperCase();
  if (given(schema.type) && !types.includes(type)) {
    yield invalid(
      `Invalid value at '${at}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), "${schema.type}"`,
    );
  }
  const properties = isObject(schema.properties) ? schema.properties : {};
  // A property may be an object of unknown shape, a whole schema may not.
  if (type === "OBJECT" && Object.keys(properties).length === 0 && !isProperty) {
    yield field(`${at}.properties`, "should be non-empty for OBJECT type");
  }
  if (type === "ARRAY" && !given(schema.items)) yield field(`${at}.items`, "missing field.");
  const format = text(schema.format);
  if (format !== "" && formats[type] !== undefined && !formats[type].includes(format)) {
    const words = formats[type].map((one) => `'${one}'`).join(", ");
    yield field(`${at}.format`, `only ${words} are supported for ${type} type`);
  }
  const values = Array.isArray(schema.enum) ? schema.enum.filter(isText) : [];
  if (values.includes("")) yield field(`${at}.enum[${values.indexOf("")}]`, "cannot be empty");
  for (const [index, name] of (Array.isArray(schema.required) ? schema.required : []).entries()) {
    if (!Object.hasOwn(properties, String(name))) yield field(`${at}.required[${index}]`, "property is not defined");
  }
  for (const [name, property] of Object.entries(properties)) {
    yield* schemaViolations(property, `${at}.properties[${name}]`, true);
  }
  yield* schemaViolations(schema.items, `${at}.items`, true);
  for (const [index, one] of objectsIn(schema.anyOf).entries())
    yield* schemaViolations(one, `${at}.any_of[${index}]`, true);
}
