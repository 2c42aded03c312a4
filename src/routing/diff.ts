// What an edit of the rules would change for whom: every name a caller may use, in a few shapes of request, planned twice.
import type { ChatRequest } from "../chat.ts";
import { targetName } from "../dialect.ts";
import { changesBetween, type RuleChanges } from "./changes.ts";
import type { Asked } from "./facts.ts";
import type { FleetView } from "./fleet-view.ts";
import { globMatcher } from "./glob.ts";
import { type Denied, type Plan, type PlannedTarget, plan } from "./plan.ts";
import type { Hedge } from "./rules.ts";
import { knownNames, type Snapshot } from "./snapshot.ts";

/** Where a request goes; what the caller or the bill would notice. */
export interface Route {
  rule: string | null;
  pick: string | null;
  targets: string[];
  /** Where the first choice is drawn: how often each target is it, in percent. */
  shares: Record<string, number> | null;
  attempts: number | null;
  timeouts_ms: (number | null)[];
  /** Priority and longest wait. */
  queue: string | null;
  affordable_max_tokens: boolean | null;
  on_filter: "stop" | "next" | null;
  /** When a second target is asked, and how often at most. */
  hedge: string | null;
  set: unknown[];
  refused: string | null;
}

/** Names and shapes of request that went one way before and go another way now. */
export interface Difference {
  names: string[];
  shapes: string[];
  before: Route;
  after: Route;
}

export interface RulesDiff {
  changes: RuleChanges;
  differences: Difference[];
  /** How much was looked at. */
  names: number;
  shapes: string[];
  /** Changed rules that decided none of the requests looked at: their conditions ask for something else. */
  unseen: string[];
}

export interface DiffOptions {
  before: Snapshot;
  after: Snapshot;
  fleet: FleetView;
  /** For conditions on the time. */
  nowMs: number;
}

interface Shape {
  name: string;
  inputTokens: number;
  body: Record<string, unknown>;
}

const PICTURE = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
const SHAPES: readonly Shape[] = [
  { name: "plain", inputTokens: 200, body: {} },
  { name: "tools", inputTokens: 1_000, body: { tools: [{ type: "function", function: { name: "f" } }] } },
  { name: "images", inputTokens: 1_500, body: { messages: [{ role: "user", content: [PICTURE] }] } },
  { name: "long prompt", inputTokens: 150_000, body: {} },
  {
    name: "json_schema",
    inputTokens: 500,
    body: { response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } } },
  },
];

export function diffRules({ before, after, fleet, nowMs }: DiffOptions): RulesDiff {
  const names = namesOf(before, after);
  const grouped = new Map<string, Difference>();
  const seen = new Set<string>();
  for (const name of names.filter((name) => isSpokenOf(name, [before, after]))) {
    const changed = Map.groupBy(
      SHAPES.flatMap((shape) => {
        const asked = askedOf(name, shape, nowMs);
        const pair = { before: routeOf(before, asked, fleet), after: routeOf(after, asked, fleet) };
        for (const { rule } of [pair.before, pair.after]) if (rule !== null) seen.add(rule);
        return effectOf(pair.before) === effectOf(pair.after) ? [] : [{ shape: shape.name, ...pair }];
      }),
      ({ before: old, after: now }) => JSON.stringify([old, now]),
    );
    for (const [routes, same] of changed) {
      const shapes = same.map(({ shape }) => shape);
      const [first] = same;
      const key = JSON.stringify([routes, shapes]);
      const known = grouped.get(key);
      if (known !== undefined) known.names.push(name);
      else if (first !== undefined)
        grouped.set(key, { names: [name], shapes, before: first.before, after: first.after });
    }
  }
  const changes = changesBetween(before.rules, after.rules);
  const { added, removed, changed } = changes.rules;
  return {
    changes,
    differences: [...grouped.values()],
    names: names.length,
    shapes: SHAPES.map(({ name }) => name),
    unseen: [...added, ...changed, ...removed].filter((rule) => !seen.has(rule)),
  };
}

