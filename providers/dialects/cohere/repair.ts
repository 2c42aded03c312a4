// What to leave out when a model turns out not to take it. Which one takes what is not told in advance.
import type { JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Repair } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";

/** Cohere's name to the caller's. Never what the answer stands or falls with. */
const DROPPABLE: Readonly<Record<string, string>> = {
  thinking: "reasoning_effort",
  // "only one of 'presence_penalty' and 'frequency_penalty' can be specified for this model": the first one found goes.
  presence_penalty: "presence_penalty",
  frequency_penalty: "frequency_penalty",
  logprobs: "logprobs",
  seed: "seed",
  strict_tools: "tools.strict",
  safety_mode: "safety_mode",
  citation_options: "citation_options",
  priority: "priority",
};

const PREFIX = "drop:";

export function repair(error: ProviderError, { request, repairs = [] }: Call): Repair | undefined {
  if (error.kind !== "unsupported") return undefined;
  const named = (name: string) => new RegExp(`\\b${name}\\b`, "i").test(error.message);
  const field = Object.keys(DROPPABLE).find(
    (name) => named(name) && isAsked(name, request.body) && !repairs.includes(PREFIX + name),
  );
  return field === undefined ? undefined : { token: PREFIX + field, isLasting: true };
}

/** Otherwise it was not sent, and leaving it out changes nothing. */
function isAsked(field: string, body: JsonObject): boolean {
  if (field === "thinking") return [body.thinking, body.reasoning, body.reasoning_effort].some((one) => one != null);
  if (field === "strict_tools") return JSON.stringify(body.tools ?? null).includes('"strict":true');
  return body[field] != null;
}

export function applyRepairs(wire: JsonObject, repairs: readonly string[], report: Report): void {
  for (const [name, field] of Object.entries(DROPPABLE)) {
    if (wire[name] === undefined || !repairs.includes(PREFIX + name)) continue;
    // A model that cannot think does as it is told.
    const isNoLoss = isObject(wire[name]) && wire[name].type === "disabled";
    delete wire[name];
    if (!isNoLoss) report.note("dropped", field);
  }
}
