// Which conversation a request belongs to, so that its turns can go where its prompt cache is.
import { hash } from "node:crypto";
import type { ChatBody, ChatMessage, ChatRequest } from "../chat.ts";
import { firstText, isObject, objectsIn } from "../json.ts";

/** Ours first: it can only be meant for us. */
const SESSION_HEADERS = ["x-signalbox-session", "x-session-id"];
const SESSION_FIELDS = ["prompt_cache_key", "session_id"] as const;

/** Longer texts (documents, inline images) contribute their ends and their length: caches match beginnings, so two
 *  conversations that this takes for one share most of their prompt anyway. */
const HEAD_CHARS = 12_288;
const TAIL_CHARS = 4_096;
const TOOLS_MAX = 256;
const PARTS_MAX = 64;
const ID_CHARS = 12;

export interface AffinityFacts {
  request: ChatRequest;
  /** Name of the caller's key. Part of every id: what one tenant sends never touches the conversations of another. */
  key: string;
  /** Reads a request header by lower-case name. */
  header(name: string): string | undefined;
}

/**
 * 12 characters (72 bits): the same for all turns of a conversation with one model. What the caller calls the session
 * counts; without that it is the beginning, which no turn changes. `undefined` when there is nothing to go by. Takes about
 * 0.5 µs per kB of system prompt and first message, at most 0.1 ms.
 */
export function affinityId({ request, key, header }: AffinityFacts): string | undefined {
  const { body } = request;
  const session = sessionOf(body, header);
  if (session !== undefined) return idOf(["session", key, body.model, sampled(session)]);
  const beginning = beginningOf(body.messages);
  if (beginning.length === 0) return undefined;
  return idOf(["beginning", key, body.model, ...toolTexts(body.tools), ...beginning]);
}

function sessionOf(body: ChatBody, header: AffinityFacts["header"]): string | undefined {
  const named = [...SESSION_HEADERS.map(header), ...SESSION_FIELDS.map((field) => body[field])];
  return named.find((value): value is string => typeof value === "string" && value !== "");
}

/** What comes before the first answer: instructions, and the first thing the user said. */
function beginningOf(messages: readonly ChatMessage[]): string[] {
  const texts: string[] = [];
  for (const { role, content } of objectsIn(messages)) {
    if (role === "assistant" || role === "tool") break;
    texts.push(String(role), ...contentTexts(content));
    if (role === "user") break;
  }
  return texts;
}

function contentTexts(content: unknown): string[] {
  if (typeof content === "string") return [sampled(content)];
  const parts = Array.isArray(content) ? objectsIn(content.slice(0, PARTS_MAX)) : [];
  return parts.map(({ type, text, image_url: image }) => {
    return sampled(firstText(text, isObject(image) ? image.url : image, type));
  });
}

/** By name, description and parameter names: enough to tell harnesses apart, without serialising every schema. */
function toolTexts(tools: unknown): string[] {
  return objectsIn(tools)
    .slice(0, TOOLS_MAX)
    .map((tool) => {
      const { name, description, parameters } = isObject(tool.function) ? tool.function : {};
      const properties = isObject(parameters) && isObject(parameters.properties) ? parameters.properties : {};
      return sampled([tool.type, name, description, ...Object.keys(properties)].join("\n"));
    });
}

function sampled(text: string): string {
  if (text.length <= HEAD_CHARS + TAIL_CHARS) return text;
  return `${text.length}:${text.slice(0, HEAD_CHARS)}${text.slice(-TAIL_CHARS)}`;
}

/** SHA-1 because it is the fastest that OpenSSL has and ids are not secrets. The lengths keep apart what is next to one
 *  another. */
function idOf(texts: string[]): string {
  const material = texts.map((text) => `${text.length}:${text}`).join("");
  // Short enough for V8 to copy: a longer slice would keep the whole digest alive.
  return hash("sha1", material, "base64url").slice(0, ID_CHARS);
}
