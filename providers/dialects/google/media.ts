// Content parts as Gemini parts. Nothing is downloaded here: what would need it is refused.
import type { Part } from "@google/genai";
import type { ContentPart, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { Gates } from "./gates.ts";
import type { Report } from "./report.ts";

export interface PartContext {
  gates: Gates;
  report: Report;
}

// Maps, not objects: the keys come from callers, and `constructor` is not a file extension.
const FETCHED_MIME = {
  html: "text/html",
  css: "text/css",
  csv: "text/csv",
  xml: "text/xml",
  txt: "text/plain",
  rtf: "text/rtf",
  js: "text/javascript",
  json: "application/json",
  pdf: "application/pdf",
  bmp: "image/bmp",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  mp4: "video/mp4",
  mpeg: "video/mpeg",
  mov: "video/quicktime",
  avi: "video/avi",
  flv: "video/x-flv",
  mpg: "video/mpg",
  webm: "video/webm",
  wmv: "video/wmv",
  "3gp": "video/3gpp",
};
const MIME_BY_EXTENSION = new Map(Object.entries(FETCHED_MIME));

/** Types an upload may have beyond those the API fetches from an address. */
const MIME_BY_UPLOAD_EXTENSION = new Map(
  Object.entries({
    ...FETCHED_MIME,
    md: "text/md",
    gif: "image/gif",
    heic: "image/heic",
    heif: "image/heif",
    wav: "audio/wav",
    mp3: "audio/mp3",
    flac: "audio/flac",
    ogg: "audio/ogg",
  }),
);

const MIME_BY_AUDIO_FORMAT = new Map(
  Object.entries({
    wav: "audio/wav",
    mp3: "audio/mp3",
    flac: "audio/flac",
    ogg: "audio/ogg",
    aac: "audio/aac",
    aiff: "audio/aiff",
    m4a: "audio/mp4",
    pcm16: "audio/L16",
  }),
);

/** What files begin with. */
const MAGIC: [pattern: RegExp, mimeType: string][] = [
  [/^\x89PNG/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^GIF8/, "image/gif"],
  [/^RIFF.{4}WEBP/s, "image/webp"],
  [/^RIFF.{4}WAVE/s, "audio/wav"],
  [/^%PDF-/, "application/pdf"],
];

/** One content part; `undefined` when it is empty or was refused. `at` is its path, `messages[0].content[1]`. */
export function toPart(part: ContentPart, at: string, context: PartContext): Part | undefined {
  switch (part.type) {
    case "text":
      return textOf(part.text);
    case "refusal":
      return textOf(part.refusal);
    case "image_url":
      return fromUrl({ url: urlOf(part.image_url), at: `${at}.image_url.url`, code: "invalid_image_url" }, context);
    case "video_url":
      return fromUrl({ url: urlOf(part.video_url), at: `${at}.video_url.url`, code: "invalid_video_url" }, context);
    case "input_audio":
      return fromAudio(part.input_audio, `${at}.input_audio`, context);
    case "file":
      return fromFile(part.file, `${at}.file`, context);
    default:
      context.report.invalid(`${at}.type`, "invalid_value", `Invalid value: '${part.type}'.`);
      return undefined;
  }
}

function textOf(text: unknown): Part | undefined {
  return typeof text === "string" && text !== "" ? { text } : undefined;
}

/** Some clients send the bare address instead of `{url}`. */
function urlOf(holder: unknown): string {
  return isObject(holder) ? firstText(holder.url) : firstText(holder);
}

/** Where media come from. `code` is the error when they would have to be downloaded. */
interface Source {
  url: string;
  at: string;
  code: string;
}

function fromUrl(source: Source, context: PartContext): Part | undefined {
  const { url, at } = source;
  if (url.startsWith("data:")) return fromDataUrl(url, at, context);
  if (isGoogleFile(url)) return { fileData: withMime(url, extensionOf(url)) };
  if (/^https:\/\/(www\.)?(youtube\.com\/watch\?|youtu\.be\/)/.test(url)) return { fileData: { fileUri: url } };
  if (/^https?:\/\//i.test(url)) return fromWebAddress(source, context);
  context.report.invalid(at, "invalid_value", "Expected an https or data URL.");
  return undefined;
}

/** The name or the address of a file uploaded to Google. */
function isGoogleFile(url: string): boolean {
  return /^(https:\/\/generativelanguage\.googleapis\.com\/v1(beta)?\/)?files\/[\w-]+$/.test(url);
}

function withMime(fileUri: string, extension: string): { fileUri: string; mimeType?: string } {
  const mimeType = MIME_BY_UPLOAD_EXTENSION.get(extension);
  return mimeType === undefined ? { fileUri } : { mimeType, fileUri };
}

function fromWebAddress({ url, at, code }: Source, { gates, report }: PartContext): Part | undefined {
  const mimeType = MIME_BY_EXTENSION.get(extensionOf(url));
  if (gates.externalUrls && mimeType !== undefined && /^https:/i.test(url))
    return { fileData: { mimeType, fileUri: url } };
  const message =
    "This model cannot fetch the address by itself: send the content as a data URL, or an https URL whose path ends " +
    "in a known file extension to a model that accepts them.";
  report.unsupported(at, code, message);
  return undefined;
}

function extensionOf(name: string): string {
  const path = name.replace(/[?#].*$/s, "");
  return /\.([A-Za-z0-9]{1,5})$/.exec(path)?.[1]?.toLowerCase() ?? "";
}

function fromDataUrl(url: string, at: string, { report }: PartContext): Part | undefined {
  const comma = url.indexOf(",");
  // Only the head meets an expression that captures: the payload may be megabytes.
  const head = comma === -1 ? null : /^data:([^;,]+)?((?:;[^;,]+)*)$/.exec(url.slice(0, comma));
  const payload = url.slice(comma + 1);
  const isBase64 = /;\s*base64\s*$/i.test(head?.[2] ?? "");
  const data = head === null ? undefined : isBase64 ? canonicalBase64(payload) : base64OfPercentEncoded(payload);
  if (!data) {
    report.invalid(at, "invalid_value", "The data URL is empty or malformed.");
    return undefined;
  }
  return { inlineData: { mimeType: head?.[1]?.trim() ?? sniffedMime(data) ?? "image/png", data } };
}

/** Standard alphabet without white space, as the API wants it. Returns the same string in the usual case. */
function canonicalBase64(text: string): string {
  if (!/[^A-Za-z0-9+/=]/.test(text)) return text;
  const plain = text.replace(/\s+/g, "").replace(/-/g, "+").replace(/_/g, "/");
  return plain + "=".repeat((4 - (plain.length % 4)) % 4);
}

function base64OfPercentEncoded(text: string): string | undefined {
  try {
    return Buffer.from(decodeURIComponent(text), "utf8").toString("base64");
  } catch {
    return undefined;
  }
}

function sniffedMime(base64: string): string | undefined {
  const start = Buffer.from(base64.slice(0, 24), "base64").toString("latin1");
  return MAGIC.find(([pattern]) => pattern.test(start))?.[1];
}

function fromAudio(audio: unknown, at: string, { report }: PartContext): Part | undefined {
  const { data, format }: JsonObject = isObject(audio) ? audio : {};
  const mimeType = MIME_BY_AUDIO_FORMAT.get(firstText(format).toLowerCase());
  if (mimeType === undefined) {
    const formats = [...MIME_BY_AUDIO_FORMAT.keys()].join(", ");
    report.invalid(`${at}.format`, "invalid_value", `Unknown audio format; use one of: ${formats}.`);
    return undefined;
  }
  if (typeof data !== "string" || data === "") {
    report.invalid(`${at}.data`, "invalid_value", "Expected base64 audio.");
    return undefined;
  }
  return { inlineData: { mimeType, data: canonicalBase64(data) } };
}

function fromFile(holder: unknown, at: string, context: PartContext): Part | undefined {
  const file: JsonObject = isObject(holder) ? holder : {};
  const data = firstText(file.file_data);
  if (data.startsWith("data:")) return fromDataUrl(data, `${at}.file_data`, context);
  if (data !== "") {
    const base64 = canonicalBase64(data);
    const mimeType = MIME_BY_UPLOAD_EXTENSION.get(extensionOf(firstText(file.filename))) ?? sniffedMime(base64);
    if (mimeType !== undefined) return { inlineData: { mimeType, data: base64 } };
    const message = "The type of the file is unknown: send a data URL, or a filename with a known extension.";
    context.report.invalid(`${at}.file_data`, "invalid_value", message);
    return undefined;
  }
  const id = firstText(file.file_id);
  if (isGoogleFile(id)) return { fileData: withMime(id, extensionOf(firstText(file.filename))) };
  if (/^https?:\/\//i.test(id)) return fromUrl({ url: id, at: `${at}.file_id`, code: "invalid_file_url" }, context);
  const message = "Only files uploaded to Google (`files/…`) and https URLs can be referred to.";
  context.report.unsupported(`${at}.file_id`, "unsupported_value", message);
  return undefined;
}
