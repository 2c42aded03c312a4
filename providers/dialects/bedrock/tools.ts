// The tools of a request as Converse's `toolConfig`, with the tool whose input is the answer among them.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { objectsIn } from "../../../src/json.ts";
import type { AnswerForm } from "../anthropic/answer-form.ts";
import { legalId } from "../anthropic/ids.ts";
import { chooseTools } from "../anthropic/tool-choice.ts";
import { toTools } from "../anthropic/tools.ts";
import type { Tool, ToolChoice } from "../anthropic/wire.ts";
import type { Report } from "../report.ts";
import type { ConverseTerms } from "./families.ts";
import { cachePoint } from "./messages.ts";
import type { ToolConfig } from "./wire.ts";

export interface Offer {
  /** Before they are written, for the rules of caching. */
  tools: Tool[];
  config: ToolConfig | undefined;
  isForced: boolean;
  /** System text that asks for a call where the model cannot be forced. */
  instruction: string | undefined;
}

export function toOffer(request: ChatBody, terms: ConverseTerms, form: AnswerForm, report: Report): Offer {
  // `strict` is not among what Converse takes, so that schemas stay as they are.
  const profile = { ...terms, structuredOutputs: false };
  const own = toTools(request, profile, report);
  const chosen = chooseTools(request, own, profile, report);
  const isForbidden = chosen.choice?.type === "none";
  if (form.kind === "tool") {
    report.note("emulated", "response_format");
    const schema = { ...form.schema, type: "object" as const };
    const answer: Tool = { name: form.name, description: form.description, input_schema: schema };
    const tools = isForbidden ? [answer] : [...chosen.tools, answer];
    const choice: ToolChoice = tools.length === 1 ? { type: "tool", name: form.name } : { type: "any" };
    return { tools, config: toConfig(tools, choice, terms), isForced: true, instruction: undefined };
  }
  // There is no choice `none`: without tools there are no calls.
  if (isForbidden || chosen.tools.length === 0) {
    return { tools: [], config: undefined, isForced: false, instruction: chosen.instruction };
  }
  if (request.parallel_tool_calls === false) report.note("dropped", "parallel_tool_calls");
  const { tools, choice, instruction } = chosen;
  const isForced = choice?.type === "any" || choice?.type === "tool";
  return { tools, config: toConfig(tools, choice, terms), isForced, instruction };
}

function toConfig(tools: Tool[], choice: ToolChoice | undefined, { family }: ConverseTerms): ToolConfig {
  const written = tools.flatMap((tool): JsonObject[] => [
    {
      toolSpec: {
        name: legalId(tool.name),
        ...(tool.description === undefined ? {} : { description: tool.description }),
        inputSchema: { json: tool.input_schema },
      },
    },
    ...cachePoint(tool, family.cachePoints === "everywhere"),
  ]);
  const config: ToolConfig = { tools: written };
  if (choice?.type === "any") config.toolChoice = { any: {} };
  else if (choice?.type === "tool") config.toolChoice = { tool: { name: legalId(choice.name) } };
  return config;
}

/** The caller's name for a tool by the one that was sent: Converse takes `[A-Za-z0-9_-]{1,64}` (vercel/ai#17769). */
export function callersNames({ tools, functions }: ChatBody): ReadonlyMap<string, string> {
  const declared = [
    ...objectsIn(tools).flatMap((tool) => objectsIn([tool.function, tool.custom])),
    ...objectsIn(functions),
  ];
  const names = declared.map(({ name }) => name).filter((name) => typeof name === "string");
  return new Map(names.map((name) => [legalId(name), name]));
}
