// What the router learns while it runs and may forget: things answers asked to remember, and what targets do not accept.
import type { JsonObject } from "./chat.ts";
import { Lru } from "./lru.ts";

const REMEMBERED_MAX = 10_000;
const REMEMBERED_CHARS_MAX = 64_000;
const REMEMBERED_MS = 86_400_000;
const TARGETS_MAX = 1_000;
const REPAIRS_PER_TARGET_MAX = 8;
/** Providers change what they accept, so what was learned is tried anew after a while. */
const REPAIR_MS = 3_600_000;

export interface Memory {
  /** Callers do not share memories: `caller` is part of the key. */
  remember(caller: string, key: string, value: JsonObject): void;
  recall(caller: string, key: string): JsonObject | undefined;
  /** Tokens of `Outbound.repair` that this target ("provider/model") needs. */
  repairsOf(target: string): readonly string[];
  learnRepair(target: string, repair: string): void;
}

/** Bounded in entries, size and time. */
export function createMemory(nowMs: () => number): Memory {
  const remembered = new Lru<{ value: JsonObject; untilMs: number }>(REMEMBERED_MAX);
  const repairs = new Lru<Map<string, number>>(TARGETS_MAX);
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
    repairsOf(target) {
      const known = repairs.peek(target);
      if (known === undefined) return [];
      return [...known].filter(([, untilMs]) => untilMs > nowMs()).map(([repair]) => repair);
    },
    learnRepair(target, repair) {
      const known = repairs.touch(target, () => new Map());
      if (known.size < REPAIRS_PER_TARGET_MAX || known.has(repair)) known.set(repair, nowMs() + REPAIR_MS);
    },
  };
}
