// What answers teach about the next choice: how long targets take and fail, how long answers are, how many tokens a text
// is, where a conversation has its cache. In memory, saved piece by piece, read back at the start.
import type { ChatMessage, ChatRequest, DialectId, JsonObject, Usage } from "./chat.ts";
import { type ModelEntry, targetName } from "./dialect.ts";
import { createFleet, FLEET_PARTS, type Fleet } from "./fleet.ts";
import type { Settled } from "./gateway/attempt.ts";
import { maxOutputTokens } from "./routing/facts.ts";
import type { FleetView } from "./routing/fleet-view.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import { createCalibration, type EstimatedCall } from "./tokens/calibration.ts";
import { mediaFormulaOf } from "./tokens/media.ts";
import { textMeter } from "./tokens/text.ts";
import { estimateTokens, mediaTokens, type TokenEstimate } from "./tokens.ts";

/** How to weigh pictures for a target. */
export interface TargetKind {
  dialect: DialectId;
  entry: ModelEntry | undefined;
}

/** How the snapshot's target of this name counts tokens; `undefined` when it has none. */
export function kindOf(snapshot: Snapshot, target: string): TargetKind | undefined {
  const slash = target.indexOf("/");
  const provider = snapshot.providers.get(target.slice(0, slash));
  return provider && { dialect: provider.dialect.id, entry: provider.models.get(target.slice(slash + 1)) };
}

export interface Learning {
  fleet: FleetView;
  /** Tokens of a prompt: in general, or as a target ("provider/model") counts them. Estimated once per request, when asked. */
  inputTokens(request: ChatRequest, caller: string): (target?: string) => number;
  /** Prompt and answer together, before it is known where the request goes. */
  expectedTokens(request: ChatRequest, caller: string): number;
  observe(settled: Settled): void;
  /** Mean |predicted − billed| ÷ billed of the last calls; `undefined` before the first. */
  tokenError(): number | undefined;
  /** How far a prompt may be longer than its estimate, as a share of it: twice the usual deviation of the last calls. */
  inputMargin(): number;
  /** Saves the next part of what was learnt: called every so often, so that no call takes long. */
  saveNext(): void;
  saveAll(): void;
}

/** Where it is kept: the ledger's small table of statistics. */
export interface Shelf {
  saveStatistics(name: string, json: JsonObject): void;
  loadStatistics(name: string): unknown;
}

export interface LearningOptions {
  nowMs(): number;
  shelf: Shelf;
  kindOf(target: string): TargetKind | undefined;
  log(message: string): void;
}

export function createLearning(options: LearningOptions): Learning {
  return new Lessons(options);
}

const PRIOR_ERROR = 0.1;
const MARGIN_MIN = 0.1;
const MARGIN_MAX = 0.5;
const PRIOR_OUTPUT_TOKENS = 500;

class Lessons implements Learning {
  readonly #options: LearningOptions;
  readonly #fleet: Fleet;
  readonly #calibration = createCalibration();
  // By the array of messages, which survives what rules do to a request's parameters.
  readonly #estimates = new WeakMap<ChatMessage[], TokenEstimate>();
  readonly #measure = textMeter();
  #nextPart = 0;

  constructor(options: LearningOptions) {
    this.#options = options;
    this.#fleet = createFleet({ nowMs: options.nowMs });
    for (const part of FLEET_PARTS) {
      const saved = options.shelf.loadStatistics(`fleet-${part}`);
      const problem = saved === undefined ? undefined : this.#fleet.restore(saved);
      if (problem !== undefined) options.log(`What was learnt (fleet-${part}) is not used: ${problem}`);
    }
    const saved = options.shelf.loadStatistics("calibration");
    if (saved !== undefined) this.#calibration.restore(saved);
  }

  get fleet(): FleetView {
    return this.#fleet;
  }

  inputTokens(request: ChatRequest, caller: string): (target?: string) => number {
    return (target) => {
      const estimate = this.#estimateOf(request);
      if (target === undefined) return estimate.textTokens;
      return this.#calibration.predict(callOf(estimate, target, caller, this.#options.kindOf(target))).mean;
    };
  }

