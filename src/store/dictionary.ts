// Ids of what repeats in the ledger: texts, unit prices, and the dimensions sums are kept by. In the worker thread.
import type { Database, Statement } from "better-sqlite3";
import { Lru } from "../lru.ts";
import type { Owner } from "./rows.ts";
import type { MarksByKind } from "./sweep.ts";

export interface Dimension extends Owner {
  rule?: string;
  provider?: string;
  model?: string;
}

/** Ids kept in memory; the rest is looked up again. */
const CACHED_MAX = 20_000;
/** Usual texts have some hundred characters. Callers can make longer ones (the names of fields that were dropped, up to 30 kB a
 *  request), of which 20,000 would be more than the thread's heap. */
const CACHED_CHARS_MAX = 16_000_000;
/** Twice as many as `KeptRates` takes for written before it writes them anew. */
const RATES_MAX = 20_000;

/**
 * Tags are chosen by callers: beyond so many dimensions new sets of tags are counted together (the row's other parts
 * are not lost). Each dimension is a row of every minute, hour and day in which it was used.
 */
const DIMENSIONS_MAX = 100_000;
const OTHER_TAGS = JSON.stringify(["(other)"]);

export class Dictionary {
  readonly #insertText: Statement;
  readonly #findText: Statement;
  readonly #insertRates: Statement;
  readonly #findRates: Statement;
  readonly #insertDimension: Statement;
  readonly #findDimension: Statement;
  readonly #readOwner: Statement;
  readonly #countDimensions: Statement;
  readonly #dimensionsMax: number;
  readonly #texts = new IdCache();
  readonly #dimensions = new IdCache();
  #dimensionCount: number | undefined;
  /** What is in use while unused rows are looked for. */
  #marks: MarksByKind | undefined;
  /** Prices are written once, and named by settlements until the main thread writes them anew. */
  readonly #ratesInUse: Lru<true>;

  /** `before`: the one whose connection this replaces. */
  constructor(db: Database, dimensionsMax: number = DIMENSIONS_MAX, before?: Dictionary) {
    this.#ratesInUse = before === undefined ? new Lru(RATES_MAX) : before.#ratesInUse;
    this.#dimensionsMax = dimensionsMax;
    this.#insertText = db.prepare("INSERT INTO texts (text) VALUES (?)");
    this.#findText = db.prepare("SELECT id FROM texts WHERE text = ?").pluck();
    this.#insertRates = db.prepare("INSERT INTO rates (key, json) VALUES (?, ?) ON CONFLICT (key) DO NOTHING");
    this.#findRates = db.prepare("SELECT id FROM rates WHERE key = ?").pluck();
    const names = "key, key_id, team, organisation, tags, rule, provider, model";
    this.#insertDimension = db.prepare(`INSERT INTO dimensions (${names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    const same = names.replaceAll(/(\w+)(, )?/g, (_, name, more) => `${name} = ?${more === undefined ? "" : " AND "}`);
    this.#findDimension = db.prepare(`SELECT id FROM dimensions WHERE ${same}`).pluck();
    const owner = "key, key_id AS keyId, team, organisation, tags";
    this.#readOwner = db.prepare(`SELECT ${owner} FROM dimensions WHERE id = ?`);
    this.#countDimensions = db.prepare("SELECT count(*) FROM dimensions").pluck();
  }

  text(text: string): number {
    const id = this.#idOfText(text);
    this.#marks?.texts.add(id);
    return id;
  }

  #idOfText(text: string): number {
    const cached = this.#texts.get(text);
    if (cached !== undefined) return cached;
    const found = this.#findText.get(text) as number | undefined;
    const id = found ?? Number(this.#insertText.run(text).lastInsertRowid);
    this.#texts.set(text, id);
    return id;
  }

  optionalText(text: string | undefined): number | null {
    return text === undefined ? null : this.text(text);
  }

  saveRates(key: string, json: string): void {
    this.#ratesInUse.touch(key, () => true);
    this.#insertRates.run(key, json);
  }

  /** Whether a settlement of this process may still name it. */
  areRatesInUse(key: string): boolean {
    return this.#ratesInUse.peek(key) !== undefined;
  }

  /** `null` for a key nobody saved: the row is worth more than its prices. */
  rates(key: string | undefined): number | null {
    if (key === undefined) return null;
    this.#ratesInUse.touch(key, () => true);
    return (this.#findRates.get(key) as number | undefined) ?? null;
  }

  dimension(given: Dimension): number {
    const id = this.#idOfDimension(given);
    this.#marks?.dimensions.add(id);
    return id;
  }

  #idOfDimension(given: Dimension): number {
    const { key, keyId = "", team = "", organisation = "", rule = "", provider = "", model = "" } = given;
    const tags = JSON.stringify([...new Set(given.tags ?? [])].sort());
    const parts = [key, keyId, team, organisation, tags, rule, provider, model];
    const name = JSON.stringify(parts);
    const cached = this.#dimensions.get(name);
    if (cached !== undefined) return cached;
    const id = (this.#findDimension.get(...parts) as number | undefined) ?? this.#newDimension(parts);
    this.#dimensions.set(name, id);
    return id;
  }

  /** The dimension of whole requests that an attempt's dimension belongs to. */
  ownerOf(dimension: number): number {
    const parts = this.#readOwner.get(dimension) as (Omit<Dimension, "tags"> & { tags: string }) | undefined;
    if (parts === undefined) throw new Error(`the ledger has no dimension ${dimension}`);
    return this.dimension({ ...parts, tags: JSON.parse(parts.tags) as string[] });
  }

  #newDimension(parts: string[]): number {
    this.#dimensionCount ??= Number(this.#countDimensions.get());
    if (this.#dimensionCount >= this.#dimensionsMax) {
      const together = parts.with(4, OTHER_TAGS);
      const found = this.#findDimension.get(...together) as number | undefined;
      return found ?? Number(this.#insertDimension.run(...together).lastInsertRowid);
    }
    this.#dimensionCount += 1;
    return Number(this.#insertDimension.run(...parts).lastInsertRowid);
  }

  /** From now on every id that is given out is marked there, too; `undefined` ends that. */
  markIn(marks: MarksByKind | undefined): void {
    this.#marks = marks;
  }

  /** After a transaction that was rolled back (what it had added is not there), and when rows were removed. */
  forget(): void {
    this.#texts.clear();
    this.#dimensions.clear();
    this.#dimensionCount = undefined;
  }
}

/** Forgets all at once when it is full: what is in use is soon looked up again. */
class IdCache {
  readonly #ids = new Map<string, number>();
  #chars = 0;

  get(text: string): number | undefined {
    return this.#ids.get(text);
  }

  set(text: string, id: number): void {
    if (this.#ids.size >= CACHED_MAX || this.#chars + text.length > CACHED_CHARS_MAX) this.clear();
    this.#ids.set(text, id);
    this.#chars += text.length;
  }

  clear(): void {
    this.#ids.clear();
    this.#chars = 0;
  }
}
