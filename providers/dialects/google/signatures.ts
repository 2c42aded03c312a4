// Thought signatures: opaque proofs on parts that Gemini 3 wants back unchanged, on the part they came with.
import type { Content, Part } from "@google/genai";
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";

/** OpenRouter's name for Gemini's reasoning items; `data` is the signature. */
export const REASONING_FORMAT = "google-gemini-v1";

/** Google's documented stand-in for calls that another vendor's model made (vercel/ai#15560). */
const SENTINEL = "skip_thought_signature_validator";

/** The members under which our answers, and Google's own OpenAI endpoint, carry a signature. */
export function signatureExtra(signature: string): JsonObject {
  return { google: { thought_signature: signature } };
}

/** The signature of a call, from any of the places clients of Google, LiteLLM and OpenRouter keep it in. */
export function callSignature(call: JsonObject, message: ChatMessage, id: string): string | undefined {
  const item = objectsIn(message.reasoning_details).find(
    (detail) => detail.type === "reasoning.encrypted" && id !== "" && detail.id === id,
  );
  const signature = firstText(
    extraSignature(call),
    member(call.function, "thought_signature"),
    member(call.provider_specific_fields, "thought_signature"),
    item?.data,
  );
  return signature || undefined;
}

function extraSignature(holder: JsonObject): unknown {
  const extra = isObject(holder.extra_content) ? holder.extra_content : {};
  return member(extra.google, "thought_signature");
}

function member(holder: unknown, name: string): unknown {
  return isObject(holder) ? holder[name] : undefined;
}

/** The text of an assistant message as parts, cut where a signed part began. Unsigned text is one part. */
export function signedText(text: string, message: ChatMessage): Part[] {
  const signed = textSignatures(text, message);
  const parts: Part[] = [];
  const first = signed[0]?.offset ?? text.length;
  if (first > 0) parts.push({ text: text.slice(0, first) });
  signed.forEach(({ offset, thoughtSignature }, i) => {
    parts.push({ text: text.slice(offset, signed[i + 1]?.offset ?? text.length), thoughtSignature });
  });
  return parts;
}

function textSignatures(text: string, message: ChatMessage): { offset: number; thoughtSignature: string }[] {
  const details = objectsIn(message.reasoning_details).filter(
    ({ type, format, id, data, tool_offset }) =>
      type === "reasoning.encrypted" && format === REASONING_FORMAT && !id && firstText(data) !== "" && !tool_offset,
  );
  const signed = details.map(({ data, text_offset }) => ({
    offset: Number.isInteger(text_offset) ? Math.min(Math.max(Number(text_offset), 0), text.length) : text.length,
    thoughtSignature: firstText(data),
  }));
  const ofMessage = firstText(extraSignature(message));
  // On the message itself it stands for the whole text: Google's endpoint puts the one of the last part there.
  if (signed.length === 0 && ofMessage !== "") return [{ offset: 0, thoughtSignature: ofMessage }];
  return signed.sort((a, b) => a.offset - b.offset);
}

/** What is validated: everything after the last content of the user that is more than results (vercel/ai#17649). */
export function currentTurn(contents: Content[]): Content[] {
  const question = contents.findLastIndex(
    ({ role, parts }) => role === "user" && parts?.some((part) => part.functionResponse === undefined),
  );
  return contents.slice(question + 1);
}

/** Puts the stand-in on the first call of every step that lacks a signature; calls 2…n of a step have none by design. */
export function signSteps(contents: Content[]): void {
  for (const { parts } of contents) {
    const first = parts?.find((part) => part.functionCall !== undefined);
    if (first !== undefined) first.thoughtSignature ??= SENTINEL;
  }
}
