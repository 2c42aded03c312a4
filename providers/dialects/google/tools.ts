// Tools and the choice among them.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Gates } from "./gates.ts";
import { toJsonSchema } from "./json-schema.ts";
import type { FunctionNames } from "./names.ts";
import { toOpenApiSchema } from "./openapi-schema.ts";
import type { Report } from "./report.ts";
import { isEmptySchema } from "./schema-rules.ts";

export interface ToolContext {
  gates: Gates;
  names: FunctionNames;
  report: Report;
}

/** Members of the request body. */
export interface ToolSettings {
  tools?: JsonObject[];
  toolConfig?: JsonObject;
}

/** Tools that Google runs itself, as they are called in the extension `tools: [{type}]`. */
const BUILT_IN = new Map([
  ["google_search", "googleSearch"],
  ["url_context", "urlContext"],
  ["code_execution", "codeExecution"],
  ["google_maps", "googleMaps"],
]);

interface Declared {
  /** The caller's name. */
  name: string;
  strict: boolean;
  declaration: JsonObject;
}

export function toTools(body: ChatBody, context: ToolContext): ToolSettings {
  const functions = declarations(body, context);
  const builtIn = builtInTools(body, context);
  if (functions.length > 0 && builtIn.length > 0) {
    // Their parts would have to come back to Google with the next request (BerriAI/litellm#31115).
    const message = "Google's own tools cannot be combined with functions here.";
    context.report.unsupported("tools", "unsupported_tool", message);
  }
  const choice = choiceOf(body, functions, context);
  const offered = choice.offered.map(({ declaration }) => declaration);
  // All functions in one tool: several are only allowed when they are all search tools.
  const tools = [...(offered.length > 0 ? [{ functionDeclarations: offered }] : []), ...builtIn];
  return {
    ...(tools.length > 0 && { tools }),
    ...(choice.config !== undefined && { toolConfig: { functionCallingConfig: choice.config } }),
  };
}

function declarations(body: ChatBody, context: ToolContext): Declared[] {
  const declared: Declared[] = [];
  objectsIn(body.tools).forEach((tool, i) => {
    const at = `tools[${i}]`;
    if (tool.type === "function" && isObject(tool.function)) {
      declared.push(declare(tool.function, `${at}.function`, context));
    } else if (!BUILT_IN.has(firstText(tool.type))) {
      const message = `Tools of type '${firstText(tool.type)}' are not supported by this model.`;
      context.report.unsupported(at, "unsupported_tool", message);
    }
  });
  objectsIn(body.functions).forEach((one, i) => {
    declared.push(declare(one, `functions[${i}]`, context));
  });
  return declared;
}

function declare(described: JsonObject, at: string, context: ToolContext): Declared {
  const name = firstText(described.name);
  if (name === "") context.report.invalid(`${at}.name`, "invalid_value", "A function needs a name.");
  const description = firstText(described.description);
  const declaration: JsonObject = {
    name: context.names.toWire(name),
    ...(description !== "" && { description }),
    ...parametersOf(described.parameters, `${at}.parameters`, context),
  };
  return { name, strict: described.strict === true, declaration };
}

function parametersOf(parameters: unknown, at: string, { gates, report }: ToolContext): JsonObject {
  if (!isObject(parameters) || isEmptySchema(parameters)) return {};
  const result = gates.jsonSchema ? toJsonSchema(parameters) : toOpenApiSchema(parameters);
  if ("problem" in result) {
    report.unsupported(at, "invalid_schema", `Invalid schema: ${result.problem}.`);
    return {};
  }
  if (result.schema === undefined) return {};
  return gates.jsonSchema ? { parametersJsonSchema: result.schema } : { parameters: result.schema };
}

function builtInTools(body: ChatBody, { report }: ToolContext): JsonObject[] {
  const names = objectsIn(body.tools).flatMap(({ type }) => BUILT_IN.get(firstText(type)) ?? []);
  const options = body.web_search_options;
  if (isObject(options)) {
    names.push("googleSearch");
    for (const [name, value] of Object.entries(options))
      if (value != null) report.dropped(`web_search_options.${name}`);
  }
  return [...new Set(names)].map((name) => ({ [name]: {} }));
}

interface Choice {
  offered: Declared[];
  config?: JsonObject;
}

function choiceOf(body: ChatBody, functions: Declared[], context: ToolContext): Choice {
  const choice = body.tool_choice ?? legacyChoice(body.function_call);
  const forced = choice === "required" || isObject(choice);
  if (functions.length === 0) {
    if (forced) context.report.invalid("tool_choice", "invalid_value", "'tool_choice' needs 'tools'.");
    return { offered: [] };
  }
  if (body.parallel_tool_calls === false) context.report.dropped("parallel_tool_calls");
  // A forced choice stays ANY, or the model might answer in words (vercel/ai#18748).
  const auto = functions.some(({ strict }) => strict) ? { mode: "VALIDATED" } : { mode: "AUTO" };
  if (choice == null) return auto.mode === "AUTO" ? { offered: functions } : { offered: functions, config: auto };
  if (choice === "auto") return { offered: functions, config: auto };
  if (choice === "none") return { offered: functions, config: { mode: "NONE" } };
  if (choice === "required") return { offered: functions, config: { mode: "ANY" } };
  return namedChoice(choice, functions, auto, context);
}

function namedChoice(choice: unknown, functions: Declared[], auto: JsonObject, context: ToolContext): Choice {
  const { type, allowed_tools, function: named }: JsonObject = isObject(choice) ? choice : {};
  const allowed = type === "allowed_tools" && isObject(allowed_tools) ? allowed_tools : undefined;
  const holders = allowed === undefined ? [named] : objectsIn(allowed.tools).map((tool) => tool.function);
  const wanted = holders.map((holder) => (isObject(holder) ? firstText(holder.name) : ""));
  const unknown = wanted.find((name) => !functions.some((one) => one.name === name));
  if (unknown !== undefined || wanted.length === 0) {
    const message = `The tool choice names a function that is not in 'tools': '${unknown ?? ""}'.`;
    context.report.invalid("tool_choice", "invalid_value", message);
    return { offered: functions };
  }
  if (allowed !== undefined && allowed.mode !== "required")
    return { offered: functions.filter(({ name }) => wanted.includes(name)), config: auto };
  const allowedFunctionNames = wanted.map((name) => context.names.toWire(name));
  return { offered: functions, config: { mode: "ANY", allowedFunctionNames } };
}

/** `function_call` said the same before `tool_choice` did. */
function legacyChoice(choice: unknown): unknown {
  return isObject(choice) ? { type: "function", function: choice } : choice;
}
