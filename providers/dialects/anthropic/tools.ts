// Tools the model may call, and whether it must: `tools`, `functions`, `tool_choice` and their relatives.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { marked } from "./cache.ts";
import type { ModelProfile } from "./profile.ts";
import { sanitiseSchema, strictCost, toolSchema } from "./schema.ts";
import type { AnyTool, Tool, Turn } from "./wire.ts";

/** Limits per request of the vendor's structured-outputs page, November 2026. */
const STRICT_TOOLS_MAX = 20;
const STRICT_OPTIONAL_MAX = 24;
const STRICT_UNIONS_MAX = 16;

interface StrictBudget {
  tools: number;
  optional: number;
  unions: number;
}

/** The caller's tools in the caller's order: any change of order or form empties the prompt cache. */
export function toTools(body: ChatBody, profile: ModelProfile, report: Report): Tool[] {
  const budget: StrictBudget = { tools: STRICT_TOOLS_MAX, optional: STRICT_OPTIONAL_MAX, unions: STRICT_UNIONS_MAX };
  const given = objectsIn(body.tools).map((tool, i) => toTool(tool, `tools[${i}]`, profile, budget, report));
  const legacy = objectsIn(body.functions).map((definition, i) =>
    toTool({ type: "function", function: definition }, `functions[${i}]`, profile, budget, report),
  );
  return withoutDuplicates(
    [...given, ...legacy].filter((tool) => tool !== undefined),
    report,
  );
}

function toTool(
  tool: JsonObject,
  path: string,
  profile: ModelProfile,
  budget: StrictBudget,
  report: Report,
): Tool | undefined {
  if (tool.type === "custom" && isObject(tool.custom)) return customTool(tool, tool.custom, path, report);
  if (tool.type !== "function" || !isObject(tool.function)) {
    const message = `Tools of type '${String(tool.type)}' cannot be offered to this model; use 'function' or 'custom'.`;
    report.refuse("unsupported_value", path, message);
    return undefined;
  }
  const definition = tool.function;
  const root = toolSchema(definition.parameters);
  if (root === undefined) {
    report.refuse(
      "unsupported_value",
      `${path}.function.parameters`,
      "The root of a tool's parameters must be an object.",
    );
    return undefined;
  }
  if (root.flattened !== undefined) report.note("repaired", `${path}.parameters`);
  const description = [firstText(definition.description), root.flattened ?? ""].filter((text) => text !== "").join(" ");
  const strictSchema = definition.strict === true ? strictForm(root.schema, profile, budget) : undefined;
  if (definition.strict === true && strictSchema === undefined) report.note("downgraded", `${path}.strict`);
  return {
    name: firstText(definition.name),
    ...(description === "" ? {} : { description }),
    input_schema: { ...(strictSchema ?? root.schema), type: "object" },
    ...(strictSchema === undefined ? {} : { strict: true }),
    ...marked(definition),
    ...marked(tool),
  };
}

/** A tool that takes free text: here a function with one string, taken apart again in the answer. */
function customTool(tool: JsonObject, custom: JsonObject, path: string, report: Report): Tool | undefined {
  const format = isObject(custom.format) ? custom.format : { type: "text" };
  if (format.type !== "text") {
    const message = `The format '${String(format.type)}' of this tool's input cannot be guaranteed by this model.`;
    report.refuse("unsupported_value", `${path}.custom.format`, message);
    return undefined;
  }
  const description = firstText(custom.description);
  return {
    name: firstText(custom.name),
    ...(description === "" ? {} : { description }),
    input_schema: {
      type: "object",
      properties: { input: { type: "string" } },
      required: ["input"],
      additionalProperties: false,
    },
    ...marked(custom),
    ...marked(tool),
  };
}

/** Names of the caller's tools that take free text: their calls must come back as such. */
export function customToolNames({ tools }: ChatBody): ReadonlySet<string> {
  const custom = objectsIn(tools).flatMap((tool): JsonObject[] =>
    tool.type === "custom" && isObject(tool.custom) ? [tool.custom] : [],
  );
  return new Set(custom.map(({ name }) => firstText(name)));
}

/** The schema as strict mode takes it, or `undefined` when the model or the request's limits forbid it. */
function strictForm(schema: JsonObject, profile: ModelProfile, budget: StrictBudget): JsonObject | undefined {
  if (!profile.structuredOutputs) return undefined;
  const sanitised = sanitiseSchema(schema);
  if (sanitised === undefined || sanitised.narrowed) return undefined;
  const cost = strictCost(sanitised.schema);
  const fits = budget.tools >= 1 && budget.optional >= cost.optional && budget.unions >= cost.unions;
  if (!fits) return undefined;
  budget.tools -= 1;
  budget.optional -= cost.optional;
  budget.unions -= cost.unions;
  return sanitised.schema;
}

/** "tools: Tool names must be unique." (anthropics/claude-code#10687): twins are one tool, namesakes an error. */
function withoutDuplicates(tools: Tool[], report: Report): Tool[] {
  const byName = new Map<string, Tool>();
  tools.forEach((tool, i) => {
    const known = byName.get(tool.name);
    if (known === undefined) byName.set(tool.name, tool);
    else if (JSON.stringify(known) !== JSON.stringify(tool)) {
      report.refuse("invalid_value", `tools[${i}]`, `Two different tools are called '${tool.name}'.`);
    }
  });
  return [...byName.values()];
}

/** Named function tools get `strict` where the model cannot be forced to call them: the next best guarantee. */
export function strictened(tool: Tool, profile: ModelProfile): Tool {
  const budget: StrictBudget = { tools: 1, optional: STRICT_OPTIONAL_MAX, unions: STRICT_UNIONS_MAX };
  const schema = tool.strict ? undefined : strictForm(tool.input_schema, profile, budget);
  return schema === undefined ? tool : { ...tool, strict: true, input_schema: { ...schema, type: "object" } };
}

/** Tools named in the history though the request offers none: without definitions several deployments answer 400. */
export function toolsOfHistory(turns: Turn[]): Tool[] {
  const names = new Set<string>();
  for (const turn of turns) {
    for (const block of turn.content) if (block.type === "tool_use") names.add(block.name);
  }
  return [...names].map((name) => ({
    name,
    description: "(no longer available)",
    input_schema: { type: "object" },
  }));
}

const SEARCHES_MAX: Record<string, number> = { low: 1, medium: 5, high: 10 };

/** `web_search_options` as the vendor's server tool: it runs on their side and never reaches the caller as a call. */
export function webSearchTool(options: unknown, tools: Tool[], report: Report): AnyTool[] {
  if (!isObject(options)) return [];
  if (tools.some((tool) => tool.name === "web_search")) {
    const message = "A tool called 'web_search' cannot be combined with web_search_options for this model.";
    report.refuse("unsupported_value", "web_search_options", message);
    return [];
  }
  const { user_location } = options;
  const place = isObject(user_location) && isObject(user_location.approximate) ? user_location.approximate : undefined;
  const told = Object.entries(place ?? {}).filter(
    ([field, value]) => ["city", "region", "country", "timezone"].includes(field) && typeof value === "string",
  );
  const tool: AnyTool = {
    type: "web_search_20250305",
    name: "web_search",
    max_uses: SEARCHES_MAX[String(options.search_context_size)] ?? SEARCHES_MAX.medium!,
  };
  if (place !== undefined) tool.user_location = { type: "approximate", ...Object.fromEntries(told) };
  return [tool];
}
