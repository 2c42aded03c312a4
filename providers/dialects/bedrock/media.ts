// Images, documents and video as Converse writes them: a format's name instead of a media type, and names of its liking.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";

const OFFICE = "application/vnd.openxmlformats-officedocument";

export const DOCUMENT_FORMATS: ReadonlyMap<string, string> = new Map([
  ["application/pdf", "pdf"],
  ["application/msword", "doc"],
  [`${OFFICE}.wordprocessingml.document`, "docx"],
  ["application/vnd.ms-excel", "xls"],
  [`${OFFICE}.spreadsheetml.sheet`, "xlsx"],
]);

export const VIDEO_FORMATS: ReadonlyMap<string, string> = new Map([
  ["video/mp4", "mp4"],
  ["video/quicktime", "mov"],
  ["video/x-matroska", "mkv"],
  ["video/webm", "webm"],
  ["video/mpeg", "mpeg"],
  ["video/x-flv", "flv"],
  ["video/x-ms-wmv", "wmv"],
  ["video/3gpp", "three_gp"],
]);

/** Text files by the ending of their name: all of them come as plain text. */
const TEXT_FORMATS = ["csv", "html", "md"];

/** Hands out names of documents: they must differ within a request. */
export class DocumentNames {
  readonly #used = new Set<string>();

  /** Letters, digits, single blanks, hyphens and brackets only, and no ending (vercel/ai#12971). */
  claim(title: string): string {
    const plain = title
      .replace(/\.[^.]*$/, "")
      .replace(/[^A-Za-z0-9\s()[\]-]/g, " ")
      .replace(/\s+/g, " ")
      .trim()
      .slice(0, 190);
    const wanted = plain === "" ? "document" : plain;
    let name = wanted;
    for (let copy = 2; this.#used.has(name); copy += 1) name = `${wanted}-${copy}`;
    this.#used.add(name);
    return name;
  }
}

/** An image or document block of the conversation in Converse's words; `undefined` for a source it cannot hold. */
export function mediaBlock(type: string, block: { source?: unknown; title?: unknown }, names: DocumentNames) {
  const source = isObject(block.source) ? block.source : {};
  const mediaType = firstText(source.media_type);
  const data = firstText(source.data);
  if (source.type === "text") return documentBlock(textFormat(firstText(block.title)), utf8Base64(data), block, names);
  if (source.type !== "base64") return undefined;
  if (type === "image") return { image: { format: mediaType.replace("image/", ""), source: { bytes: data } } };
  const video = VIDEO_FORMATS.get(mediaType);
  if (video !== undefined) return { video: { format: video, source: { bytes: data } } };
  return documentBlock(DOCUMENT_FORMATS.get(mediaType) ?? "txt", data, block, names);
}

function documentBlock(
  format: string,
  bytes: string,
  { title }: { title?: unknown },
  names: DocumentNames,
): JsonObject {
  return { document: { format, name: names.claim(firstText(title)), source: { bytes } } };
}

function textFormat(title: string): string {
  const ending = title.slice(title.lastIndexOf(".") + 1).toLowerCase();
  return TEXT_FORMATS.includes(ending) ? ending : "txt";
}

function utf8Base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
