// Content parts of a message as Anthropic blocks: text, images, files.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import { marked } from "./cache.ts";
import type { Deviations } from "./deviations.ts";
import { imageType, isPdf, isTextual, type Media, parseDataUrl, standardBase64 } from "./media.ts";
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
export function userBlocks(message: ChatMessage, at: number, deviations: Deviations): PartBlock[] {
  return partsOf(message).flatMap((part, j) => {
    const block = toBlock(part, `messages[${at}].content[${j}]`, deviations);
    return block === undefined ? [] : [{ ...block, ...marked(part) }];
  });
}

function toBlock(part: JsonObject, path: string, deviations: Deviations): PartBlock | undefined {
  if (part.type === "text" || part.type === "refusal") {
    return { type: "text", text: firstText(part.text, part.refusal) };
  }
  if (part.type === "image_url") return imageBlock(part, path, deviations);
  if (part.type === "file") return fileBlock(isObject(part.file) ? part.file : {}, `${path}.file`, deviations);
  const message = `Content of type '${String(part.type)}' cannot be sent to this model; use text, images or files.`;
  deviations.refuse("unsupported_parameter", path, message);
  return undefined;
}

function imageBlock(part: JsonObject, path: string, deviations: Deviations): ImageBlockParam | undefined {
  const url = firstText(isObject(part.image_url) ? part.image_url.url : part.image_url).trim();
  if (/^https:\/\//i.test(url)) return { type: "image", source: { type: "url", url } };
  const media = parseDataUrl(url);
  if (media === undefined) {
    const message = "An image must be an https:// URL or a base64 data URL; the router does not download images.";
    deviations.refuse("invalid_image_url", path, message);
    return undefined;
  }
  return base64Image(media, path, deviations);
}

function base64Image(media: Media, path: string, deviations: Deviations): ImageBlockParam | undefined {
  const type = imageType(media);
  if (type === undefined) {
    const message = `Images of type '${media.mediaType}' are not accepted; send JPEG, PNG, GIF or WebP.`;
    deviations.refuse("invalid_image_format", path, message);
    return undefined;
  }
  return { type: "image", source: { type: "base64", media_type: type, data: media.base64 } };
}

function fileBlock(file: JsonObject, path: string, deviations: Deviations): PartBlock | undefined {
  const name = firstText(file.filename).slice(0, TITLE_CHARS_MAX);
  const title = name === "" ? {} : { title: name };
  const id = firstText(file.file_id);
  if (id !== "") {
    if (id.startsWith("file_")) return { type: "document", source: { type: "file", file_id: id }, ...title };
    const message = `File '${id}' was uploaded elsewhere; send the bytes as file_data, or the id of an Anthropic file.`;
    deviations.refuse("unsupported_value", `${path}.file_id`, message);
    return undefined;
  }
  const data = firstText(file.file_data).trim();
  if (/^https:\/\//i.test(data)) return { type: "document", source: { type: "url", url: data }, ...title };
  const media = parseDataUrl(data) ?? { mediaType: "", base64: standardBase64(data) };
  if (isPdf(media)) {
    const source = { type: "base64", media_type: "application/pdf", data: media.base64 } as const;
    return { type: "document", source, ...title };
  }
  if (isTextual(media)) {
    const text = Buffer.from(media.base64, "base64").toString("utf8");
    return { type: "document", source: { type: "text", media_type: "text/plain", data: text }, ...title };
  }
  if (media.mediaType.startsWith("image/")) return base64Image(media, path, deviations);
  const message = `Files of type '${media.mediaType}' are not accepted; send PDF, text or an image, as a data URL.`;
  deviations.refuse("unsupported_value", `${path}.file_data`, message);
  return undefined;
}
