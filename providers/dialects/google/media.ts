// Content parts as Gemini parts. Nothing is downloaded here: what this model does not fetch itself is asked for.
import type { Part } from "@google/genai";
import type { ChatMessage, ContentPart, JsonObject } from "../../../src/chat.ts";
import type { Download } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Translation } from "./context.ts";
import type { Gates } from "./gates.ts";

export type PartContext = Pick<Translation, "gates" | "report" | "download">;

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
      context.report.refuse("invalid_value", `${at}.type`, `Invalid value: '${part.type}'.`);
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
  const { url, at, code } = source;
  const { gates, report } = context;
  if (url.startsWith("data:")) return fromDataUrl(url, at, context);
  if (isGoogleFile(url) && !gates.cloudAddresses) return { fileData: withMime(url, extensionOf(url)) };
  if (isVideoPage(url)) return { fileData: { fileUri: url } };
  const mimeType = fetchedMime(url, gates);
  if (mimeType !== undefined) return { fileData: { mimeType, fileUri: url } };
  if (isWebAddress(url)) return fromDownload(source, context);
  if (gates.cloudAddresses && url.startsWith("gs://")) {
    report.refuse(
      code,
      at,
      "The path must end in a known file extension: it tells the type of the file.",
      "unsupported",
    );
  } else report.refuse("invalid_value", at, "Expected an https or data URL.");
  return undefined;
}

function isWebAddress(url: string): boolean {
  return /^https?:\/\//i.test(url);
}

function isVideoPage(url: string): boolean {
  return /^https:\/\/(www\.)?(youtube\.com\/watch\?|youtu\.be\/)/.test(url);
}

/** The type of what the model fetches itself, or `undefined` when it does not. */
function fetchedMime(url: string, gates: Gates): string | undefined {
  const extension = extensionOf(url);
  if (gates.cloudAddresses && url.startsWith("gs://")) return MIME_BY_UPLOAD_EXTENSION.get(extension);
  const isFetched = gates.cloudAddresses ? isWebAddress(url) : gates.externalUrls && /^https:/i.test(url);
  return isFetched ? MIME_BY_EXTENSION.get(extension) : undefined;
}

/** Addresses in the messages that the model does not fetch itself. */
export function addressesToFetch(messages: ChatMessage[], gates: Gates): string[] {
  return messages
    .flatMap(({ content, images }) => [...objectsIn(content), ...objectsIn(images)])
    .map(addressIn)
    .filter((url) => isWebAddress(url) && !isVideoPage(url) && !(isGoogleFile(url) && !gates.cloudAddresses))
    .filter((url) => fetchedMime(url, gates) === undefined);
}

function addressIn({ type, image_url, video_url, file }: JsonObject): string {
  if (type === "image_url") return urlOf(image_url);
  if (type === "video_url") return urlOf(video_url);
  return type === "file" && isObject(file) && firstText(file.file_data) === "" ? firstText(file.file_id) : "";
}

/** The pictures of an earlier answer, in OpenRouter's place, each with the signature it came with. */
export function pastImages(message: ChatMessage, at: string, context: PartContext): Part[] {
  return objectsIn(message.images).flatMap((image, i) => {
    const part = toPart({ ...image, type: "image_url" }, `${at}.images[${i}]`, context);
    const google = isObject(image.extra_content) ? image.extra_content.google : undefined;
    const thoughtSignature = isObject(google) ? firstText(google.thought_signature) : "";
    if (part === undefined) return [];
    return thoughtSignature === "" ? part : { ...part, thoughtSignature };
  });
}

/** The name or the address of a file uploaded to Google. */
function isGoogleFile(url: string): boolean {
  return /^(https:\/\/generativelanguage\.googleapis\.com\/v1(beta)?\/)?files\/[\w-]+$/.test(url);
}

function withMime(fileUri: string, extension: string): { fileUri: string; mimeType?: string } {
  const mimeType = MIME_BY_UPLOAD_EXTENSION.get(extension);
  return mimeType === undefined ? { fileUri } : { mimeType, fileUri };
}

function fromDownload({ url, at, code }: Source, { download, report }: PartContext): Part | undefined {
  const file = download(url);
  const mimeType = file && downloadedMime(file, url);
  if (file !== undefined && mimeType !== undefined) return { inlineData: { mimeType, data: file.base64 } };
  const message =
    file === undefined
      ? "This model cannot fetch the address by itself: send the content as a data URL, or an https URL whose path ends " +
        "in a known file extension to a model that accepts them."
      : "The type of the file at this address is unknown: neither its headers nor its first bytes tell it.";
  report.refuse(code, at, message, "unsupported");
  return undefined;
}

const VAGUE_MIME = /^(application|binary)\/octet-stream$|^$/;

/** As the server says, else by the first bytes, else by the path. */
function downloadedMime({ mediaType, base64 }: Download, url: string): string | undefined {
  if (!VAGUE_MIME.test(mediaType)) return mediaType;
  return sniffedMime(base64) ?? MIME_BY_UPLOAD_EXTENSION.get(extensionOf(url));
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
    report.refuse("invalid_value", at, "The data URL is empty or malformed.");
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
    report.refuse("invalid_value", `${at}.format`, `Unknown audio format; use one of: ${formats}.`);
    return undefined;
  }
  if (typeof data !== "string" || data === "") {
    report.refuse("invalid_value", `${at}.data`, "Expected base64 audio.");
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
    context.report.refuse("invalid_value", `${at}.file_data`, message);
    return undefined;
  }
  const id = firstText(file.file_id);
  if (isGoogleFile(id) && !context.gates.cloudAddresses)
    return { fileData: withMime(id, extensionOf(firstText(file.filename))) };
  if (isWebAddress(id) || (context.gates.cloudAddresses && id.startsWith("gs://")))
    return fromUrl({ url: id, at: `${at}.file_id`, code: "invalid_file_url" }, context);
  const message = context.gates.cloudAddresses
    ? "Only files in Google Cloud Storage (gs:// URLs) and https URLs can be referred to."
    : "Only files uploaded to Google (`files/…`) and https URLs can be referred to.";
  context.report.refuse("unsupported_value", `${at}.file_id`, message);
  return undefined;
}
