// How long answers were, by who asked for what: a history per scope, each drawn to the wider ones while it is thin.

import { Lru } from "../lru.ts";
import type { OutputScope } from "../routing/fleet-view.ts";
import { decayed } from "./decay.ts";
import type { SavedHistory } from "./saved.ts";
import { SlowSketch } from "./sketch.ts";

const HALF_LIFE_MS = 24 * 3_600_000;
/** A scope with 20 answers counts as much as its parent. */
const PARENT_WEIGHT = 20;
/** Requests whose bounds on the output lie in the same range are taken to want answers of the same kind. */
const MAX_TOKENS_BOUNDS = [256, 1_024, 4_096, 16_384];

export class Outputs {
  readonly #histories: Lru<History>;

  constructor(scopesMax: number) {
    this.#histories = new Lru(scopesMax);
  }

  observe(scope: OutputScope, tokens: number, nowMs: number): void {
    // The widest last, so that crowds of narrow scopes push out each other and never what they share.
    for (const key of keysOf(scope).reverse()) this.#historyAt(key).observe(tokens, nowMs);
  }

  mean(scope: OutputScope, nowMs: number): number | undefined {
    return this.#shrunk(scope, nowMs, (history) => history.mean());
  }

  quantile(scope: OutputScope, quantile: number, nowMs: number): number | undefined {
    return this.#shrunk(scope, nowMs, (history) => history.quantile(quantile, nowMs));
  }

  save(countMax: number): SavedHistory[] {
    return this.#histories.newest(countMax).map(([scope, history]) => history.save(scope));
  }

  restore(saved: SavedHistory[], nowMs: number): void {
    for (const history of saved) this.#historyAt(history.scope).restore(history, nowMs);
  }

  /** From the widest scope inwards, each n/(n + 20) of the way from its parent's answer to its own. */
  #shrunk(scope: OutputScope, nowMs: number, ask: (history: History) => number | undefined): number | undefined {
    let tokens: number | undefined;
    for (const key of keysOf(scope)) {
      const history = this.#histories.peek(key);
      const n = history?.weight(nowMs) ?? 0;
      const own = history === undefined || n === 0 ? undefined : ask(history);
      if (own === undefined) continue;
      tokens = tokens === undefined ? own : (n * own + PARENT_WEIGHT * tokens) / (n + PARENT_WEIGHT);
    }
    // A wider scope may hold answers longer than this request admits.
    return tokens === undefined ? undefined : Math.min(tokens, scope.maxTokens ?? tokens);
  }

  #historyAt(key: string): History {
    return this.#histories.touch(key, () => new History());
  }
}

/** From the widest to the narrowest. A key says more than a rule: behind it is one application. */
function keysOf({ rule, key, model, maxTokens }: OutputScope): string[] {
  const byRange = `${model}\n${rangeOf(maxTokens)}`;
  const byKey = `${byRange}\n${key}`;
  return ["", model, byRange, byKey, `${byKey}\n${rule}`];
}

function rangeOf(maxTokens: number | undefined): number {
  if (maxTokens === undefined) return -1;
  const range = MAX_TOKENS_BOUNDS.findIndex((bound) => maxTokens <= bound);
  return range === -1 ? MAX_TOKENS_BOUNDS.length : range;
}

class History {
  #atMs = 0;
  #weight = 0;
  #tokens = 0;
  readonly #sketch = new SlowSketch(1);

  observe(tokens: number, nowMs: number): void {
    this.#decay(nowMs);
    this.#weight += 1;
    this.#tokens += tokens;
    this.#sketch.observe(tokens, nowMs);
  }

  weight(nowMs: number): number {
    this.#decay(nowMs);
    return this.#weight;
  }

  /** After `weight`, which forgets what is due and must not have been 0. */
  mean(): number {
    return this.#tokens / this.#weight;
  }

  quantile(quantile: number, nowMs: number): number | undefined {
    return this.#sketch.quantile(quantile, nowMs);
  }

  save(scope: string): SavedHistory {
    return { scope, atMs: this.#atMs, weight: this.#weight, tokens: this.#tokens, sketch: this.#sketch.save() };
  }

  restore(saved: SavedHistory, nowMs: number): void {
    this.#decay(nowMs);
    this.#weight += decayed(saved.weight, nowMs - saved.atMs, HALF_LIFE_MS);
    this.#tokens += decayed(saved.tokens, nowMs - saved.atMs, HALF_LIFE_MS);
    this.#sketch.restore(saved.sketch, nowMs);
  }

  #decay(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    this.#weight = decayed(this.#weight, elapsedMs, HALF_LIFE_MS);
    this.#tokens = decayed(this.#tokens, elapsedMs, HALF_LIFE_MS);
    this.#atMs = nowMs;
  }
}
