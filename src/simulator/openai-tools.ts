// What OpenAI refuses about tools and the choice among them.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { given, type Violations } from "./check.ts";
import { text } from "./face.ts";
import { strictViolations } from "./openai-schema.ts";
import {
  choices,
  emptyArray,
  invalid,
  missing,
  pattern,
  tooLong,
  unknownParameter,
  wrongType,
} from "./openai-words.ts";

const functionKeys = ["name", "description", "parameters", "strict"];

export function* toolViolations(body: JsonObject): Violations {
  if (Array.isArray(body.tools)) {
    if (body.tools.length === 0) yield emptyArray("tools");
    for (const [at, tool] of body.tools.entries()) yield* oneTool(tool, `tools[${at}]`);
  }
  if (Array.isArray(body.functions) && body.functions.length === 0) yield emptyArray("functions");
  yield* choiceViolations(body);
}

function* oneTool(tool: unknown, at: string): Violations {
  if (!isObject(tool)) yield wrongType(at, "object", tool);
  else if (!given(tool.type)) yield missing(`${at}.type`);
  else if (tool.type === "custom") {
    if (!isObject(tool.custom)) yield missing(`${at}.custom`);
  } else if (tool.type !== "function") yield choices(`${at}.type`, tool.type, ["function", "custom"]);
  else if (!isObject(tool.function)) yield missing(`${at}.function`);
  else yield* functionViolations(tool.function, `${at}.function`);
}

function* functionViolations(declared: JsonObject, at: string): Violations {
  const name = declared.name;
  if (!given(name)) yield missing(`${at}.name`);
  if (text(name).length > 64) yield tooLong(`${at}.name`, 64, text(name).length);
  if (!/^[a-zA-Z0-9_-]+$/.test(text(name))) yield pattern(`${at}.name`);
  const unknown = Object.keys(declared).find((key) => !functionKeys.includes(key));
  if (unknown !== undefined) yield unknownParameter(`${at}.${unknown}`);
  const { parameters } = declared;
  if (given(parameters) && !isObject(parameters)) yield wrongType(`${at}.parameters`, "object", parameters);
  if (!isObject(parameters)) return;
  // An empty schema is fine: the function has no parameters.
  if (Object.keys(parameters).length > 0 && parameters.type !== "object") {
    const got = parameters.type === undefined ? "None" : parameters.type;
    const message = `Invalid schema for function '${name}': schema must be a JSON Schema of 'type: "object"', got 'type: "${got}"'.`;
    yield invalid(`${at}.parameters`, "invalid_function_parameters", message);
  }
  if (declared.strict === true) yield* strictViolations(`function '${name}'`, `${at}.parameters`, parameters);
}

function* choiceViolations(body: JsonObject): Violations {
  const hasTools = Array.isArray(body.tools);
  for (const name of ["tool_choice", "parallel_tool_calls"]) {
    if (given(body[name]) && !hasTools) {
      yield invalid(name, null, `Invalid value for '${name}': '${name}' is only allowed when 'tools' are specified.`);
    }
  }
  const choice = body.tool_choice;
  if (!given(choice)) return;
  if (typeof choice === "string") {
    const words = ["none", "auto", "required"];
    if (!words.includes(choice)) yield choices("tool_choice", choice, words);
    return;
  }
  if (!isObject(choice)) yield wrongType("tool_choice", "string or object", choice);
  else if (!given(choice.type)) yield missing("tool_choice.type");
  else if (choice.type === "function" || choice.type === "custom") {
    const named = choice[choice.type];
    if (!isObject(named) || !given(named.name)) yield missing(`tool_choice.${choice.type}.name`);
    else if (!names(body, choice.type).includes(text(named.name))) {
      yield invalid("tool_choice", null, `Tool choice '${named.name}' not found in 'tools' parameter.`);
    }
  } else if (choice.type !== "allowed_tools") {
    yield choices("tool_choice.type", choice.type, ["function", "allowed_tools", "custom"]);
  }
}

function names(body: JsonObject, type: "function" | "custom"): string[] {
  return objectsIn(body.tools).map((tool) => text(isObject(tool[type]) ? tool[type].name : undefined));
}
