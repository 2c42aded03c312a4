// What later requests need of an answer although most clients drop it: signatures of calls, and the parts of Google's own
// tools. Kept by the router under the id of a call.
import { createHash } from "node:crypto";
import type { ChatEvent, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, parseJson } from "../../../src/json.ts";
import type { Translation } from "./context.ts";

/** A call as the caller knows it. */
export interface KnownCall {
  id: string;
  name: string;
  /** As a JSON text or an object. */
  args: unknown;
}

/** Larger answers are not worth their memory; without it they get the stand-in. */
const PARTS_CHARS_MAX = 60_000;

/** `parts` is the whole answer, when parts of it have no other way back. */
export function rememberCall(call: KnownCall, thoughtSignature: string, parts?: JsonObject[]): ChatEvent[] {
  const isWhole = parts !== undefined && JSON.stringify(parts).length <= PARTS_CHARS_MAX;
  if (thoughtSignature === "" && !isWhole) return [];
  const value: JsonObject = { name: call.name, arguments: fingerprint(call.args) };
  if (thoughtSignature !== "") value.thought_signature = thoughtSignature;
  if (isWhole) value.parts = parts;
  return [{ type: "remember", key: call.id, value }];
}

/** Only for the same call: ids of careless clients and models repeat. */
export function recalledSignature(call: KnownCall, context: Pick<Translation, "recall">): string | undefined {
  return firstText(recalled(call, context)?.thought_signature) || undefined;
}

/** What was kept of this very call. */
export function recalled(call: KnownCall, { recall }: Pick<Translation, "recall">): JsonObject | undefined {
  const memory = call.id === "" ? undefined : recall(call.id);
  const isSame = memory?.name === call.name && memory.arguments === fingerprint(call.args);
  return isSame ? memory : undefined;
}

/** Clients write arguments anew, with other white space or order, so their meaning is what is compared. */
export function fingerprint(args: unknown): string {
  const text = typeof args === "string" ? args.trim() : "null";
  // What is no JSON is compared as it stands.
  const parsed =
    typeof args === "string" ? (parseJson(text || "null") ?? (text === "null" || text === "" ? {} : text)) : args;
  return createHash("sha256")
    .update(JSON.stringify(sorted(parsed ?? {}, 0)))
    .digest("base64url");
}

/** Nothing a model writes nests deeper, and what a caller writes is cut off. */
const DEPTH_MAX = 100;

function sorted(value: unknown, depth: number): unknown {
  if (depth > DEPTH_MAX) return null;
  if (Array.isArray(value)) return value.map((member) => sorted(member, depth + 1));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, member]) => [key, sorted(member, depth + 1)]);
}

/** The parts of an answer as they came, for `rememberCall`. */
export interface Kept {
  parts: JsonObject[];
  chars: number;
}

export function nothingKept(): Kept {
  return { parts: [], chars: 0 };
}

/** Pieces of plain text are joined; thoughts and empty text have no value for a later request unless they are signed. */
export function keep(kept: Kept, part: JsonObject): void {
  const isSigned = firstText(part.thoughtSignature) !== "";
  if (kept.chars > PARTS_CHARS_MAX || (!isSigned && (part.thought === true || part.text === ""))) return;
  kept.chars += JSON.stringify(part).length;
  const last = kept.parts.at(-1);
  if (last !== undefined && isPlainText(last) && isPlainText(part))
    kept.parts[kept.parts.length - 1] = { text: firstText(last.text) + firstText(part.text) };
  else kept.parts.push(part);
}

function isPlainText(part: JsonObject): boolean {
  return typeof part.text === "string" && Object.keys(part).length === 1;
}

/** True when some part has no other way back to Google. */
export function worthKeeping({ parts }: Kept): boolean {
  return parts.some(({ toolCall, toolResponse }) => toolCall !== undefined || toolResponse !== undefined);
}
