// Which targets may answer a request, in which order and within which bounds. Pure: the router, the CLI and later the
// explain endpoint all call `plan`.
import type { ChatRequest } from "../chat.ts";
import { type CallerError, type Target, targetName } from "../dialect.ts";
import { isObject } from "../json.ts";
import { nearest } from "../nearest.ts";
import { type Facts, FactsHas, FactsKey } from "./conditions.ts";
import type { Rule } from "./rules.ts";
import { type Exclusion, knownNames, type Resolved, resolve, type Snapshot } from "./snapshot.ts";

/** Who asks. */
export interface Caller {
  /** Name of the key; `local` while the router needs none. */
  key: string;
}

export interface Plan {
  kind: "plan";
  /** In the order they are tried; never empty. */
  candidates: Target[];
  excluded: Exclusion[];
  maxAttempts: number;
  firstByteMs: number;
  idleMs: number;
  totalMs: number;
  /** For the ledger and `x-signalbox-decision`: which rule, which strategy, how many candidates. ASCII. */
  decision: string;
}

export interface Denied {
  kind: "denied";
  error: CallerError;
  decision: string;
}

const DEFAULT_ATTEMPTS = 3;
// Thinking models stay silent for a minute or more before the first content.
const DEFAULT_FIRST_BYTE_MS = 120_000;
const DEFAULT_IDLE_MS = 120_000;
const DEFAULT_TOTAL_MS = 600_000;

export function plan(snapshot: Snapshot, request: ChatRequest, caller: Caller): Plan | Denied {
  const model = request.body.model;
  const rule = firstMatch(snapshot.rules.rules, factsOf(request, caller));
  const names = rule === undefined ? [model] : [...rule.from, ...rule.fallback];
  const resolved = resolveAll(snapshot, names);
  const origin =
    rule === undefined ? "direct" : `rule=${encodeURIComponent(rule.name.toWellFormed())};pick=${rule.pick}`;
  if (resolved.targets.length === 0) {
    return { kind: "denied", error: unavailable(snapshot, model, rule, resolved.excluded), decision: origin };
  }
  return {
    kind: "plan",
    candidates: resolved.targets,
    excluded: resolved.excluded,
    maxAttempts: rule?.attempts ?? DEFAULT_ATTEMPTS,
    firstByteMs: rule?.timeouts.firstByteMs ?? DEFAULT_FIRST_BYTE_MS,
    idleMs: rule?.timeouts.idleMs ?? DEFAULT_IDLE_MS,
    totalMs: rule?.timeouts.totalMs ?? DEFAULT_TOTAL_MS,
    decision: `${origin};candidates=${resolved.targets.length}`,
  };
}

function firstMatch(rules: readonly Rule[], facts: Facts): Rule | undefined {
  return rules.find((rule) => rule.matches(facts.model) && (rule.when === undefined || rule.when(facts) === true));
}

function factsOf(request: ChatRequest, caller: Caller): Facts {
  const { body } = request;
  const has = new FactsHas();
  has.tools = (body.tools?.length ?? 0) > 0;
  has.json_schema = isObject(body.response_format) && body.response_format.type === "json_schema";
  let turns = 0;
  for (const message of body.messages) {
    if (message.role === "user") turns += 1;
    if (Array.isArray(message.content)) has.images ||= message.content.some((part) => part.type === "image_url");
  }
  const key = new FactsKey();
  key.name = caller.key;
  return { model: body.model, stream: request.stream, turns: BigInt(turns), has, key };
}

/** Targets of all names in order, each once. */
function resolveAll(snapshot: Snapshot, names: string[]): Resolved {
  const targets = new Map<string, Target>();
  const excluded = new Map<string, Exclusion>();
  for (const name of names) {
    const resolved = resolve(snapshot, name);
    for (const exclusion of resolved.excluded) excluded.set(exclusion.target, exclusion);
    for (const target of resolved.targets) {
      const key = targetName(target);
      if (!targets.has(key)) targets.set(key, target);
    }
  }
  return { targets: [...targets.values()], excluded: [...excluded.values()] };
}

function unavailable(snapshot: Snapshot, model: string, rule: Rule | undefined, excluded: Exclusion[]): CallerError {
  const about = { status: 404, type: "invalid_request_error", code: "model_not_found", param: "model" };
  if (excluded.length > 0) {
    const reasons = excluded.map(({ target, reason }) => `${target}: ${reason}`);
    const message = `No target for the model '${model}' can be used. ${reasons.slice(0, 10).join("; ")}.`;
    return { ...about, message, metadata: { excluded: reasons.slice(0, 50) } };
  }
  const where = rule === undefined ? "" : ` (rule "${rule.name}")`;
  // The name itself may be known and yet lead nowhere (a rule over models of providers that are not enabled).
  const others = new Set(knownNames(snapshot)).difference(new Set([model]));
  const close = nearest(model.slice(0, 100), others, 3);
  const hint =
    close.length === 0 ? "See GET /v1/models." : `Did you mean ${close.map((name) => `'${name}'`).join(", ")}?`;
  return {
    ...about,
    message: `The model '${model}' does not exist here, or no enabled provider serves it${where}. ${hint}`,
  };
}
