// What is known of one running attempt, and its settlement: exactly once, with the ledger, limits, money and learning.
import { strict as assert } from "node:assert";
import {
  type ChatEvent,
  type ChatRequest,
  HEDGE_LOST,
  type JsonObject,
  mergeUsage,
  type ProviderError,
  type Rates,
  type Usage,
} from "../chat.ts";
import type { Call, Target } from "../dialect.ts";
import type { Memory } from "../memory.ts";
import { priceAttempt, ratesJson } from "../pricing.ts";
import type { Lost } from "../retry-budget.ts";
import type { Caller } from "../routing/plan.ts";
import type { AttemptSettled, EndReason, Ledger } from "../store/ledger.ts";
import type { Clocks } from "../upstream.ts";
import { charsOf, isContent } from "./answer-reader.ts";
import type { Lease } from "./lease.ts";
import type { Money } from "./spending.ts";

/** What a running attempt tells, and whom. */
export interface RowDeps {
  ledger: Pick<Ledger, "openAttempt" | "settleAttempt" | "finishRequest" | "keepRates">;
  nowMs(): number;
  /** What answers asked to be remembered for later requests, per caller. */
  memory: Pick<Memory, "remember" | "recall">;
  /** A short name for a set of prices. */
  rateKey(rates: Rates): string;
  /** Told of every settled attempt, so that choosing can learn from it. */
  observe(settled: Settled): void;
}

/** What an attempt came to. */
export interface Settled {
  input: AttemptInput;
  usage: Usage | undefined;
  /** From the call to its first content; `undefined` for a buffered answer, which shows nothing before its end. */
  firstByteMs: number | undefined;
  totalMs: number;
  error: ProviderError | undefined;
  /** `undefined`: not known. */
  costNanoUsd: number | undefined;
  priceStatus: AttemptSettled["priceStatus"];
}

export interface AttemptInput {
  requestId: string;
  /** Opens the attempt under the number it gives, which it returns. When `open` throws there was none. */
  numbered(open: (attempt: number) => void): number;
  /** Callers do not share memories. */
  caller: Caller;
  request: ChatRequest;
  target: Target;
  ruleName: string;
  affinity: { id: string | undefined; ttlMs: number | undefined };
  /** See Call. */
  repairs: readonly string[];
  continuation: JsonObject | undefined;
  catalogVersion: string;
  /** The place at the target; ends with the attempt. */
  lease: Lease;
  /** What is set aside for it; settled with the attempt. */
  money: Money;
  signal: AbortSignal;
  /** When the caller leaves, the answer is read on for so long, for its exact usage. */
  drainMs: number | undefined;
  clocks: Clocks;
  /** The error in view of what the request met with before. */
  inView(error: ProviderError): ProviderError;
  /** Why a whole answer, or the end of one without content, is no answer after all; `undefined` when it is one. */
  unfit(events: readonly ChatEvent[]): ProviderError | undefined;
  /** Called once, after the attempt's row is settled and before the last bytes are handed out; not when the answer goes on
   *  in another call. */
  onStreamEnd(error: ProviderError | undefined): void;
}

/** What the attempt cost; `costNanoUsd` is `undefined` when usage or price is unknown. */
export interface Bill {
  usage: Usage | undefined;
  costNanoUsd: number | undefined;
}

/** An attempt that came to nothing. */
export interface Failed {
  kind: "failed";
  error: ProviderError;
  call: Call;
  lost: Lost;
}

export const CALLER_LEFT: ProviderError = { kind: "cancelled", message: "The caller closed the connection." };

/** Journals the attempt before the provider hears of it. */
export function openRow(deps: RowDeps, input: AttemptInput): AttemptRow {
  const openedAtMs = deps.nowMs();
  const { requestId, target, catalogVersion, caller, ruleName: rule } = input;
  const { key, keyId, team, organisation, tags } = caller;
  const provider = target.provider.id;
  const call = { requestId, openedAtMs, provider, model: target.model, catalogVersion };
  const { reservedNanoUsd } = input.money;
  const account = input.lease.account?.name;
  const attempt = input.numbered((attempt) => {
    deps.ledger.openAttempt({ ...call, attempt, account, key, keyId, team, organisation, tags, rule, reservedNanoUsd });
  });
  return new AttemptRow(deps, input, { attempt, openedAtMs });
}

type Price = Pick<AttemptSettled, "usage" | "costNanoUsd" | "estimatedNanoUsd" | "priceStatus">;

/** What is known of a running attempt, and its settlement. */
export class AttemptRow {
  httpStatus: number | undefined;
  upstreamRequestId: string | undefined;
  /** False when the request certainly never reached the provider. */
  wasSent = true;
  isSettled = false;
  readonly #deps: RowDeps;
  readonly input: AttemptInput;
  readonly #attempt: number;
  readonly #openedAtMs: number;
  #firstByteMs: number | undefined;
  #usage: Usage | undefined;
  #finishReason: string | undefined;
  /** Of text, reasoning and arguments, as far as the answer came. */
  #chars = 0;

