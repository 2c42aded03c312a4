// OpenAI Chat Completions as a server of callers: the body they send, and answers and errors in the shape SDKs expect.
import type { z } from "zod";
import type { ChatBody, ChatRequest, JsonObject } from "../../../src/chat.ts";
import type { CallerError, Inbound, Refusal } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { renderBody } from "./answer.ts";
import { chunkRenderer } from "./render.ts";
import { BODY, isBody } from "./shape.ts";

export const openaiChatInbound: Inbound = {
  id: "openai-chat",
  parse,
  renderer: chunkRenderer,
  renderBody,
  renderError,
  renderStreamError: (error) => `data: ${JSON.stringify(renderError(error))}\n\n`,
};

function parse(body: unknown, header: (name: string) => string | undefined): ChatRequest | Refusal {
  if (!isObject(body)) {
    return refusal("The request body must be a JSON object.", undefined, "invalid_type");
  }
  const issue = isBody(body) ? undefined : BODY.safeParse(body).error?.issues[0];
  if (issue !== undefined) return toRefusal(issue, body);
  const usage = isObject(body.usage) ? body.usage : undefined;
  const options = isObject(body.stream_options) ? body.stream_options : undefined;
  return {
    dialect: "openai-chat",
    // The caller's own object: key order and unknown keys must reach the provider untouched.
    body: body as ChatBody,
    stream: body.stream === true,
    includeUsage: options?.include_usage === true || usage?.include === true,
    includeCost: usage?.include === true,
    strict: header("x-signalbox-strict") === "true",
  };
}

/** OpenAI's own wording and codes, so that code written against them keeps working. */
function toRefusal(issue: z.core.$ZodIssue, body: JsonObject, above: PropertyKey[] = []): Refusal {
  const path = [...above, ...issue.path];
  if (issue.code === "invalid_union") {
    // The alternative that fits on the outside knows what is wrong inside.
    const inner = issue.errors.find(([first]) => first !== undefined && first.path.length > 0)?.[0];
    if (inner !== undefined) return toRefusal(inner, body, path);
  }
  const param = paramOf(path);
  const found = path.reduce<unknown>((value, key) => (value as JsonObject | undefined)?.[key as string], body);
  if (found === undefined) {
    return refusal(`Missing required parameter: '${param}'.`, param, "missing_required_parameter");
  }
  if (issue.code === "invalid_value" && typeof found === "string") {
    const accepted = issue.values.map((value) => `'${String(value)}'`);
    const list = `${accepted.slice(0, -1).join(", ")}, and ${accepted.at(-1)}`;
    return refusal(`Invalid value: '${found.slice(0, 100)}'. Supported values are: ${list}.`, param);
  }
  if (issue.code === "too_small" || issue.code === "too_big") return outOfBounds(issue, found, param);
  const message = `Invalid type for '${param}': expected ${expectedBy(issue, param)}, but got ${typeName(found)} instead.`;
  return refusal(message, param, "invalid_type");
}

function outOfBounds(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, found: unknown, param: string): Refusal {
  if (Array.isArray(found)) {
    const message = `Invalid '${param}': empty array. Expected an array with minimum length 1, but got an empty array instead.`;
    return refusal(message, param, "empty_array");
  }
  if (typeof found === "string" && issue.code === "too_small") {
    const message = `Invalid '${param}': empty string. Expected a string with minimum length 1, but got an empty string instead.`;
    return refusal(message, param, "empty_string");
  }
  if (typeof found === "string" && issue.code === "too_big") {
    const message = `Invalid '${param}': string too long. Expected a string with maximum length ${issue.maximum}, but got a string with length ${found.length} instead.`;
    return refusal(message, param, "string_above_max_length");
  }
  const kind = INTEGERS.includes(param) ? "integer" : "decimal";
  const [side, bound] =
    issue.code === "too_small" ? ["below minimum", `>= ${issue.minimum}`] : ["above maximum", `<= ${issue.maximum}`];
  const message = `Invalid '${param}': ${kind} ${side} value. Expected a value ${bound}, but got ${String(found)} instead.`;
  return refusal(message, param, `${kind}_${issue.code === "too_small" ? "below_min" : "above_max"}_value`);
}

const INTEGERS = ["n", "max_tokens", "max_completion_tokens"];

const EXPECTED: Record<string, string> = {
  string: "a string",
  number: "a decimal",
  int: "an integer",
  boolean: "a boolean",
  array: "an array",
  object: "an object",
};

function expectedBy(issue: z.core.$ZodIssue, param: string): string {
  // What JSON can say and no number can hold is no number to zod, whatever it is for.
  if (issue.code === "invalid_type" && issue.expected === "number" && INTEGERS.includes(param))
    return EXPECTED.int as string;
  if (issue.code === "invalid_type") return EXPECTED[issue.expected] ?? issue.expected;
  return issue.code === "invalid_union" ? "one of a string or an array of objects" : "a string";
}

function refusal(message: string, param: string | undefined, code = "invalid_value"): Refusal {
  return {
    kind: "refusal",
    error: { kind: "invalid_request", message, param, code },
  };
}

function paramOf(path: PropertyKey[]): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return "a number beyond all bounds";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a decimal number";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function renderError({ message, type, code, param, metadata }: CallerError): JsonObject {
  return {
    error: {
      message,
      type,
      param,
      code,
      ...(metadata === undefined ? {} : { metadata }),
    },
  };
}
