// What an answer tells beside its choices: sources, and members that are passed on without being understood.
import type { ChatEvent, JsonObject } from "../../../src/chat.ts";
import { firstText, objectsIn } from "../../../src/json.ts";
import type { At } from "./choice.ts";
import type { OpenAiChatProfile } from "./profile.ts";

const CITATIONS_MAX = 1_000;

/** What was told so far; providers repeat it in every chunk. */
export interface Beside {
  urls: Set<string>;
  members: Map<string, string>;
}

export function newBeside(): Beside {
  return { urls: new Set(), members: new Map() };
}

export function besideEvents(chunk: JsonObject, beside: Beside, profile: OpenAiChatProfile): ChatEvent[] {
  const citations = profile.citations ? citationEvents(chunk, beside) : [];
  return [...memberEvents(chunk, beside, profile), ...citations];
}

function memberEvents(chunk: JsonObject, { members }: Beside, { extras }: OpenAiChatProfile): ChatEvent[] {
  const fresh = extras.filter((name) => {
    if (chunk[name] === undefined || chunk[name] === null) return false;
    const text = JSON.stringify(chunk[name]);
    if (members.get(name) === text) return false;
    members.set(name, text);
    return true;
  });
  if (fresh.length === 0) return [];
  const told = Object.fromEntries(fresh.map((name) => [name, chunk[name]]));
  return [{ type: "extra", at: "answer", index: 0, members: told }];
}

/** The text marks its sources with numbers, not with places, so they have none. */
function citationEvents(chunk: JsonObject, { urls }: Beside): ChatEvent[] {
  const results = objectsIn(chunk.search_results);
  const cited = Array.isArray(chunk.citations) ? chunk.citations : results.map(({ url }) => url);
  return cited.flatMap((url: unknown): ChatEvent[] => {
    if (typeof url !== "string" || url === "" || urls.has(url) || urls.size >= CITATIONS_MAX) return [];
    urls.add(url);
    const title = firstText(results.find((result) => result.url === url)?.title);
    return [{ type: "annotation", index: 0, annotation: { url, title, startIndex: 0, endIndex: 0 } }];
  });
}

/** Log-probabilities come piece by piece and are told whole. */
export function collectLogprobs({ known, isRelayed }: At, logprobs: JsonObject): void {
  if (isRelayed) return;
  for (const [name, items] of Object.entries(logprobs)) {
    if (!Array.isArray(items)) continue;
    const before = known.logprobs.get(name);
    if (before === undefined) known.logprobs.set(name, [...items]);
    else for (const item of items) before.push(item);
  }
}

export function logprobsEvents({ known, index }: At): ChatEvent[] {
  if (known.logprobs.size === 0) return [];
  const logprobs = { content: null, refusal: null, ...Object.fromEntries(known.logprobs) };
  return [{ type: "extra", at: "choice", index, members: { logprobs } }];
}
