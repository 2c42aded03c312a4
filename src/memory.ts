// What the router learns while it runs and may forget: things answers asked to remember, and what targets do not accept.
import type { JsonObject } from "./chat.ts";
import { Lru } from "./lru.ts";
import type { Learnt } from "./routing/facts.ts";

const REMEMBERED_MAX = 10_000;
const REMEMBERED_CHARS_MAX = 64_000;
const REMEMBERED_MS = 86_400_000;
const TARGETS_MAX = 1_000;
const REPAIRS_PER_TARGET_MAX = 8;
const LACKS_PER_TARGET_MAX = 32;
/** Providers change what they accept, so what was learned is tried anew after a while. */
const REPAIR_MS = 3_600_000;

export interface Memory extends Learnt {
  /** Callers do not share memories: `caller` is part of the key. */
  remember(caller: string, key: string, value: JsonObject): void;
  recall(caller: string, key: string): JsonObject | undefined;
  /** Tokens of `Outbound.repair` that this target ("provider/model") needs. */
  repairsOf(target: string): readonly string[];
  learnRepair(target: string, repair: string): void;
  learnWindow(target: string, tokens: number): void;
  /** A field of the request that this target does not accept, and no repair helps. */
  learnLack(target: string, field: string): void;
}

/** Bounded in entries, size and time. */
export function createMemory(nowMs: () => number): Memory {
  const remembered = new Lru<{ value: JsonObject; untilMs: number }>(REMEMBERED_MAX);
  const repairs = new Lru<Map<string, number>>(TARGETS_MAX);
  const windows = new Lru<{ tokens: number }>(TARGETS_MAX);
  const lacks = new Lru<Map<string, number>>(TARGETS_MAX);
  const inForce = (known: Map<string, number> | undefined): string[] => {
    return known === undefined ? [] : [...known].filter(([, untilMs]) => untilMs > nowMs()).map(([name]) => name);
  };
  return {
    remember(caller, key, value) {
      if (JSON.stringify(value).length > REMEMBERED_CHARS_MAX) return;
      const entry = remembered.touch(`${caller}\n${key}`, () => ({ value, untilMs: 0 }));
      entry.value = value;
      entry.untilMs = nowMs() + REMEMBERED_MS;
    },
    recall(caller, key) {
      const entry = remembered.peek(`${caller}\n${key}`);
      return entry !== undefined && entry.untilMs > nowMs() ? entry.value : undefined;
    },
    repairsOf: (target) => inForce(repairs.peek(target)),
    windowOf: (target) => windows.peek(target)?.tokens,
    lacksOf: (target) => inForce(lacks.peek(target)),
    learnRepair(target, repair) {
      const known = repairs.touch(target, () => new Map());
      if (known.size < REPAIRS_PER_TARGET_MAX || known.has(repair)) known.set(repair, nowMs() + REPAIR_MS);
    },
    learnWindow(target, tokens) {
      windows.touch(target, () => ({ tokens })).tokens = tokens;
    },
    learnLack(target, field) {
      const known = lacks.touch(target, () => new Map());
      if (known.size < LACKS_PER_TARGET_MAX || known.has(field)) known.set(field, nowMs() + REPAIR_MS);
    },
  };
}
