// Content parts of a message as Anthropic blocks: text, images, files.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { marked } from "./cache.ts";
import { imageType, isPdf, isTextual, type Media, parseDataUrl, standardBase64 } from "./media.ts";
import type { Terms } from "./terms.ts";
import type { Document, ImageBlockParam, TextBlockParam } from "./wire.ts";

export type PartBlock = TextBlockParam | ImageBlockParam | Document;

/** Vendor limit for document titles. */
const TITLE_CHARS_MAX = 500;

/** The parts of a message; a string is one text part, anything else (null, a number) is none. */
export function partsOf({ content }: ChatMessage): JsonObject[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return objectsIn(content);
}

/** The blocks of a user or tool message. A part that cannot be expressed refuses the request: nothing is lost silently. */
export function userBlocks(message: ChatMessage, at: number, terms: Terms, report: Report): PartBlock[] {
  return partsOf(message).flatMap((part, j) => {
    const block = toBlock(part, `messages[${at}].content[${j}]`, terms, report);
    return block === undefined ? [] : [{ ...block, ...marked(part) }];
  });
}

/** URLs among the parts of user and tool messages that this provider would not fetch itself. */
export function urlsToFetch(messages: ChatMessage[], { fetchesUrls }: Terms): string[] {
  const parts = messages.filter(({ role }) => ["user", "tool", "function"].includes(role)).flatMap(partsOf);
  return parts.map(urlOf).filter((url) => /^https?:\/\//i.test(url) && !(fetchesUrls && isFetchable(url)));
}

function urlOf(part: JsonObject): string {
  if (part.type === "image_url")
    return firstText(isObject(part.image_url) ? part.image_url.url : part.image_url).trim();
  if (part.type !== "file" || !isObject(part.file) || firstText(part.file.file_id) !== "") return "";
  return firstText(part.file.file_data).trim();
}

function isFetchable(url: string): boolean {
  return /^https:\/\//i.test(url);
}

function toBlock(part: JsonObject, path: string, terms: Terms, report: Report): PartBlock | undefined {
  if (part.type === "text" || part.type === "refusal") {
    return { type: "text", text: firstText(part.text, part.refusal) };
  }
  if (part.type === "image_url") return imageBlock(urlOf(part), path, terms, report);
  if (part.type === "file") return fileBlock(part, `${path}.file`, terms, report);
  const message = `Content of type '${String(part.type)}' cannot be sent to this model; use text, images or files.`;
  report.refuse("unsupported_parameter", path, message);
  return undefined;
}

function imageBlock(url: string, path: string, terms: Terms, report: Report): ImageBlockParam | undefined {
  const media = terms.downloads.get(url) ?? parseDataUrl(url);
  if (media === undefined && terms.fetchesUrls && isFetchable(url))
    return { type: "image", source: { type: "url", url } };
  if (media === undefined) {
    const message = "An image must be a URL that can be fetched, or a base64 data URL.";
    report.refuse("invalid_image_url", path, message);
    return undefined;
  }
  return base64Image(media, path, report);
}

function base64Image(media: Media, path: string, report: Report): ImageBlockParam | undefined {
  const type = imageType(media);
  if (type === undefined) {
    const message = `Images of type '${media.mediaType}' are not accepted; send JPEG, PNG, GIF or WebP.`;
    report.refuse("invalid_image_format", path, message);
    return undefined;
  }
  return { type: "image", source: { type: "base64", media_type: type, data: media.base64 } };
}

function fileBlock(part: JsonObject, path: string, terms: Terms, report: Report): PartBlock | undefined {
  const file = isObject(part.file) ? part.file : {};
  const name = firstText(file.filename).slice(0, TITLE_CHARS_MAX);
  const title = name === "" ? {} : { title: name };
  const id = firstText(file.file_id);
  if (id !== "") {
    if (id.startsWith("file_")) return { type: "document", source: { type: "file", file_id: id }, ...title };
    const message = `File '${id}' was uploaded elsewhere; send the bytes as file_data, or the id of an Anthropic file.`;
    report.refuse("unsupported_value", `${path}.file_id`, message);
    return undefined;
  }
  const data = urlOf(part);
  const fetched = terms.downloads.get(data);
  if (fetched === undefined && terms.fetchesUrls && isFetchable(data)) {
    return { type: "document", source: { type: "url", url: data }, ...title };
  }
  const media = fetched ?? parseDataUrl(data) ?? { mediaType: "", base64: standardBase64(data) };
  if (isPdf(media)) {
    const source = { type: "base64", media_type: "application/pdf", data: media.base64 } as const;
    return { type: "document", source, ...title };
  }
  if (isTextual(media)) {
    const text = Buffer.from(media.base64, "base64").toString("utf8");
    return { type: "document", source: { type: "text", media_type: "text/plain", data: text }, ...title };
  }
  if (media.mediaType.startsWith("image/")) return base64Image(media, path, report);
  if (terms.documentTypes.has(media.mediaType)) {
    // The vendor's type names PDF alone; whoever lists further types writes the block in another form.
    const type = media.mediaType as "application/pdf";
    return { type: "document", source: { type: "base64", media_type: type, data: media.base64 }, ...title };
  }
  const message = `Files of type '${media.mediaType}' are not accepted; send PDF, text or an image, as a data URL.`;
  report.refuse("unsupported_value", `${path}.file_data`, message);
  return undefined;
}
