// Hides how many input tokens a request will be billed for: an estimate from its characters, made once per request.
import type { ChatBody, ContentPart, JsonObject } from "./chat.ts";
import { isObject, objectsIn } from "./json.ts";
import { type Attachment, attachmentTokens, imageTokens, type MediaFormula } from "./tokens/media.ts";
import { fileBytesOf, type ImageSize, imageSizeOf } from "./tokens/media-size.ts";
import { textMeter } from "./tokens/text.ts";

/** What a request weighs, before the target is known. */
export interface TokenEstimate {
  /** Of all text: messages, tool calls and results, tools, schemas, and the wrapping of each. Calibration scales this. */
  textTokens: number;
  images: ImageSize[];
  attachments: Attachment[];
  messages: number;
  tools: number;
}

// Wrapping in tokens: role and separators of a message, the start of the answer, and what a vendor's template puts around
// tools. Near OpenAI's; the rest is learned per model and number of tools (see tokens/calibration.ts).
const MESSAGE_TOKENS = 4;
const ANSWER_TOKENS = 3;
const TOOL_CALL_TOKENS = 6;
const TOOL_TOKENS = 8;
/** Quotes, colon and comma around a key, a value, a bracket. */
const JSON_KEY_MILLI_TOKENS = 1_500;
const JSON_VALUE_MILLI_TOKENS = 700;

/** Total: a body of any shape has an estimate. More text is never fewer tokens. Whoever estimates often keeps a meter. */
export function estimateTokens(body: ChatBody, measure = textMeter()): TokenEstimate {
  const tally: Tally = { milliTokens: 1_000 * ANSWER_TOKENS, images: [], attachments: [], measure };
  const messages = objectsIn(body.messages);
  for (const message of messages) addMessage(tally, message);
  const tools = [...objectsIn(body.tools), ...objectsIn(body.functions)];
  for (const tool of tools) addTool(tally, tool);
  addSchema(tally, body.response_format);
  const { milliTokens, images, attachments } = tally;
  const textTokens = Math.ceil(milliTokens / 1_000);
  return { textTokens, images, attachments, messages: messages.length, tools: tools.length };
}

/** Tokens of images and files: exact formulas and guesses that no ratio of the text applies to. */
export function mediaTokens(estimate: TokenEstimate, formula: MediaFormula): number {
  let tokens = 0;
  for (const image of estimate.images) tokens += imageTokens(image, formula);
  for (const attachment of estimate.attachments) tokens += attachmentTokens(attachment, formula);
  return tokens;
}

/** The whole prompt, uncalibrated. */
export function inputTokens(estimate: TokenEstimate, formula: MediaFormula): number {
  return estimate.textTokens + mediaTokens(estimate, formula);
}

interface Tally {
  milliTokens: number;
  images: ImageSize[];
  attachments: Attachment[];
  measure(text: string): number;
}

function addMessage(tally: Tally, message: JsonObject): void {
  tally.milliTokens += 1_000 * MESSAGE_TOKENS;
  addText(tally, message.name);
  addContent(tally, message.content);
  addText(tally, message.refusal);
  addText(tally, message.reasoning_content);
  for (const detail of objectsIn(message.reasoning_details)) addText(tally, detail.text);
  for (const call of objectsIn(message.tool_calls)) addToolCall(tally, call);
  if (isObject(message.function_call)) addToolCall(tally, { function: message.function_call });
}

function addContent(tally: Tally, content: unknown): void {
  if (typeof content === "string") addText(tally, content);
  else if (!Array.isArray(content)) addJson(tally, content);
  else {
    for (const part of content) {
      if (isObject(part)) addPart(tally, part as ContentPart);
      else addText(tally, part);
    }
  }
}

function addPart(tally: Tally, part: ContentPart): void {
  const { type } = part;
  if (type === "image_url") tally.images.push(imageOf(part.image_url));
  else if (type === "input_audio") addAttachment(tally, "audio", part.input_audio, "data");
  else if (type === "video_url") addAttachment(tally, "video", part.video_url, "url");
  else if (type === "file") addFile(tally, part.file);
  else if (typeof part.text === "string") addText(tally, part.text);
  else if (typeof part.refusal === "string") addText(tally, part.refusal);
  else addJson(tally, part);
}

/** Some clients send the bare address instead of `{url}`. */
function imageOf(source: unknown): ImageSize {
  if (typeof source === "string") return imageSizeOf(source);
  const { url, detail } = isObject(source) ? source : {};
  return imageSizeOf(typeof url === "string" ? url : "", typeof detail === "string" ? detail : undefined);
}

function addAttachment(tally: Tally, kind: Attachment["kind"], source: unknown, field: string): void {
  const data = isObject(source) ? source[field] : source;
  tally.attachments.push({ kind, bytes: typeof data === "string" ? fileBytesOf(data) : undefined });
}

const ENCODED_CHARS_PER_TOKEN = 5;

function addFile(tally: Tally, file: unknown): void {
  const data = isObject(file) ? file.file_data : undefined;
  const head = typeof data === "string" ? data.slice(0, 64).toLowerCase() : "";
  if (head.startsWith("data:image/")) tally.images.push(imageSizeOf(data as string));
  // Plain text in base64: 4 characters hold 3 bytes, of which a token takes about 4.
  else if (head.startsWith("data:text/"))
    tally.milliTokens += Math.floor((1_000 * (data as string).length) / ENCODED_CHARS_PER_TOKEN);
  else addAttachment(tally, "document", file, "file_data");
}

function addToolCall(tally: Tally, call: JsonObject): void {
  tally.milliTokens += 1_000 * TOOL_CALL_TOKENS;
  for (const named of [call.function, call.custom]) {
    if (!isObject(named)) continue;
    addText(tally, named.name);
    addText(tally, named.input);
    if (typeof named.arguments === "string") addText(tally, named.arguments);
    else addJson(tally, named.arguments);
  }
}

function addTool(tally: Tally, tool: JsonObject): void {
  tally.milliTokens += 1_000 * TOOL_TOKENS;
  const { name, description, parameters, ...rest } = isObject(tool.function) ? tool.function : tool;
  addText(tally, name);
  addText(tally, description);
  addJson(tally, parameters);
  // A grammar, or the settings of a tool of the vendor's own.
  if (parameters === undefined) addJson(tally, rest);
}

function addSchema(tally: Tally, format: unknown): void {
  if (isObject(format)) addJson(tally, format.json_schema);
}

function addText(tally: Tally, text: unknown): void {
  if (typeof text === "string") tally.milliTokens += tally.measure(text);
}

/** Keys and values of JSON of any depth, without recursion: nesting costs a caller nothing and must cost us no stack. */
function addJson(tally: Tally, root: unknown): void {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (value === undefined || value === null) continue;
    tally.milliTokens += JSON_VALUE_MILLI_TOKENS;
    if (typeof value === "string") addText(tally, value);
    else if (Array.isArray(value)) for (const item of value) open.push(item);
    else if (isObject(value)) {
      for (const key of Object.keys(value)) {
        tally.milliTokens += JSON_KEY_MILLI_TOKENS;
        addText(tally, key);
        open.push(value[key]);
      }
    }
  }
}
