// Tools and the choice among them. Cohere knows functions only, and can be told to use some of them or none.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";

interface Declared {
  name: string;
  at: string;
  isStrict: boolean;
  parameters: JsonObject;
  wire: JsonObject;
}

/** Members of the request body. */
export function toTools(body: ChatBody, report: Report): JsonObject {
  const declared = declarations(body, report);
  const choice = body.tool_choice ?? legacyChoice(body.function_call);
  if (declared.length === 0) {
    if (choice === "required" || isObject(choice))
      report.refuse("invalid_value", "tool_choice", "'tool_choice' needs 'tools'.");
    return {};
  }
  if (body.parallel_tool_calls === false) report.note("dropped", "parallel_tool_calls");
  const { offered, word } = choose(choice, declared, report);
  return {
    tools: offered.map(({ wire }) => wire),
    ...(word !== undefined && { tool_choice: word }),
    ...(isStrict(offered, report) && { strict_tools: true }),
  };
}

function declarations(body: ChatBody, report: Report): Declared[] {
  const tools = objectsIn(body.tools).flatMap((tool, i) => {
    const at = `tools[${i}]`;
    if (tool.type === "function" && isObject(tool.function)) return declare(tool.function, `${at}.function`, report);
    report.refuse("unsupported_tool", at, `Tools of type '${firstText(tool.type)}' are not supported by this model.`);
    return [];
  });
  return [...tools, ...objectsIn(body.functions).map((one, i) => declare(one, `functions[${i}]`, report))];
}

function declare(described: JsonObject, at: string, report: Report): Declared {
  const name = firstText(described.name);
  if (name === "") report.refuse("invalid_value", `${at}.name`, "A function needs a name.");
  const description = firstText(described.description);
  const told = described.parameters;
  // Required upstream.
  const parameters = isObject(told) && Object.keys(told).length > 0 ? told : { type: "object", properties: {} };
  const wire = { type: "function", function: { name, ...(description !== "" && { description }), parameters } };
  return { name, at, isStrict: described.strict === true, parameters, wire };
}

/** One switch for all tools, and each must have a required parameter (docs.cohere.com, structured outputs, 2026-11). */
function isStrict(offered: Declared[], report: Report): boolean {
  const canBe = offered.every(({ isStrict, parameters: { required } }) => {
    return isStrict && Array.isArray(required) && required.length > 0;
  });
  if (canBe) return true;
  for (const { at } of offered.filter(({ isStrict }) => isStrict)) report.note("dropped", `${at}.strict`);
  return false;
}

interface Choice {
  offered: Declared[];
  /** Absent: the model decides. */
  word?: "REQUIRED" | "NONE";
}

/** Tools are named by leaving out the others. */
function choose(choice: unknown, declared: Declared[], report: Report): Choice {
  if (choice === "none") return { offered: declared, word: "NONE" };
  if (choice === "required") return { offered: declared, word: "REQUIRED" };
  if (!isObject(choice)) return { offered: declared };
  const allowed = choice.type === "allowed_tools" && isObject(choice.allowed_tools) ? choice.allowed_tools : undefined;
  const names = (allowed === undefined ? [choice] : objectsIn(allowed.tools)).map(nameOf);
  const unknown = names.find((name) => !declared.some((one) => one.name === name));
  if (unknown !== undefined || names.length === 0) {
    const message = `The tool choice names a function that is not in 'tools': '${unknown ?? ""}'.`;
    report.refuse("invalid_value", "tool_choice", message);
  }
  const offered = declared.filter(({ name }) => names.includes(name));
  return allowed === undefined || allowed.mode === "required" ? { offered, word: "REQUIRED" } : { offered };
}

function nameOf(tool: JsonObject): string {
  return isObject(tool.function) ? firstText(tool.function.name) : "";
}

/** `function_call` said the same before `tool_choice` did. */
function legacyChoice(choice: unknown): unknown {
  return isObject(choice) ? { type: "function", function: choice } : choice;
}
