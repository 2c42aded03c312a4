// OpenAI's sentences for what is wrong with a request.
import type { Fault } from "./face.ts";

export function invalid(param: string | null, code: string | null, message: string): Fault {
  return { status: 400, type: "invalid_request_error", param, code, message };
}

export function missing(param: string): Fault {
  return invalid(param, "missing_required_parameter", `Missing required parameter: '${param}'.`);
}

export function unknownParameter(param: string): Fault {
  return invalid(param, "unknown_parameter", `Unknown parameter: '${param}'.`);
}

export function wrongType(param: string, expected: string, value: unknown): Fault {
  const got = typeOf(value);
  const message = `Invalid type for '${param}': expected ${article(expected)}, but got ${got === "null" ? got : article(got)} instead.`;
  return invalid(param, "invalid_type", message);
}

export function choices(param: string, value: unknown, values: readonly string[]): Fault {
  const quoted = values.map((one) => `'${one}'`);
  const list = quoted.length === 1 ? quoted[0] : `${quoted.slice(0, -1).join(", ")}, and ${quoted.at(-1)}`;
  return invalid(param, "invalid_value", `Invalid value: '${value}'. Supported values are: ${list}.`);
}

export function emptyArray(param: string): Fault {
  const message = `Invalid '${param}': empty array. Expected an array with minimum length 1, but got an empty array instead.`;
  return invalid(param, "empty_array", message);
}

export function tooLong(param: string, maxLength: number, length: number): Fault {
  const message = `Invalid '${param}': string too long. Expected a string with maximum length ${maxLength}, but got a string with length ${length} instead.`;
  return invalid(param, "string_above_max_length", message);
}

export function pattern(param: string): Fault {
  const message = `Invalid '${param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`;
  return invalid(param, "invalid_value", message);
}

export function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "decimal";
  return typeof value;
}

function article(noun: string): string {
  return /^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`;
}
