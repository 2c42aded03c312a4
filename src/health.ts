// Which targets and providers are passed over because they keep failing, and for how long. In memory, without timers.
import { strict as assert } from "node:assert";
import { z } from "zod";
import type { JsonObject, ProviderError } from "./chat.ts";
import { Breaker, type BreakerState } from "./health/breaker.ts";
import { Lru } from "./lru.ts";
import { type Blame, policyOf } from "./taxonomy.ts";

export interface HealthTarget {
  provider: string;
  /** `provider/model` */
  name: string;
  /** The account with whose key it is called, where it has several. */
  account?: string | undefined;
}

export interface BreakerStatus {
  name: string;
  scope: Scope;
  state: BreakerState;
  /** 0 while closed. */
  openUntilMs: number;
  reason: string | undefined;
  failureRate: number;
  consecutiveFailures: number;
}

export interface Health {
  /** Whether a call may go there now. While half open only a few may at a time. */
  admits(target: HealthTarget): boolean;
  /** Whether a call that nobody else could answer may find out if its failures are over: one so often does. */
  mayTry(target: HealthTarget): boolean;
  /** One more waits for the end of an outage, until it calls what is returned; `undefined` when too many do already. */
  awaitRecovery(): (() => void) | undefined;
  /** When it takes calls again, as far as is known; 0 when it does. */
  openUntilMs(target: HealthTarget): number;
  /** A call begins. */
  begin(target: HealthTarget): HealthCall;
  /** Those that are not closed, or have failed lately. */
  status(): BreakerStatus[];
  /** Closes every breaker: the operator knows that what they opened for is over. */
  reset(): void;
  /** Open breakers, for a later process: hints with absolute times. */
  export(): JsonObject;
  /** Total: answers with why it was ignored, if it was. */
  restore(json: unknown): string | undefined;
}

export interface HealthCall {
  /** Its answer has begun, though it is not over. */
  answers(): void;
  /** Once, with its outcome; `undefined` is success. */
  end(error: ProviderError | undefined): void;
}

/** `account`: one of several keys of a provider, or a target as that key may use it. */
const SCOPES = ["provider", "target", "account"] as const;
type Scope = (typeof SCOPES)[number];

type Effect = Extract<Blame, { on: "target" | "provider" }>;

const MINUTE_MS = 60_000;

/** `undefined`: neither the target nor its provider is to blame. */
function effectOf(error: ProviderError): Effect | undefined {
  const { blame } = policyOf(error);
  return blame.on === "target" || blame.on === "provider" ? blame : undefined;
}

/** Each looks ten times a second whether the outage is over. */
const WAITING_MAX = 1_024;
const TARGETS_MAX = 512;
const PROVIDERS_MAX = 128;
const ACCOUNTS_MAX = 512;
/** Hints older than this are worth nothing. */
const RESTORED_MS_MAX = 60 * MINUTE_MS;
/** Of a provider, a model as callers may name it (256), its tier and an account together. */
const NAME_CHARS_MAX = 500;

const SAVED_VERSION = 1;
const SAVED = z.object({
  version: z.literal(SAVED_VERSION),
  breakers: z
    .array(
      z.object({
        scope: z.enum(SCOPES),
        name: z.string().max(NAME_CHARS_MAX),
        openUntilMs: z.number(),
        openings: z.int().min(0).max(100),
        parkings: z.int().min(0).max(100).default(0),
        reason: z.string().max(100),
      }),
    )
    .max(TARGETS_MAX + PROVIDERS_MAX + ACCOUNTS_MAX),
});

/** `nowMs` is the wall clock, since what is exported is read by a later process; `draw` is uniform in [0, 1). */
export function createHealth(options: { nowMs(): number; draw(): number }): Health {
  return new Breakers(options);
}

function newBreakers() {
  return {
    target: new Lru<Breaker>(TARGETS_MAX),
    provider: new Lru<Breaker>(PROVIDERS_MAX),
    account: new Lru<Breaker>(ACCOUNTS_MAX),
  };
}

/** A breaker that a call is about, and what of a failure it takes. */
interface Concern {
  scope: Scope;
  name: string;
  on: Effect["on"];
}

function concernsOf({ provider, name, account }: HealthTarget): Concern[] {
  const shared: Concern[] = [
    { scope: "provider", name: provider, on: "provider" },
    { scope: "target", name, on: "target" },
  ];
  if (account === undefined) return shared;
  return [
    ...shared,
    { scope: "account", name: account, on: "provider" },
    { scope: "account", name: `${name} (${account})`, on: "target" },
  ];
}

class Breakers implements Health {
  readonly #options: { nowMs(): number; draw(): number };
  #by = newBreakers();
  #waiting = 0;