/** Aliases and names in rules first, then whatever the enabled providers serve. */
function namesOf(before: Snapshot, after: Snapshot): string[] {
  const both = [before, after];
  const spoken = both.flatMap(({ rules }) =>
    rules.files.flatMap(({ value }) => value.rules.flatMap((rule) => rule.model ?? [])),
  );
  const known = new Set(both.flatMap((snapshot) => [...knownNames(snapshot)]));
  const aliases = both.flatMap(({ rules }) => [...rules.aliases.keys()]);
  const plain = spoken.filter((model) => !model.includes("*"));
  // A pattern that no known name fits is about names that callers make up: one of them stands for all.
  const patterns = spoken.filter((model) => model.includes("*") && ![...known].some(globMatcher(model)));
  const madeUp = patterns.map((pattern) => pattern.replaceAll("*", "x"));
  return [...new Set([...aliases, ...plain, ...madeUp, ...known])];
}

/** All other names go where the providers are, in both. */
function isSpokenOf(name: string, snapshots: Snapshot[]): boolean {
  return snapshots.some(({ rules }) => rules.aliases.has(name) || rules.rules.some((rule) => rule.matches(name)));
}

function askedOf(model: string, { inputTokens, body }: Shape, nowMs: number): Asked {
  const request: ChatRequest = {
    dialect: "openai-chat",
    body: { model, messages: [{ role: "user", content: "Hello" }], ...body },
    stream: false,
    includeUsage: false,
    includeCost: false,
    strict: false,
  };
  return {
    request,
    caller: { key: "local" },
    endpoint: "/v1/chat/completions",
    headers: () => ({}),
    bodyBytes: inputTokens * 4,
    inputTokens: () => inputTokens,
    affinityId: undefined,
    nowMs,
  };
}

const DRAWS = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];

function routeOf(snapshot: Snapshot, asked: Asked, fleet: FleetView): Route {
  const planned = plan(snapshot, asked, fleet, () => 0.5);
  const rule = planned.trace.rule ?? null;
  if (planned.kind === "denied") {
    const refused = `${planned.error.status} ${planned.error.message}`;
    return {
      rule,
      pick: null,
      targets: [],
      shares: null,
      attempts: null,
      timeouts_ms: [],
      queue: null,
      affordable_max_tokens: null,
      on_filter: null,
      hedge: null,
      set: [],
      refused,
    };
  }
  const { pick } = planned.trace;
  const isDrawn = planned.candidates.length > 1 && (pick === "balanced" || pick === "weighted");
  const shares = isDrawn ? sharesOf(DRAWS.map((draw) => plan(snapshot, asked, fleet, () => draw))) : null;
  const targets = shares === null ? planned.candidates : byShare(planned.candidates, shares);
  const { connectMs = null, firstByteMs, idleMs, contentIdleMs, totalMs } = planned;
  return {
    rule,
    pick,
    targets: targets.map(({ target }) => targetName(target)),
    shares,
    attempts: planned.maxAttempts,
    timeouts_ms: [connectMs, firstByteMs, idleMs, contentIdleMs, totalMs],
    queue: `${planned.priority}, at most ${planned.maxWaitMs / 1_000} s`,
    affordable_max_tokens: planned.lowersMaxTokens,
    on_filter: planned.mayPassFilter ? "next" : "stop",
    hedge: planned.hedge === undefined ? null : hedgeText(planned.hedge),
    set: targets.map(({ set }) => set),
    refused: null,
  };
}

function hedgeText({ after, share }: Hedge): string {
  return `after ${after === "p95" ? after : `${after} ms`}, at most ${Number((100 * share).toFixed(4))} %`;
}

function sharesOf(plans: (Plan | Denied)[]): Record<string, number> {
  const shares: Record<string, number> = {};
  for (const planned of plans) {
    const first = planned.kind === "plan" ? planned.candidates[0] : undefined;
    if (first === undefined) continue;
    const name = targetName(first.target);
    shares[name] = (shares[name] ?? 0) + 100 / plans.length;
  }
  return shares;
}

/** The order of one draw says nothing: likeliest first, and names decide between equals. */
function byShare(candidates: readonly PlannedTarget[], shares: Record<string, number>): PlannedTarget[] {
  return candidates.toSorted((a, b) => {
    const [nameA, nameB] = [targetName(a.target), targetName(b.target)];
    return a.tier - b.tier || (shares[nameB] ?? 0) - (shares[nameA] ?? 0) || (nameA < nameB ? -1 : 1);
  });
}

/** Everything but the name of the rule: a rule that was renamed sends nobody elsewhere. With one target nothing is picked. */
function effectOf({ rule: _, pick, ...route }: Route): string {
  return JSON.stringify([route, route.targets.length > 1 ? pick : null]);
}
