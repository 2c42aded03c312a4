// `tool_choice`, `function_call` and `parallel_tool_calls` as Anthropic's one object, and what a model makes of it.
import type { ChatBody } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import type { ModelProfile } from "./profile.ts";
import { strictened } from "./tools.ts";
import type { Tool, ToolChoice } from "./wire.ts";

export interface ChosenTools {
  tools: Tool[];
  choice: ToolChoice | undefined;
  /** System text that asks for the call where the model cannot be forced. */
  instruction: string | undefined;
}

type Wish = { mode: "auto" | "none" | "required" } | { mode: "named"; name: string };

/** Whether the model must, may or must not call a tool; refuses choices that name tools the request does not offer. */
export function chooseTools(body: ChatBody, tools: Tool[], profile: ModelProfile, report: Report): ChosenTools {
  const field = body.tool_choice !== undefined && body.tool_choice !== null ? "tool_choice" : "function_call";
  const wish = wishOf(body[field]);
  const forced = wish.mode === "required" || wish.mode === "named";
  if (tools.length === 0) {
    if (forced) report.refuse("invalid_value", field, `${field} asks for a tool call, but there are no tools.`);
    return { tools, choice: undefined, instruction: undefined };
  }
  if (wish.mode === "named" && !tools.some((tool) => tool.name === wish.name)) {
    report.refuse("invalid_value", field, `Tool '${wish.name}' is not among the tools of the request.`);
  }
  const offered = allowedTools(body, tools, report);
  if (forced && !profile.forcedTools) return askedFor(wish, offered, body, profile, report);
  return { tools: offered, choice: toChoice(wish, isOneAtATime(body)), instruction: undefined };
}

function wishOf(choice: unknown): Wish {
  if (choice === "none" || choice === "required") return { mode: choice };
  if (!isObject(choice)) return { mode: "auto" };
  if (choice.type === "allowed_tools") {
    const allowed = isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
    return { mode: allowed.mode === "required" ? "required" : "auto" };
  }
  const named = [choice.function, choice.custom, choice].find(isObject);
  const name = firstText(named?.name);
  return name === "" ? { mode: "auto" } : { mode: "named", name };
}

/** `allowed_tools` leaves the others out, which costs the prompt cache of the tools: reported. */
function allowedTools({ tool_choice }: ChatBody, tools: Tool[], report: Report): Tool[] {
  if (!isObject(tool_choice) || tool_choice.type !== "allowed_tools") return tools;
  const list = isObject(tool_choice.allowed_tools) ? tool_choice.allowed_tools.tools : tool_choice.tools;
  const names = objectsIn(list).map((tool) => firstText([tool.function, tool.custom, tool].find(isObject)?.name));
  const allowed = tools.filter((tool) => names.includes(tool.name));
  if (allowed.length === 0) {
    report.refuse("invalid_value", "tool_choice", "None of the allowed tools is among the tools of the request.");
  }
  if (allowed.length < tools.length) report.note("repaired", "tools");
  return allowed;
}

/** The legacy API has room for one call in an answer. */
function isOneAtATime(body: ChatBody): boolean {
  return (
    body.parallel_tool_calls === false || (objectsIn(body.functions).length > 0 && objectsIn(body.tools).length === 0)
  );
}

/** The flag lives inside the choice, does not exist on `none` (400), and must not turn auto into any. */
function toChoice(wish: Wish, oneAtATime: boolean): ToolChoice | undefined {
  const flag = oneAtATime ? { disable_parallel_tool_use: true } : {};
  switch (wish.mode) {
    case "none":
      return { type: "none" };
    case "required":
      return { type: "any", ...flag };
    case "named":
      return { type: "tool", name: wish.name, ...flag };
    default:
      return oneAtATime ? { type: "auto", ...flag } : undefined;
  }
}

/** `tool_choice: type "tool" and "any" are not supported for this model`: words and `strict` are what is left. */
function askedFor(wish: Wish, tools: Tool[], body: ChatBody, profile: ModelProfile, report: Report): ChosenTools {
  const name = wish.mode === "named" ? wish.name : undefined;
  report.note("downgraded", "tool_choice", `${name === undefined ? "required" : "function"}->auto`);
  return {
    tools: tools.map((tool) => (tool.name === name ? strictened(tool, profile) : tool)),
    choice: toChoice({ mode: "auto" }, isOneAtATime(body)),
    instruction: name === undefined ? "You must call one of the tools." : `You must call the tool ${name}.`,
  };
}
