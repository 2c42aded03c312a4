// Prices of one section of genai-prices, by model id, as they stood on the day the package was published.
import {
  type ConditionalPrice,
  calcPrice,
  type ModelInfo,
  type ModelPrice,
  type Provider as PriceSection,
} from "@pydantic/genai-prices";
import type { Period, Prices, RateCard, Rates, Tier } from "../../src/chat.ts";
import { microUsd } from "./money.ts";

export interface PriceRow {
  /** Spelled as the source spells it; ids are compared without case, as the source does. */
  id: string;
  /** Id of the row that covers it. */
  pricedAs: string;
  name: string | undefined;
  contextTokens: number | undefined;
  audioInput: boolean;
  rates: Rates;
  notes: string[];
}

type CardKey = keyof RateCard;
const CARD_KEYS: Record<string, CardKey> = {
  input_mtok: "input",
  output_mtok: "output",
  cache_read_mtok: "cacheRead",
  cache_write_mtok: "cacheWrite",
  cache_write_1h_mtok: "cacheWrite1h",
  input_audio_mtok: "audioInput",
  cache_audio_read_mtok: "audioCacheRead",
  output_audio_mtok: "audioOutput",
  input_image_mtok: "imageInput",
  output_image_mtok: "imageOutput",
  output_reasoning_mtok: "reasoningOutput",
  output_citation_mtok: "citation",
  requests_kcount: "request",
  web_searches_kcount: "search",
};
/** Search in files one has stored is a tool of another endpoint. */
const TOOL_KEYS = new Set(["storage_searches_kcount"]);
/** Rows billed by these are for another endpoint: films, transcription, spoken conversation. */
const OTHER_ENDPOINT_KEYS = ["output_video_mtok", "audio_hours", "input_text_messages_kcount"];

/** Every id a section names outright: its rows' ids and their `equals` clauses. Prefixes and patterns are not expanded.
 *  `tiersInclusive`: the vendor's tiers begin at the number they are known by, not above it. */
export function priceRows(section: PriceSection, date: string, tiersInclusive = false): Map<string, PriceRow> {
  const rows = new Map<string, PriceRow>();
  for (const model of section.models) {
    for (const id of [model.id, ...equalsOf(model.match)]) {
      // The source takes the first row that matches; an id that an earlier row claims is not this row's.
      const price = calcPrice({}, id, { providerId: section.id, timestamp: new Date(`${date}T12:00:00Z`) });
      if (price?.model.id !== model.id || rows.has(id.toLowerCase())) continue;
      const row = priceRow(model, { id, date, tiersInclusive });
      if (row !== undefined) rows.set(id.toLowerCase(), row);
    }
  }
  return rows;
}

function equalsOf(match: ModelInfo["match"]): string[] {
  if ("equals" in match) return [match.equals];
  return "or" in match ? match.or.flatMap(equalsOf) : [];
}

function priceRow(model: ModelInfo, how: { id: string; date: string; tiersInclusive: boolean }): PriceRow | undefined {
  const { id, date, tiersInclusive } = how;
  const { now, later } = entriesOf(model.prices, date);
  if (!("input_mtok" in now && "output_mtok" in now)) return undefined;
  if (OTHER_ENDPOINT_KEYS.some((key) => key in now)) return undefined;
  const notes: string[] = [];
  const rates: Rates = toPrices(now, tiersInclusive, notes);
  const periods = later.map(({ constraint, prices }): Period => {
    return { ...periodOf(constraint), rates: toPrices(prices, tiersInclusive, notes) };
  });
  return {
    id,
    pricedAs: model.id,
    name: id === model.id ? model.name : undefined,
    contextTokens: model.context_window,
    audioInput: "input_audio_mtok" in now,
    rates: periods.length === 0 ? rates : { ...rates, periods },
    notes: [...new Set([...notes, ...notCounted(now)])],
  };
}

/** Of entries whose conditions hold the source takes the last, so what stands before one that always holds from `date` on
 *  is history, and what stands behind it goes before it at its time. */
function entriesOf(prices: ModelInfo["prices"], date: string): { now: ModelPrice; later: ConditionalPrice[] } {
  if (!Array.isArray(prices)) return { now: prices, later: [] };
  const holdsFromNowOn = ({ constraint }: ConditionalPrice) =>
    constraint === undefined || (constraint.type === "start_date" && constraint.start_date <= date);
  const at = prices.findLastIndex(holdsFromNowOn);
  return { now: prices[at]?.prices ?? {}, later: prices.slice(at + 1) };
}

function periodOf(constraint: ConditionalPrice["constraint"]): Omit<Period, "rates"> {
  if (constraint?.type === "start_date") return { fromDate: constraint.start_date };
  if (constraint === undefined) return {};
  return { fromTime: timeOf(constraint.start_time), untilTime: timeOf(constraint.end_time) };
}

/** `16:30:00Z` as `16:30`. Throws on another zone or a second that is not the first: the catalogue has no words for it. */
function timeOf(text: string): string {
  const match = /^(\d\d:\d\d):00Z$/.exec(text);
  if (match === null)
    throw new Error(`a price by time of day begins or ends at ${text}: expected a whole minute in UTC`);
  return match[1] ?? "";
}

function notCounted(price: ModelPrice): string[] {
  const others = Object.keys(price)
    .filter((key) => !(key in CARD_KEYS || TOOL_KEYS.has(key)))
    .map((key) => `${key} ${JSON.stringify(price[key])}`);
  return others.length === 0 ? [] : [`billed apart, not counted: ${others.join(", ")}`];
}

/** A tier's card is complete, since it replaces every rate of the request. */
function toPrices(price: ModelPrice, tiersInclusive: boolean, notes: string[]): Prices {
  const starts = new Set(
    Object.values(price)
      .flatMap((value) => (typeof value === "object" ? value.tiers : []))
      .map((t) => t.start),
  );
  const tiers = [...starts]
    .sort((a, b) => a - b)
    .map((start): Tier => ({ ...bound(start, tiersInclusive), rates: cardAbove(price, start, notes) }));
  const base = cardAbove(price, -1, notes);
  return tiers.length === 0 ? base : { ...base, tiers };
}

/** The source's `start` means "more than", and it writes 271,999 where the vendor says "272,000 or more". */
function bound(start: number, inclusive: boolean): Omit<Tier, "rates"> {
  if (start % 1000 === 999) return { fromInputTokens: start + 1 };
  return inclusive ? { fromInputTokens: start } : { aboveInputTokens: start };
}

function cardAbove(price: ModelPrice, start: number, notes: string[]): RateCard {
  const card: Partial<RateCard> = {};
  for (const [key, name] of Object.entries(CARD_KEYS)) {
    const value = price[key];
    if (value === undefined) continue;
    const usd =
      typeof value === "number" ? value : (value.tiers.findLast((tier) => tier.start <= start)?.price ?? value.base);
    // Fees are listed per thousand, rates are per million.
    const { micro, rounded } = microUsd(key.endsWith("_kcount") ? usd * 1000 : usd);
    if (rounded) notes.push(`${name} rounded from $${usd}`);
    card[name] = micro;
  }
  return card as RateCard;
}