  constructor(options: { nowMs(): number; draw(): number }) {
    this.#options = options;
  }

  admits(target: HealthTarget): boolean {
    const nowMs = this.#options.nowMs();
    return concernsOf(target).every(({ scope, name }) => this.#by[scope].peek(name)?.admits(nowMs) ?? true);
  }

  mayTry(target: HealthTarget): boolean {
    const nowMs = this.#options.nowMs();
    return concernsOf(target).every(({ scope, name }) => this.#by[scope].peek(name)?.mayTry(nowMs) ?? true);
  }

  awaitRecovery(): (() => void) | undefined {
    if (this.#waiting >= WAITING_MAX) return undefined;
    this.#waiting += 1;
    return () => {
      this.#waiting -= 1;
    };
  }

  openUntilMs(target: HealthTarget): number {
    return Math.max(...concernsOf(target).map(({ scope, name }) => this.#by[scope].peek(name)?.openUntilMs ?? 0));
  }

  begin(target: HealthTarget): HealthCall {
    const nowMs = this.#options.nowMs();
    const calls = concernsOf(target).map(({ scope, name, on }) => {
      const breaker = this.#by[scope].touch(name, () => new Breaker());
      return { scope, on, breaker, era: breaker.begin(nowMs) };
    });
    let isOver = false;
    let hasAnswered = false;
    const answers = () => {
      if (hasAnswered || isOver) return;
      hasAnswered = true;
      for (const { breaker, era } of calls) breaker.answers(era);
    };
    const end = (error: ProviderError | undefined) => {
      assert(!isOver, "a call has one outcome");
      isOver = true;
      const effect = error === undefined ? undefined : effectOf(error);
      const isOfAccount = target.account !== undefined && error !== undefined && policyOf(error).isOfAccount === true;
      for (const { scope, on, breaker, era } of calls) {
        if (error === undefined) breaker.succeed(era, this.#options.nowMs(), hasAnswered);
        else if (effect?.on !== on || isOfAccount !== (scope === "account")) breaker.abandon(era);
        else this.#hurt({ breaker, era, beganAtMs: nowMs }, effect, error);
      }
    };
    return { answers, end };
  }

  status(): BreakerStatus[] {
    const nowMs = this.#options.nowMs();
    return this.#all()
      .map(({ scope, name, breaker }) => ({
        name,
        scope,
        state: breaker.state(nowMs),
        openUntilMs: breaker.openUntilMs,
        reason: breaker.reason,
        failureRate: Number(breaker.failureRate(nowMs).toFixed(3)),
        consecutiveFailures: breaker.consecutiveFailures,
      }))
      .filter(({ state, consecutiveFailures }) => state !== "closed" || consecutiveFailures > 0);
  }

  reset(): void {
    this.#by = newBreakers();
  }

  export(): JsonObject {
    const nowMs = this.#options.nowMs();
    const breakers = this.#all().flatMap(({ scope, name, breaker }) => {
      const saved = breaker.export(nowMs);
      return saved === undefined ? [] : [{ scope, name, ...saved }];
    });
    return { version: SAVED_VERSION, breakers };
  }

  restore(json: unknown): string | undefined {
    const parsed = SAVED.safeParse(json);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      return `it is not of version ${SAVED_VERSION}: ${issue?.path.join(".")}: ${issue?.message}`;
    }
    const nowMs = this.#options.nowMs();
    for (const { scope, name, ...saved } of parsed.data.breakers) {
      if (saved.openUntilMs <= nowMs) continue;
      const openUntilMs = Math.min(saved.openUntilMs, nowMs + RESTORED_MS_MAX);
      this.#by[scope].touch(name, () => new Breaker()).restore({ ...saved, openUntilMs });
    }
    return undefined;
  }

  #hurt(call: { breaker: Breaker; era: number; beganAtMs: number }, effect: Effect, error: ProviderError): void {
    const { breaker, era, beganAtMs } = call;
    const nowMs = this.#options.nowMs();
    if ("parkMs" in effect) {
      breaker.park(era, error.kind, effect.parkMs, effect.parkMsMax, nowMs);
      return;
    }
    const { opensAfter: inARowMax, weight = 1 } = effect;
    const how = { reason: error.kind, inARowMax, weight, tookMs: nowMs - beganAtMs, toldMs: error.retryAfterMs };
    breaker.fail(era, how, nowMs, this.#options.draw());
  }

  #all(): { scope: Scope; name: string; breaker: Breaker }[] {
    return SCOPES.flatMap((scope) =>
      this.#by[scope].newest(TARGETS_MAX).map(([name, breaker]) => ({ scope, name, breaker })),
    );
  }
}
