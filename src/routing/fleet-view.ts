// What the planner may ask about the targets' past: read-only, so that choosing stays pure. `src/fleet.ts` answers.

/** Whose outputs: a history is kept for each combination, and for the wider ones above it. */
export interface OutputScope {
  rule: string;
  /** Name of the caller's key. */
  key: string;
  model: string;
  /** The bound the request carries; `undefined` when it has none. */
  maxTokens: number | undefined;
}

/** Where a conversation was answered last, and what its prompt cache is worth there. */
export interface Affinity {
  target: string;
  /** Where the target is called with several keys: the one whose account has the cache. */
  account?: string | undefined;
  /** Of the conversation's prompt, as far as usage told: the part another turn may find cached. */
  cachedTokens: number;
  /** That it does find it: 0.9 after a confirmed hit, 0.5 while unconfirmed, 0 after two misses in a row. */
  hitProbability: number;
  lastUsedMs: number;
}

/** Targets are named `provider/model`. Quantiles are within 0..1. `undefined` = nothing known, never a guess. */
export interface FleetView {
  /** Time to the first content of a prompt of about this size, in ms. `freshInputTokens` leaves out what is expected to
   *  be read from a cache, since that hardly takes time. A size never seen borrows the nearest size's answer. */
  firstByteMs(target: string, freshInputTokens: number, quantile: number): number | undefined;
  /** Time after the first content ÷ all output tokens, so that `firstByteMs + tokens × this` is the whole call. */
  msPerOutputToken(target: string, quantile: number): number | undefined;
  /** Mean of past outputs of the scope, drawn to that of the wider scopes as far as it is thin. */
  expectedOutputTokens(scope: OutputScope): number | undefined;
  outputTokensQuantile(scope: OutputScope, quantile: number): number | undefined;
  /** Share of recent attempts that failed through the target's own fault, 0..1; a small prior when nothing is known. */
  failureRate(target: string): number;
  /** Attempts whose outcome is known, halved every two minutes: little means that the answers above are old. */
  recentSamples(target: string): number;
  /** `undefined` when the conversation is new or its cache has expired. */
  affinity(id: string): Affinity | undefined;
}
