// Answers with calls that Google ran itself: they go back part by part, as they came.
import type { Part } from "@google/genai";
import type { ChatMessage } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import { idFor, type PastCall } from "./calls.ts";
import type { Translation } from "./context.ts";
import { fingerprint, recalled } from "./memory.ts";

/**
 * The parts of the answer this message once was, word for word, when some of them are calls that Google ran itself: they
 * must come back, each with its own signature (BerriAI/litellm#31115). `undefined` when there are none, or when the
 * message no longer says the same.
 */
export function replayedParts(message: ChatMessage, calls: PastCall[], context: Translation): Part[] | undefined {
  const [first] = calls;
  if (first === undefined || !context.gates.serverSideParts) return undefined;
  const parts = objectsIn(recalled({ ...first, args: first.part.functionCall?.args }, context)?.parts);
  const made = parts.filter((part) => isObject(part.functionCall));
  const saidText = parts.map((part) => (part.thought === true ? "" : firstText(part.text))).join("");
  const isSame =
    made.length === calls.length &&
    calls.every(({ part }, i) => isSameCall(part.functionCall, made[i]?.functionCall)) &&
    saidText === textOf(message);
  if (!isSame) return undefined;
  let at = 0;
  return parts.map((part) => {
    if (!isObject(part.functionCall)) return part as Part;
    const { id: _, ...call } = part.functionCall;
    at += 1;
    // The results name the call by the id the caller knows.
    return { ...part, functionCall: { ...idFor(calls[at - 1]?.id ?? "", context), ...call } } as Part;
  });
}

function isSameCall(now: unknown, then: unknown): boolean {
  if (!isObject(now) || !isObject(then)) return false;
  return now.name === then.name && fingerprint(now.args) === fingerprint(then.args);
}

function textOf({ content }: ChatMessage): string {
  return typeof content === "string"
    ? content
    : objectsIn(content)
        .map(({ text }) => firstText(text))
        .join("");
}
