// Sources that a text block of an answer quotes: those with a URL become annotations of the text.
import type { ChatEvent, JsonObject } from "../../../src/chat.ts";
import { firstText } from "../../../src/json.ts";

/** An annotation over the block's text, or `undefined` for a source without a URL (documents of the request). */
export function annotationOf(citation: JsonObject, startIndex: number, endIndex: number): ChatEvent | undefined {
  const isWeb = citation.type === "web_search_result_location";
  const url = firstText(isWeb ? citation.url : citation.type === "search_result_location" ? citation.source : "");
  if (url === "" || !(isWeb || /^https?:\/\//i.test(url))) return undefined;
  const title = firstText(citation.title, url);
  return { type: "annotation", index: 0, annotation: { url, title, startIndex, endIndex } };
}
