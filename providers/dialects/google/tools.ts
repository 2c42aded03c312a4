// Tools and the choice among them.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Translation } from "./context.ts";
import type { Extension } from "./extension.ts";
import { schemaMember } from "./schema-form.ts";
import { isEmptySchema } from "./schema-rules.ts";

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

export function toTools(extension: Pick<Extension, "tools" | "retrievalConfig">, context: Translation): ToolSettings {
  const functions = declarations(context);
  const builtIn = [...builtInTools(context), ...extension.tools];
  const isMixed = functions.length > 0 && builtIn.length > 0;
  if (isMixed && !context.gates.searchWithFunctions) {
    const message = "This model cannot use Google's own tools and functions in the same request.";
    context.report.refuse("unsupported_tool", "tools", message);
  }
  const choice = choiceOf(functions, isMixed, context);
  const offered = choice.offered.map(({ declaration }) => declaration);
  // All functions in one tool: several are only allowed when they are all search tools.
  const tools = [...(offered.length > 0 ? [{ functionDeclarations: offered }] : []), ...builtIn];
  const { retrievalConfig } = extension;
  const toolConfig = {
    ...(choice.config !== undefined && { functionCallingConfig: choice.config }),
    ...(retrievalConfig !== undefined && { retrievalConfig }),
    ...(isMixed && context.gates.serverSideParts && { includeServerSideToolInvocations: true }),
  };
  return { ...(tools.length > 0 && { tools }), ...(Object.keys(toolConfig).length > 0 && { toolConfig }) };
}

function declarations(context: Translation): Declared[] {
  const { body } = context;
  const declared: Declared[] = [];
  objectsIn(body.tools).forEach((tool, i) => {
    const at = `tools[${i}]`;
    if (tool.type === "function" && isObject(tool.function)) {
      declared.push(declare(tool.function, `${at}.function`, context));
    } else if (!BUILT_IN.has(firstText(tool.type))) {
      const message = `Tools of type '${firstText(tool.type)}' are not supported by this model.`;
      context.report.refuse("unsupported_tool", at, message);
    }
  });
  objectsIn(body.functions).forEach((one, i) => {
    declared.push(declare(one, `functions[${i}]`, context));
  });
  return declared;
}

function declare(described: JsonObject, at: string, context: Translation): Declared {
  const name = firstText(described.name);
  if (name === "") context.report.refuse("invalid_value", `${at}.name`, "A function needs a name.");
  const description = firstText(described.description);
  const declaration: JsonObject = {
    name: context.names.toWire(name),
    ...(description !== "" && { description }),
    ...parametersOf(described.parameters, `${at}.parameters`, context),
  };
  return { name, strict: described.strict === true, declaration };
}

function parametersOf(parameters: unknown, at: string, context: Translation): JsonObject {
  if (!isObject(parameters) || isEmptySchema(parameters)) return {};
  return schemaMember(parameters, at, { json: "parametersJsonSchema", openApi: "parameters" }, context);
}

function builtInTools({ body, report }: Translation): JsonObject[] {
  const names = objectsIn(body.tools).flatMap(({ type }) => BUILT_IN.get(firstText(type)) ?? []);
  const options = body.web_search_options;
  if (isObject(options)) {
    names.push("googleSearch");
    for (const [name, value] of Object.entries(options))
      if (value != null) report.note("dropped", `web_search_options.${name}`);
  }
  return [...new Set(names)].map((name) => ({ [name]: {} }));
}

interface Choice {
  offered: Declared[];
  config?: JsonObject;
}

function choiceOf(functions: Declared[], isMixed: boolean, context: Translation): Choice {
  const { body } = context;
  const choice = body.tool_choice ?? legacyChoice(body.function_call);
  const forced = choice === "required" || isObject(choice);
  if (functions.length === 0) {
    if (forced) context.report.refuse("invalid_value", "tool_choice", "'tool_choice' needs 'tools'.");
    return { offered: [] };
  }
  if (body.parallel_tool_calls === false) context.report.note("dropped", "parallel_tool_calls");
  // A forced choice stays ANY, or the model might answer in words (vercel/ai#18748).
  const auto = isMixed || functions.some(({ strict }) => strict) ? { mode: "VALIDATED" } : { mode: "AUTO" };
  if (choice == null) return auto.mode === "AUTO" ? { offered: functions } : { offered: functions, config: auto };
  if (choice === "auto") return { offered: functions, config: auto };
  if (choice === "none") return { offered: functions, config: { mode: "NONE" } };
  if (choice === "required") return { offered: functions, config: { mode: "ANY" } };
  return namedChoice(choice, functions, auto, context);
}

function namedChoice(choice: unknown, functions: Declared[], auto: JsonObject, context: Translation): Choice {
  const { type, allowed_tools, function: named }: JsonObject = isObject(choice) ? choice : {};
  const allowed = type === "allowed_tools" && isObject(allowed_tools) ? allowed_tools : undefined;
  const holders = allowed === undefined ? [named] : objectsIn(allowed.tools).map((tool) => tool.function);
  const wanted = holders.map((holder) => (isObject(holder) ? firstText(holder.name) : ""));
  const unknown = wanted.find((name) => !functions.some((one) => one.name === name));
  if (unknown !== undefined || wanted.length === 0) {
    const message = `The tool choice names a function that is not in 'tools': '${unknown ?? ""}'.`;
    context.report.refuse("invalid_value", "tool_choice", message);
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

/** Google's own tools beside functions: their parts come with the answer and must come back with the results. */
export function mixesTools(body: ChatBody, extensionTools: JsonObject[]): boolean {
  const tools = objectsIn(body.tools);
  const hasFunctions = tools.some(({ type }) => type === "function") || objectsIn(body.functions).length > 0;
  const hasBuiltIn = tools.some(({ type }) => BUILT_IN.has(firstText(type))) || isObject(body.web_search_options);
  return hasFunctions && (hasBuiltIn || extensionTools.length > 0);
}
