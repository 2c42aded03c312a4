// Looking into JSON nobody has checked: total functions, no throws.
import type { JsonObject } from "./chat.ts";

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The objects in an array; nothing for anything else. */
export function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Parsed JSON, or `undefined` when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The first non-empty string, else "". */
export function firstText(...values: unknown[]): string {
  return values.find((value): value is string => typeof value === "string" && value !== "") ?? "";
}

const WORD_CHARS_MAX = 64;

/** A name such as a service tier's: text of a length that may be kept, else `undefined`. */
export function shortWord(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= WORD_CHARS_MAX ? value : undefined;
}

/** Whether arrays and objects are nested in more than `depth` levels. Looks no deeper than that, so that no stack overflows. */
export function isDeeperThan(depth: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (isDeeperThan(depth - 1, item)) return true;
    return false;
  }
  for (const name in value) if (isDeeperThan(depth - 1, (value as JsonObject)[name])) return true;
  return false;
}

/** JSON with the keys of every object in order: equal values give the same text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    isObject(member) ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1))) : member,
  );
}
