// Anthropic's sentences for what is wrong with a request.
import type { JsonObject } from "../chat.ts";
import { isObject } from "../json.ts";
import { given, type Violations } from "./check.ts";
import type { Fault } from "./face.ts";

export function invalid(message: string): Fault {
  return { status: 400, type: "invalid_request_error", message };
}

export function* required(path: string, value: unknown): Violations {
  if (!given(value)) yield invalid(`${path}: Field required`);
}

export function* noExtras(path: string, value: JsonObject, allowed: readonly string[]): Violations {
  const extra = Object.keys(value).find((key) => !allowed.includes(key));
  if (extra !== undefined) yield invalid(`${path === "" ? "" : `${path}.`}${extra}: Extra inputs are not permitted`);
}

export function* oneOf(path: string, value: unknown, values: readonly string[]): Violations {
  if (values.some((one) => one === value)) return;
  const quoted = values.map((one) => `'${one}'`);
  const list = quoted.length === 1 ? quoted[0] : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
  yield invalid(`${path}: Input should be ${list}`);
}

/** The discriminator of a union has an unknown value. */
export function* knownTag(path: string, value: unknown, tags: readonly string[]): Violations {
  const tag = isObject(value) ? value.type : undefined;
  if (!given(tag)) yield invalid(`${path}.type: Field required`);
  else if (!tags.some((one) => one === tag)) {
    const list = tags.map((one) => `'${one}'`).join(", ");
    yield invalid(`${path}: Input tag '${tag}' found using 'type' does not match any of the expected tags: ${list}`);
  }
}

export function* between(path: string, value: unknown, min: number, max: number): Violations {
  if (typeof value !== "number") yield invalid(`${path}: Input should be a valid number`);
  else if (value < min) yield invalid(`${path}: Input should be greater than or equal to ${min}`);
  else if (value > max) yield invalid(`${path}: Input should be less than or equal to ${max}`);
}
