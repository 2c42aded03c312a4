// A way of getting answers out of providers: the router, or one of those it is compared with.
import type { Upstream } from "../../src/upstream.ts";
import type { Arrival } from "./callers.ts";
import type { Engine } from "./engine.ts";
import type { Profile } from "./provider.ts";

export interface Answer {
  /** HTTP status as the caller sees it. */
  status: number;
  /** The caller was told that the answer is whole. */
  isDone: boolean;
  text: string;
  /** Time of the last attempt; the rest of the latency was added by the policy. */
  ownMs: number;
  attempts: number;
  errorKind: string | undefined;
}

export interface World {
  engine: Engine;
  upstream: Upstream;
  profiles: readonly Profile[];
}

export interface Policy {
  /** `signal` aborts when the caller leaves or its deadline has come. */
  answer(arrival: Arrival, signal: AbortSignal): Promise<Answer>;
  /** After the run: what does not add up; empty when everything does. */
  faults(): string[];
  /** What it believes to have spent, where it keeps books. */
  spentNanoUsd?(): number;
}
