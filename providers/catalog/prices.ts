// Prices of one section of genai-prices, by model id, as they stood on the day the package was published.
import { calcPrice, type ModelInfo, type ModelPrice, type Provider as PriceSection } from "@pydantic/genai-prices";
import type { RateCard, Rates } from "../../src/chat.ts";
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
  output_audio_mtok: "audioOutput",
};
/** Billed beside tokens, per call of a tool: not a property of the model's answer. */
const TOOL_KEYS = new Set(["web_searches_kcount", "storage_searches_kcount"]);
/** Rows billed by these are for another endpoint: pictures, films, transcription, spoken conversation. */
const OTHER_ENDPOINT_KEYS = ["output_image_mtok", "output_video_mtok", "audio_hours", "input_text_messages_kcount"];

/** Every id a section names outright: its rows' ids and their `equals` clauses. Prefixes and patterns are not expanded. */
export function priceRows(section: PriceSection, date: string): Map<string, PriceRow> {
  const rows = new Map<string, PriceRow>();
  for (const model of section.models) {
    for (const id of [model.id, ...equalsOf(model.match)]) {
      // The source takes the first row that matches; an id that an earlier row claims is not this row's.
      const price = priceAt(section.id, id, `${date}T12:00:00Z`);
      if (price?.model.id !== model.id || rows.has(id.toLowerCase())) continue;
      const row = priceRow(section.id, model, id, date);
      if (row !== undefined) rows.set(id.toLowerCase(), row);
    }
  }
  return rows;
}

function equalsOf(match: ModelInfo["match"]): string[] {
  if ("equals" in match) return [match.equals];
  return "or" in match ? match.or.flatMap(equalsOf) : [];
}

function priceAt(sectionId: string, id: string, instant: string) {
  return calcPrice({}, id, { providerId: sectionId, timestamp: new Date(instant) });
}

function priceRow(sectionId: string, model: ModelInfo, id: string, date: string): PriceRow | undefined {
  const { price, notes } = inForce(sectionId, model, id, date);
  if (!("input_mtok" in price && "output_mtok" in price)) return undefined;
  if (OTHER_ENDPOINT_KEYS.some((key) => key in price)) return undefined;
  return {
    id,
    pricedAs: model.id,
    name: id === model.id ? model.name : undefined,
    contextTokens: model.context_window,
    audioInput: "input_audio_mtok" in price,
    rates: toRates(price, notes),
    notes: [...notes, ...notCounted(price)],
  };
}

/** The price that holds for most of `date`; what holds at other times of day, or from a later day, becomes a note. */
function inForce(
  sectionId: string,
  model: ModelInfo,
  id: string,
  date: string,
): { price: ModelPrice; notes: string[] } {
  if (!Array.isArray(model.prices)) return { price: model.prices, notes: [] };
  const byPrice = new Map<string, { price: ModelPrice; slots: number[] }>();
  for (let slot = 0; slot < SLOTS; slot++) {
    const price = priceAt(sectionId, id, `${date}T${clock(slot)}:01Z`)?.model_price ?? {};
    const key = JSON.stringify(price);
    const seen = byPrice.get(key) ?? { price, slots: [] };
    seen.slots.push(slot);
    byPrice.set(key, seen);
  }
  const [usual, ...others] = [...byPrice.values()].sort((a, b) => b.slots.length - a.slots.length);
  const notes = others.map(({ price, slots }) => `${windows(slots)} UTC: ${inWords(price)}`);
  for (const { constraint, prices } of model.prices) {
    const later = constraint?.type === "start_date" && constraint.start_date > date;
    if (later) notes.push(`from ${constraint.start_date}: ${inWords(prices)}`);
  }
  return { price: usual?.price ?? {}, notes };
}

/** Half hours of a day: every time-of-day price in the source begins and ends on one. */
const SLOTS = 48;

function clock(slot: number): string {
  return `${String(Math.floor(slot / 2)).padStart(2, "0")}:${slot % 2 === 0 ? "00" : "30"}`;
}

function windows(slots: number[]): string {
  const starts = slots.filter((slot) => !slots.includes((slot + SLOTS - 1) % SLOTS));
  const ends = slots.map((slot) => (slot + 1) % SLOTS).filter((end) => !slots.includes(end));
  return starts
    .map((start) => `${clock(start)}-${clock(ends.find((end) => end > start) ?? ends[0] ?? start)}`)
    .join(", ");
}

function inWords(price: ModelPrice): string {
  const parts = Object.entries(price).flatMap(([key, value]) => {
    const name = CARD_KEYS[key];
    if (name === undefined || value === undefined) return [];
    return `${name} $${typeof value === "number" ? value : value.base}`;
  });
  return `${parts.join(", ")} per million tokens`;
}

function notCounted(price: ModelPrice): string[] {
  const others = Object.keys(price)
    .filter((key) => !(key in CARD_KEYS || TOOL_KEYS.has(key)))
    .map((key) => `${key} ${JSON.stringify(price[key])}`);
  return others.length === 0 ? [] : [`billed apart, not counted: ${others.join(", ")}`];
}

/** A tier's card is complete, since it replaces every rate of the request. `start` and `aboveInputTokens` both mean "more than". */
function toRates(price: ModelPrice, notes: string[]): Rates {
  const starts = new Set(
    Object.values(price)
      .flatMap((value) => (typeof value === "object" ? value.tiers : []))
      .map((t) => t.start),
  );
  const tiers = [...starts]
    .sort((a, b) => a - b)
    .map((start) => ({ aboveInputTokens: start, rates: cardAbove(price, start, notes) }));
  const base = cardAbove(price, -1, notes);
  return tiers.length === 0 ? base : { ...base, tiers };
}

function cardAbove(price: ModelPrice, start: number, notes: string[]): RateCard {
  const card: Partial<RateCard> = {};
  for (const [key, name] of Object.entries(CARD_KEYS)) {
    const value = price[key];
    if (value === undefined) continue;
    const usd =
      typeof value === "number" ? value : (value.tiers.findLast((tier) => tier.start <= start)?.price ?? value.base);
    const { micro, rounded } = microUsd(usd);
    if (rounded) notes.push(`${name} rounded from $${usd}`);
    card[name] = micro;
  }
  return card as RateCard;
}