  expectedTokens(request: ChatRequest, caller: string): number {
    const { body } = request;
    const bound = maxOutputTokens(body);
    const scope = { rule: "", key: caller, model: body.model, maxTokens: bound };
    const output = this.#fleet.outputTokensQuantile(scope, 0.9) ?? PRIOR_OUTPUT_TOKENS;
    return Math.ceil(this.#estimateOf(request).textTokens + Math.min(output, bound ?? Number.POSITIVE_INFINITY));
  }

  observe(settled: Settled): void {
    const { input, usage, error } = settled;
    const target = targetName(input.target);
    const { body } = input.request;
    this.#fleet.observe({
      target,
      ...this.#beginningOf(settled, target),
      totalMs: settled.totalMs,
      outputTokens: usage?.outputTokens,
      errorKind: error?.kind,
      subkind: error?.subkind,
      scope: {
        rule: input.ruleName,
        key: input.caller.key,
        model: input.target.model,
        maxTokens: maxOutputTokens(body),
      },
    });
    if (error !== undefined || usage?.inputTokens === undefined) return;
    // Only what was estimated anyway teaches: an estimate costs nearly as much as parsing the body.
    const estimate = this.#estimates.get(body.messages);
    if (estimate !== undefined) {
      const { provider, entry } = input.target;
      const call = callOf(estimate, target, input.caller.key, { dialect: provider.dialect.id, entry });
      this.#calibration.learn(call, usage.inputTokens);
    }
    if (input.affinity.id === undefined) return;
    const cacheTtlMs = input.affinity.ttlMs ?? cacheTtlOf(input.target.entry);
    const account = input.lease.account?.name;
    this.#fleet.rememberAffinity({ id: input.affinity.id, target, account, usage, cacheTtlMs });
  }

  /** A stream that was cut because another call was sooner had shown nothing for so long. Where that is longer than nearly all
   *  take, it counts as if it had begun then: else the slowest would never be seen, and what is usual would seem to shrink. */
  #beginningOf({ input, usage, firstByteMs, totalMs, error }: Settled, target: string) {
    const told = { freshInputTokens: freshInput(usage), firstByteMs };
    if (error?.kind !== "hedge_lost" || !input.request.stream || firstByteMs !== undefined) return told;
    const estimated = this.inputTokens(input.request, input.caller.key)(target);
    const usualMs = this.#fleet.firstByteMs(target, estimated, 0.95) ?? Number.POSITIVE_INFINITY;
    return totalMs < usualMs ? told : { freshInputTokens: estimated, firstByteMs: totalMs };
  }

  tokenError(): number | undefined {
    return this.#calibration.meanAbsoluteError();
  }

  inputMargin(): number {
    // A normal distribution deviates by 0.8 σ on the average.
    const margin = (2 / 0.8) * (this.tokenError() ?? PRIOR_ERROR);
    return Math.min(MARGIN_MAX, Math.max(MARGIN_MIN, margin));
  }

  saveNext(): void {
    const parts = this.#parts();
    this.#save(parts[this.#nextPart % parts.length]);
    this.#nextPart += 1;
  }

  saveAll(): void {
    for (const part of this.#parts()) this.#save(part);
  }

  #parts(): Part[] {
    const fleetParts = FLEET_PARTS.map((part) => ({ name: `fleet-${part}`, export: () => this.#fleet.export(part) }));
    return [...fleetParts, { name: "calibration", export: () => this.#calibration.export() }];
  }

  #save(part: Part | undefined): void {
    if (part !== undefined) this.#options.shelf.saveStatistics(part.name, part.export());
  }

  #estimateOf(request: ChatRequest): TokenEstimate {
    const known = this.#estimates.get(request.body.messages);
    if (known !== undefined) return known;
    const made = estimateTokens(request.body, this.#measure);
    this.#estimates.set(request.body.messages, made);
    return made;
  }
}

interface Part {
  name: string;
  export(): JsonObject;
}

function callOf(estimate: TokenEstimate, target: string, key: string, kind: TargetKind | undefined): EstimatedCall {
  const media = kind === undefined ? 0 : mediaTokens(estimate, mediaFormulaOf(kind.dialect, kind.entry));
  return { model: target, key, rawTokens: estimate.textTokens, mediaTokens: media, tools: estimate.tools };
}

function freshInput(usage: Usage | undefined): number | undefined {
  return usage?.inputTokens === undefined ? undefined : usage.inputTokens - (usage.cacheReadTokens ?? 0);
}

/** How long this model's prompt cache lives, where the catalogue says so. */
function cacheTtlOf(entry: ModelEntry | undefined): number | undefined {
  const seconds = entry?.features?.cacheSeconds;
  return typeof seconds === "number" ? seconds * 1000 : undefined;
}
