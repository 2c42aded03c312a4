// Grounding metadata as citations: which web pages which words of the answer rest on.
import type { JsonObject, UrlCitation } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";

/** The text of an answer and where its parts begin in it (UTF-16 units). */
export interface PartedText {
  text: string;
  starts: number[];
}

/** Google sends a few dozen; more is garbage. */
const CITATIONS_MAX = 500;

/** Every support with every page it names. Offsets count UTF-8 bytes within a part; anything may be missing (vercel/ai#12002). */
export function citationsOf(grounding: JsonObject, said: PartedText): UrlCitation[] {
  const pages = Array.isArray(grounding.groundingChunks) ? grounding.groundingChunks.map(pageOf) : [];
  const citations: UrlCitation[] = [];
  for (const { segment, groundingChunkIndices } of objectsIn(grounding.groundingSupports)) {
    const range = isObject(segment) ? rangeOf(segment, said) : undefined;
    if (range === undefined || !Array.isArray(groundingChunkIndices)) continue;
    for (const index of groundingChunkIndices) {
      const page = pages[Number(index)];
      if (page !== undefined && citations.length < CITATIONS_MAX) citations.push({ ...page, ...range });
    }
  }
  return citations;
}

function pageOf(chunk: unknown): Pick<UrlCitation, "url" | "title"> | undefined {
  if (!isObject(chunk)) return undefined;
  const [web, image, maps, context] = [chunk.web, chunk.image, chunk.maps, chunk.retrievedContext].map((source) =>
    isObject(source) ? source : {},
  );
  const retrieved = firstText(context?.uri);
  const url = firstText(web?.uri, image?.sourceUri, maps?.uri, /^https?:\/\//.test(retrieved) ? retrieved : "");
  const title = firstText(web?.title, image?.title, maps?.title, context?.title);
  return url === "" ? undefined : { url, title };
}

function rangeOf(
  { partIndex, startIndex, endIndex }: JsonObject,
  { text, starts }: PartedText,
): Pick<UrlCitation, "startIndex" | "endIndex"> | undefined {
  const part = partIndex ?? 0;
  if (typeof part !== "number" || typeof endIndex !== "number") return undefined;
  const start = starts[part];
  if (start === undefined) return undefined;
  const bytes = Buffer.from(text.slice(start, starts[part + 1]));
  const from = start + unitsBefore(bytes, typeof startIndex === "number" ? startIndex : 0);
  const to = start + unitsBefore(bytes, endIndex);
  return from < to ? { startIndex: from, endIndex: to } : undefined;
}

/** UTF-16 units in the first `offset` bytes; an offset within a character counts as its beginning. */
function unitsBefore(bytes: Buffer, offset: number): number {
  let end = Math.min(Math.max(Math.trunc(offset) || 0, 0), bytes.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString("utf8").length;
}
