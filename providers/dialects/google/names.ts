// Function names on their way to Gemini and back: it takes fewer names than OpenAI does.
import type { ChatBody } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";

/** First a letter or `_`, then also digits, `.`, `:`, `-`; at most 128 characters (type docs of @google/genai). */
const LEGAL = /^[A-Za-z_][\w.:-]{0,127}$/;
const LENGTH_MAX = 128;

export interface FunctionNames {
  /** The same name always becomes the same one; different names stay different. */
  toWire(name: string): string;
  /** The caller's name for a name in an answer; unchanged when the caller never declared it. */
  fromWire(name: string): string;
}

/** A pure function of the request, so that the decoder finds the names the encoder sent. */
export function functionNames(body: ChatBody): FunctionNames {
  const wireNames = new Map<string, string>();
  const taken = new Map<string, string>();
  const toWire = (name: string): string => {
    const known = wireNames.get(name);
    if (known !== undefined) return known;
    const free = LEGAL.test(name) && !taken.has(name) ? name : freeName(legalName(name), taken);
    wireNames.set(name, free);
    taken.set(free, name);
    return free;
  };
  // Legal names first: they must keep theirs whatever the others are mapped to.
  const declared = declaredNames(body);
  for (const name of declared) if (LEGAL.test(name)) toWire(name);
  for (const name of declared) toWire(name);
  const fromWire = (name: string): string => {
    // Gemini sometimes answers with the name of its internal module in front.
    const bare = name.replace(/^default_api[:.]/, "");
    return taken.get(name) ?? taken.get(bare) ?? name;
  };
  return { toWire, fromWire };
}

function declaredNames(body: ChatBody): string[] {
  const tools = objectsIn(body.tools).map((tool) => tool.function);
  return [...tools, ...objectsIn(body.functions)]
    .map((declaration) => (isObject(declaration) ? declaration.name : undefined))
    .filter((name) => typeof name === "string");
}

function legalName(name: string): string {
  const plain = name.replace(/[^\w.:-]/g, "_");
  return (/^[A-Za-z_]/.test(plain) ? plain : `_${plain}`).slice(0, LENGTH_MAX);
}

function freeName(wanted: string, taken: Map<string, string>): string {
  let name = wanted;
  for (let copy = 2; taken.has(name); copy += 1) {
    const suffix = `_${copy}`;
    name = wanted.slice(0, LENGTH_MAX - suffix.length) + suffix;
  }
  return name;
}
