// Citations: as OpenAI's annotations where their sources have addresses, else as they are.
import type { ChatEvent, JsonObject, UrlCitation } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";

/** `starts`: where each block of content begins in the text of the answer. */
export function citationEvents(
  citations: JsonObject[],
  text: string,
  starts: ReadonlyMap<number, number>,
): ChatEvent[] {
  const events: ChatEvent[] = [];
  const others: JsonObject[] = [];
  for (const citation of citations) {
    const sources = objectsIn(citation.sources).flatMap((source) => addressOf(source) ?? []);
    if (sources.length === 0) others.push(citation);
    const span = spanOf(citation, text, starts.get(Number(citation.content_index ?? 0)) ?? 0);
    for (const source of sources) events.push({ type: "annotation", index: 0, annotation: { ...source, ...span } });
  }
  if (others.length > 0) events.push({ type: "extra", at: "message", index: 0, members: { citations: others } });
  return events;
}

/** A document, or the result of a tool that found one. */
function addressOf(source: JsonObject): Pick<UrlCitation, "url" | "title"> | undefined {
  const { document, tool_output: output } = source;
  const holders = [document, isObject(document) ? document.data : undefined, output].filter(isObject);
  const url = firstText(...holders.map((holder) => holder.url));
  if (!/^https?:\/\//i.test(url)) return undefined;
  return { url, title: firstText(...holders.map(({ title }) => title), url) };
}

/** Cohere counts in characters of one block, and not in UTF-16 units; the quoted words say whether that was right. */
function spanOf(citation: JsonObject, text: string, base: number): Pick<UrlCitation, "startIndex" | "endIndex"> {
  const quoted = firstText(citation.text);
  const [start, end] = [place(citation.start), place(citation.end)];
  const inUnits = { startIndex: base + start, endIndex: base + end };
  if (quoted === "" || text.slice(inUnits.startIndex, inUnits.endIndex) === quoted) return within(inUnits, text);
  const characters = [...text.slice(base)];
  const before = base + characters.slice(0, start).join("").length;
  const found = text.startsWith(quoted, before) ? before : text.indexOf(quoted, base);
  return found === -1 ? within(inUnits, text) : { startIndex: found, endIndex: found + quoted.length };
}

function place(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function within(
  { startIndex, endIndex }: Pick<UrlCitation, "startIndex" | "endIndex">,
  { length }: string,
): Pick<UrlCitation, "startIndex" | "endIndex"> {
  const start = Math.min(startIndex, length);
  return { startIndex: start, endIndex: Math.max(start, Math.min(endIndex, length)) };
}
