// Bodies as lists of leaves: where each value stands, and whether it is made of what somebody said.
import { isObject, parseJson } from "../../src/json.ts";

export interface Leaf {
  /** `messages[].content`: positions in lists do not count. */
  path: string;
  /** A string, number, boolean or null; `{}` or `[]` for what is empty. */
  value: unknown;
}

export function leavesOf(value: unknown, path = ""): Leaf[] {
  if (Array.isArray(value)) {
    return value.length === 0 ? [{ path, value: "[]" }] : value.flatMap((inner) => leavesOf(inner, `${path}[]`));
  }
  if (!isObject(value)) return [{ path, value }];
  const entries = Object.entries(value);
  if (entries.length === 0) return [{ path, value: "{}" }];
  return entries.flatMap(([key, inner]) => leavesOf(inner, path === "" ? key : `${path}.${key}`));
}

function leavesIn(value: unknown): Leaf[] {
  const parsed = typeof value === "string" ? parseJson(value) : undefined;
  return isObject(parsed) ? leavesOf(parsed) : [];
}

/** Everything a caller said: texts longest first, numbers, and which values stand where. */
export class Said {
  readonly #texts: string[];
  readonly #numbers: Set<number>;
  readonly #places: Set<string>;

  constructor(body: unknown) {
    // Arguments of past calls are JSON in text, and some protocols take it apart.
    const told = leavesOf(body);
    const leaves = [...told, ...told.flatMap(({ value }) => leavesIn(value))];
    const texts = leaves.map(({ value }) => value).filter((value): value is string => typeof value === "string");
    this.#texts = [...new Set(texts)].filter((text) => text.length > 2).sort((a, b) => b.length - a.length);
    this.#numbers = new Set(leaves.map(({ value }) => value).filter((value) => typeof value === "number"));
    this.#places = new Set(leaves.map(({ path, value }) => `${path}=${JSON.stringify(value)}`));
  }

  /** The very value at the very place, a number from anywhere, or a text made of nothing but the caller's texts. */
  holds({ path, value }: Leaf): boolean {
    if (this.#places.has(`${path}=${JSON.stringify(value)}`)) return true;
    if (typeof value === "number") return this.#numbers.has(value);
    if (typeof value !== "string") return false;
    return this.#texts.reduce((rest, text) => rest.replaceAll(text, ""), value).trim() === "" && value.trim() !== "";
  }
}
