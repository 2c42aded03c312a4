// What an answer tells beside its choices: sources, and members that are passed on without being understood.
import type { ChatEvent, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
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
  return [...answerEvents(chunk, beside, profile), ...usageExtras(chunk, beside, profile), ...citations];
}

function answerEvents(chunk: JsonObject, beside: Beside, { extras }: OpenAiChatProfile): ChatEvent[] {
  const members = freshIn(chunk, extras, beside);
  return members === undefined ? [] : [{ type: "extra", at: "answer", index: 0, members }];
}

/** Rendered below the counts. */
function usageExtras(
  { usage }: JsonObject,
  beside: Beside,
  { usage: { extras = [] } }: OpenAiChatProfile,
): ChatEvent[] {
  const members = isObject(usage) ? freshIn(usage, extras, beside) : undefined;
  return members === undefined ? [] : [{ type: "extra", at: "answer", index: 0, members: { usage: members } }];
}

function freshIn(holder: JsonObject, names: readonly string[], { members }: Beside): JsonObject | undefined {
  const fresh = names.filter((name) => {
    if (holder[name] === undefined || holder[name] === null) return false;
    const text = JSON.stringify(holder[name]);
    if (members.get(name) === text) return false;
    members.set(name, text);
    return true;
  });
  return fresh.length === 0 ? undefined : Object.fromEntries(fresh.map((name) => [name, holder[name]]));
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

/** Members of messages, too, come piece by piece. */
export function collectMembers({ known, isRelayed, profile }: At, delta: JsonObject): void {
  if (isRelayed) return;
  for (const name of profile.messageExtras) {
    const value = delta[name];
    if (value === undefined || value === null) continue;
    const before = known.members.get(name);
    if (!Array.isArray(value) || !Array.isArray(before))
      known.members.set(name, Array.isArray(value) ? [...value] : value);
    else for (const item of value) addItem(before, item);
  }
}

/** Reasoning comes in fragments of one item: OpenRouter's clients join neighbours of the same type and index. */
function addItem(items: unknown[], item: unknown): void {
  const last = items.at(-1);
  const isFragment =
    isObject(item) &&
    isObject(last) &&
    item.index !== undefined &&
    item.index === last.index &&
    item.type === last.type;
  if (!isFragment || !JOINED.test(String(item.type))) items.push(item);
  else items[items.length - 1] = joined(last, item);
}

const JOINED = /^reasoning\.(text|summary)$/;

function joined(first: JsonObject, second: JsonObject): JsonObject {
  const told = Object.entries(second).filter(([, value]) => value !== null && value !== undefined);
  const item = { ...first, ...Object.fromEntries(told) };
  for (const key of ["text", "summary"]) {
    const text = firstText(first[key]) + firstText(second[key]);
    if (text !== "") item[key] = text;
  }
  return item;
}

export function memberEvents({ known, index }: At): ChatEvent[] {
  if (known.members.size === 0) return [];
  return [{ type: "extra", at: "message", index, members: Object.fromEntries(known.members) }];
}

export function choiceEvents({ index, isRelayed, profile }: At, choice: JsonObject): ChatEvent[] {
  if (isRelayed) return [];
  const told = profile.choiceExtras.filter((name) => choice[name] !== undefined && choice[name] !== null);
  if (told.length === 0) return [];
  return [
    { type: "extra", at: "choice", index, members: Object.fromEntries(told.map((name) => [name, choice[name]])) },
  ];
}
