// What the router has learnt about its targets, in memory: latency, speed, failures, lengths of answers, and where
// conversations have their caches. Everything is bounded and forgets on access; there are no timers.
import type { JsonObject } from "./chat.ts";
import { Affinities, type AffinitySeen } from "./fleet/affinities.ts";
import { Outputs } from "./fleet/outputs.ts";
import { SAVED_VERSION, type SavedFleet, savedFleet } from "./fleet/saved.ts";
import { type AttemptSeen, TargetStatistics, unknownFailureRate } from "./fleet/target-statistics.ts";
import { Lru } from "./lru.ts";
import type { Affinity, FleetView, OutputScope } from "./routing/fleet-view.ts";

export interface AttemptObserved extends AttemptSeen {
  /** `provider/model` */
  target: string;
  /** Absent when the length of the answer is not to be learnt. */
  scope?: OutputScope;
}

export const FLEET_PARTS = ["targets", "outputs", "affinities"] as const;
export type FleetPart = (typeof FLEET_PARTS)[number];

export interface Fleet extends FleetView {
  /** Once for each attempt that was sent, when it is settled. */
  observe(attempt: AttemptObserved): void;
  /** Once for each conversation's turn that was answered. */
  rememberAffinity(answered: AffinitySeen): void;
  /** What is worth keeping over a restart, as plain JSON: of scopes and conversations the newest. A part at a time, since
   *  everything at once takes milliseconds where there is a lot (50 µs for a target in full use). */
  export(part?: FleetPart): JsonObject;
  /** Adds what `export` gave, here or in another process. Total: answers with why it was ignored, if it was. */
  restore(json: unknown): string | undefined;
}

export interface FleetLimits {
  targetsMax: number;
  /** Histories of output lengths; an observation touches five. */
  scopesMax: number;
  affinitiesMax: number;
  /** What of them is exported: it is written out once a minute on the thread that serves requests. */
  savedScopesMax: number;
  savedAffinitiesMax: number;
}

const LIMITS: FleetLimits = {
  targetsMax: 512,
  scopesMax: 4_096,
  affinitiesMax: 50_000,
  savedScopesMax: 300,
  savedAffinitiesMax: 1_000,
};

/** `nowMs` is the wall clock, since what is exported is read by a later process. */
export function createFleet(options: { nowMs(): number; limits?: Partial<FleetLimits> }): Fleet {
  return new LearningFleet(options.nowMs, { ...LIMITS, ...options.limits });
}

class LearningFleet implements Fleet {
  readonly #nowMs: () => number;
  readonly #limits: FleetLimits;
  readonly #targets: Lru<TargetStatistics>;
  readonly #outputs: Outputs;
  readonly #affinities: Affinities;

  constructor(nowMs: () => number, limits: FleetLimits) {
    this.#nowMs = nowMs;
    this.#limits = limits;
    this.#targets = new Lru(limits.targetsMax);
    this.#outputs = new Outputs(limits.scopesMax);
    this.#affinities = new Affinities(limits.affinitiesMax);
  }

  observe(attempt: AttemptObserved): void {
    const nowMs = this.#nowMs();
    this.#targetAt(attempt.target).observe(attempt, nowMs);
    const { scope, outputTokens, errorKind } = attempt;
    // The length of an answer that broke off says nothing about how long it would have been.
    if (scope === undefined || outputTokens === undefined || errorKind !== undefined) return;
    this.#outputs.observe(scope, outputTokens, nowMs);
  }

  rememberAffinity(answered: AffinitySeen): void {
    this.#affinities.remember(answered, this.#nowMs());
  }

  firstByteMs(target: string, freshInputTokens: number, quantile: number): number | undefined {
    return this.#targets.peek(target)?.firstByteMs(freshInputTokens, quantile, this.#nowMs());
  }

  msPerOutputToken(target: string, quantile: number): number | undefined {
    return this.#targets.peek(target)?.msPerOutputToken(quantile, this.#nowMs());
  }

  expectedOutputTokens(scope: OutputScope): number | undefined {
    return this.#outputs.mean(scope, this.#nowMs());
  }

  outputTokensQuantile(scope: OutputScope, quantile: number): number | undefined {
    return this.#outputs.quantile(scope, quantile, this.#nowMs());
  }

  failureRate(target: string): number {
    return this.#targets.peek(target)?.failureRate(this.#nowMs()) ?? unknownFailureRate();
  }

  recentSamples(target: string): number {
    return this.#targets.peek(target)?.recentSamples(this.#nowMs()) ?? 0;
  }

  affinity(id: string): Affinity | undefined {
    return this.#affinities.find(id, this.#nowMs());
  }

  export(part?: FleetPart): JsonObject {
    const nowMs = this.#nowMs();
    const { targetsMax, savedScopesMax, savedAffinitiesMax } = this.#limits;
    const wanted = (name: FleetPart) => part === undefined || part === name;
    return {
      version: SAVED_VERSION,
      ...(wanted("targets") && {
        targets: this.#targets.newest(targetsMax).map(([name, target]) => target.save(name, nowMs)),
      }),
      ...(wanted("outputs") && { outputs: this.#outputs.save(savedScopesMax) }),
      ...(wanted("affinities") && { affinities: this.#affinities.save(savedAffinitiesMax, nowMs) }),
    } satisfies SavedFleet;
  }

  restore(json: unknown): string | undefined {
    const parsed = savedFleet.safeParse(json);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      return `it is not of version ${SAVED_VERSION}: ${issue?.path.join(".")}: ${issue?.message}`;
    }
    const nowMs = this.#nowMs();
    const { targets = [], outputs = [], affinities = [] } = parsed.data;
    for (const target of targets) this.#targetAt(target.name).restore(target, nowMs);
    this.#outputs.restore(outputs, nowMs);
    this.#affinities.restore(affinities, nowMs);
    return undefined;
  }

  #targetAt(name: string): TargetStatistics {
    return this.#targets.touch(name, () => new TargetStatistics());
  }
}