  constructor(deps: RowDeps, input: AttemptInput, { attempt, openedAtMs }: { attempt: number; openedAtMs: number }) {
    this.#deps = deps;
    this.input = input;
    this.#attempt = attempt;
    this.#openedAtMs = openedAtMs;
  }

  observe(events: ChatEvent[]): void {
    for (const event of events) {
      if (event.type === "remember") this.#deps.memory.remember(this.input.caller.key, event.key, event.value);
      else if (event.type === "usage") this.#count(event.usage);
      else if (event.type === "finish") this.#finishReason ??= event.nativeReason;
      else if (isContent(event)) {
        if (this.#firstByteMs === undefined) this.input.lease.answers();
        this.#firstByteMs ??= this.#deps.nowMs() - this.#openedAtMs;
        this.#chars += charsOf(event);
      }
    }
  }

  #count(usage: Usage): void {
    this.#usage = mergeUsage(this.#usage, usage);
    if (this.#usage !== undefined) this.input.lease.counted(this.#usage);
  }

  bill(): Bill {
    return { usage: this.#usage, costNanoUsd: this.#priced().nanoUsd };
  }

  #priced() {
    const { entry } = this.input.target;
    const atMs = this.#openedAtMs;
    return priceAttempt({ usage: this.#usage, rates: entry?.rates, basis: entry?.priceStatus, atMs });
  }

  /** The caller left and the answer was read on for its usage, or another call was sooner: whatever it came to, nobody
   *  got it. */
  left(): ProviderError | undefined {
    const { signal, drainMs } = this.input;
    if (!signal.aborted) return undefined;
    if (signal.reason === HEDGE_LOST) return HEDGE_LOST;
    return drainMs === undefined ? undefined : CALLER_LEFT;
  }

  /** `hadOutput`: there was some, though none could be read. */
  fail(told: ProviderError, call: Call, hadOutput = false): Failed {
    const error = this.left() ?? this.input.inView(told);
    const isCut = error.kind === "cancelled" || error.kind === "hedge_lost";
    this.settle(isCut ? "cancelled" : "failed", error);
    const lost = { hadOutput: hadOutput || this.#firstByteMs !== undefined, costNanoUsd: this.#price().costNanoUsd };
    return { kind: "failed", error, call, lost };
  }

  settle(endReason: EndReason, error: ProviderError | undefined): void {
    assert(!this.isSettled, "an attempt is settled once");
    this.isSettled = true;
    const { requestId } = this.input;
    const attempt = this.#attempt;
    const endedAtMs = this.#deps.nowMs();
    const price = this.#price();
    this.input.lease.end({ usage: this.#usage, error, wasDone: !this.#wasFree() });
    this.input.money.settle(price.costNanoUsd ?? price.estimatedNanoUsd ?? 0);
    this.#deps.observe({
      input: this.input,
      usage: this.#usage,
      firstByteMs: this.input.request.stream ? this.#firstByteMs : undefined,
      totalMs: endedAtMs - this.#openedAtMs,
      error,
      costNanoUsd: price.costNanoUsd,
      priceStatus: price.priceStatus,
    });
    this.#deps.ledger.settleAttempt({
      requestId,
      attempt,
      endedAtMs,
      firstByteMs: this.#firstByteMs,
      ...price,
      ratesKey: this.#ratesKey(price),
      httpStatus: this.httpStatus,
      errorKind: error?.kind,
      endReason,
      upstreamRequestId: error?.upstreamRequestId ?? this.upstreamRequestId,
      finishReason: this.#finishReason,
    });
  }

  /** Keeps the prices beside the row, so that its cost can be worked out again. */
  #ratesKey({ costNanoUsd, priceStatus }: Price): string | undefined {
    const { entry } = this.input.target;
    if (costNanoUsd === undefined || priceStatus === "unmetered" || entry?.rates === undefined) return undefined;
    const { rates } = entry;
    const key = this.#deps.rateKey(rates);
    this.#deps.ledger.keepRates(key, () => ratesJson(rates));
    return key;
  }

  #wasFree(): boolean {
    return !this.wasSent || (this.httpStatus !== undefined && this.httpStatus >= 400);
  }

  /** A call that was refused, or never reached the provider, was not billed: that is known. All else needs usage. */
  #price(): Price {
    if (this.#wasFree()) return { usage: undefined, costNanoUsd: 0, priceStatus: "unmetered" };
    const { nanoUsd, status } = this.#priced();
    const priced = { usage: this.#usage, costNanoUsd: nanoUsd, priceStatus: status };
    if (nanoUsd !== undefined) return priced;
    // Of a buffered answer that never came nobody knows how long it was.
    const wasSeen = this.input.request.stream || this.#chars > 0;
    const told = this.#usage?.outputTokens;
    const estimatedNanoUsd = this.input.money.estimateNanoUsd(told, wasSeen ? this.#chars : undefined);
    return { ...priced, estimatedNanoUsd };
  }
}
