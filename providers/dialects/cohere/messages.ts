// Messages as Cohere's: text and images in, and turns that call tools have a plan instead of content.
import type { ChatMessage, ContentPart, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { legacyCallId, toPastCalls } from "./past-calls.ts";

/** `instruction` is put behind the system messages at the start. */
export function toMessages(messages: ChatMessage[], instruction: string | undefined, report: Report): JsonObject[] {
  const converted = messages
    .map((message, index) => toMessage(message, index, messages, report))
    .filter((message) => message !== undefined);
  if (converted.length === 0) report.refuse("invalid_value", "messages", "The messages hold no content.");
  if (instruction === undefined) return converted;
  const firstOther = converted.findIndex(({ role }) => role !== "system");
  const at = firstOther === -1 ? converted.length : firstOther;
  return converted.toSpliced(at, 0, { role: "system", content: instruction });
}

function toMessage(
  message: ChatMessage,
  index: number,
  messages: ChatMessage[],
  report: Report,
): JsonObject | undefined {
  const at = `messages[${index}]`;
  // Cohere knows nobody by name; results of the older generation of tools are looked up by it.
  if (message.name != null && message.role !== "function" && message.role !== "tool")
    report.note("dropped", `${at}.name`);
  if (message.audio != null) report.note("dropped", `${at}.audio`);
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", content: textContent(message, at, report) };
    case "user":
      return { role: "user", content: userContent(message, at, report) };
    case "assistant":
      return assistantMessage(message, index, report);
    case "tool":
      return toolMessage(firstText(message.tool_call_id), message, at, report);
    case "function":
      return toolMessage(legacyCallId(messages, index), message, at, report);
    default:
      report.refuse("invalid_value", `${at}.role`, `Invalid value: '${message.role}'.`);
      return undefined;
  }
}

function toolMessage(id: string, message: ChatMessage, at: string, report: Report): JsonObject {
  return { role: "tool", tool_call_id: id, content: joinedText(message, at, report) };
}

/** A turn that calls tools has no content: what was said there is the plan, and so is what was thought (vercel/ai does so). */
function assistantMessage(message: ChatMessage, index: number, report: Report): JsonObject | undefined {
  const at = `messages[${index}]`;
  const calls = toPastCalls(message, index, report);
  if (calls.length > 0) {
    const plan = firstText(joinedText(message, at, report), message.reasoning_content, message.reasoning);
    return { role: "assistant", ...(plan !== "" && { tool_plan: plan }), tool_calls: calls };
  }
  const content = textContent(message, at, report);
  // A message without anything in it has no counterpart.
  return content.length === 0 ? undefined : { role: "assistant", content };
}

/** Text as it was divided; one text stays a string. */
function textContent({ content, refusal }: ChatMessage, at: string, report: Report): string | JsonObject[] {
  if (!Array.isArray(content)) return firstText(content, refusal);
  return content.flatMap((part, i) => {
    const text = textOf(part, `${at}.content[${i}]`, report);
    return text === "" ? [] : [{ type: "text", text }];
  });
}

function joinedText(message: ChatMessage, at: string, report: Report): string {
  const content = textContent(message, at, report);
  return typeof content === "string" ? content : content.map(({ text }) => firstText(text)).join("\n");
}

function textOf(part: ContentPart, at: string, report: Report): string {
  if (part.type === "text" || part.type === "refusal") return firstText(part.text, part.refusal);
  // What another model thought is of no use to this one.
  if (part.type === "thinking") return "";
  report.refuse("unsupported_value", at, "Only messages of the user can hold more than text for this model.");
  return "";
}

function userContent({ content }: ChatMessage, at: string, report: Report): string | JsonObject[] {
  if (!Array.isArray(content)) return firstText(content);
  return content.map((part, i) => userPart(part, `${at}.content[${i}]`, report)).filter((part) => part !== undefined);
}

function userPart(part: ContentPart, at: string, report: Report): JsonObject | undefined {
  if (part.type === "text") return part.text ? { type: "text", text: part.text } : undefined;
  if (part.type !== "image_url") {
    report.refuse("unsupported_value", at, `Content parts of type '${part.type}' are not supported by this model.`);
    return undefined;
  }
  const image: JsonObject = isObject(part.image_url) ? part.image_url : {};
  const url = firstText(image.url, part.image_url);
  if (url === "") report.refuse("invalid_value", `${at}.image_url.url`, "An image needs a URL.");
  const detail = firstText(image.detail);
  return { type: "image_url", image_url: { url, ...(detail !== "" && { detail }) } };
}
