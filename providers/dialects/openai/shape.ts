// The body of Chat Completions, as far as the router and the dialects rely on it; everything else goes through unseen.
import { z } from "zod";
import type { JsonObject } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";

const ROLES = ["system", "developer", "user", "assistant", "tool", "function"] as const;
const MODEL_CHARS_MAX = 256;
const CHOICES_MAX = 128;

/** What is accepted, and what is wrong with what is not. */
export const BODY = z.looseObject({
  // Names are matched against patterns and quoted back, so they have a bound.
  model: z.string().min(1).max(MODEL_CHARS_MAX),
  messages: z
    .array(
      z.looseObject({
        role: z.enum(ROLES),
        content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish(),
        tool_calls: z.array(z.looseObject({})).nullish(),
        tool_call_id: z.string().optional(),
      }),
    )
    .min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.string(),
        function: z.looseObject({ name: z.string() }).optional(),
      }),
    )
    .nullish(),
  max_tokens: z.int().nullish(),
  max_completion_tokens: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  n: z.int().min(1).max(CHOICES_MAX).nullish(),
});

/** Whether `BODY` accepts it, found by hand in a twentieth of the time. What is wrong otherwise the schema has to say. */
export function isBody(body: JsonObject): boolean {
  const { model, messages, stream, stream_options: options, tools, temperature, top_p: topP, n } = body;
  return (
    typeof model === "string" &&
    model.length > 0 &&
    model.length <= MODEL_CHARS_MAX &&
    Array.isArray(messages) &&
    messages.length > 0 &&
    messages.every(isMessage) &&
    (stream == null || typeof stream === "boolean") &&
    (options == null || isStreamOptions(options)) &&
    (tools == null || (Array.isArray(tools) && tools.every(isTool))) &&
    (body.max_tokens == null || Number.isSafeInteger(body.max_tokens)) &&
    (body.max_completion_tokens == null || Number.isSafeInteger(body.max_completion_tokens)) &&
    (temperature == null || isWithin(temperature, 0, 2)) &&
    (topP == null || isWithin(topP, 0, 1)) &&
    (n == null || (Number.isSafeInteger(n) && isWithin(n, 1, CHOICES_MAX)))
  );
}

function isMessage(message: unknown): boolean {
  if (!isObject(message)) return false;
  const { role, content, tool_calls: calls, tool_call_id: id } = message;
  return (
    ROLES.some((known) => known === role) &&
    (content == null || typeof content === "string" || (Array.isArray(content) && content.every(isPart))) &&
    (calls == null || (Array.isArray(calls) && calls.every(isObject))) &&
    (id === undefined || typeof id === "string")
  );
}

function isPart(part: unknown): boolean {
  return isObject(part) && typeof part.type === "string";
}

function isStreamOptions(options: unknown): boolean {
  return isObject(options) && (options.include_usage == null || typeof options.include_usage === "boolean");
}

function isTool(tool: unknown): boolean {
  if (!isObject(tool) || typeof tool.type !== "string") return false;
  return tool.function === undefined || (isObject(tool.function) && typeof tool.function.name === "string");
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return typeof value === "number" && value >= least && value <= most;
}
