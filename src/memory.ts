// What the router learns while it runs and may forget: things answers asked to remember, and what targets do not accept.
import type { JsonObject } from "./chat.ts";
import { Lru } from "./lru.ts";
import type { Learnt } from "./routing/facts.ts";

const REMEMBERED_MAX = 10_000;
const REMEMBERED_CHARS_MAX = 64_000;
/** Of all together: a signature has some thousand, so that ten thousand of them fit; whole answers are far longer. */
const REMEMBERED_CHARS_MAX_ALL = 32_000_000;
const REMEMBERED_MS = 86_400_000;
const TARGETS_MAX = 1_000;
const REPAIRS_PER_TARGET_MAX = 8;
const LACKS_PER_TARGET_MAX = 32;
/** Names of fields that callers make up come back in refusals; no provider has one that is longer. */
const FIELD_CHARS_MAX = 100;
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

interface Remembered {
  value: JsonObject;
  untilMs: number;
  chars: number;
}

/** Bounded in entries, size and time. */
export function createMemory(nowMs: () => number): Memory {
  let chars = 0;
  const remembered = new Lru<Remembered>(REMEMBERED_MAX, (gone) => {
    chars -= gone.chars;
  });
  const repairs = new Lru<Map<string, number>>(TARGETS_MAX);
  const windows = new Lru<{ tokens: number }>(TARGETS_MAX);
  const lacks = new Lru<Map<string, number>>(TARGETS_MAX);
  const inForce = (known: Map<string, number> | undefined): string[] => {
    return known === undefined ? [] : [...known].filter(([, untilMs]) => untilMs > nowMs()).map(([name]) => name);
  };
  return {
    remember(caller, key, value) {
      const size = key.length + JSON.stringify(value).length;
      if (size > REMEMBERED_CHARS_MAX) return;
      const entry = remembered.touch(`${caller}\n${key}`, () => ({ value, untilMs: 0, chars: 0 }));
      chars += size - entry.chars;
      Object.assign(entry, { value, untilMs: nowMs() + REMEMBERED_MS, chars: size });
      while (chars > REMEMBERED_CHARS_MAX_ALL && remembered.forgetOldest());
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
      learn(known, repair, nowMs() + REPAIR_MS, REPAIRS_PER_TARGET_MAX);
    },
    learnWindow(target, tokens) {
      windows.touch(target, () => ({ tokens })).tokens = tokens;
    },
    learnLack(target, field) {
      if (field.length > FIELD_CHARS_MAX) return;
      const known = lacks.touch(target, () => new Map());
      learn(known, field, nowMs() + REPAIR_MS, LACKS_PER_TARGET_MAX);
    },
  };
}

/** What was learnt longest ago makes room: names that a caller made up must not keep out what others meet with. */
function learn(known: Map<string, number>, name: string, untilMs: number, namesMax: number): void {
  known.delete(name);
  known.set(name, untilMs);
  const [oldest] = known.keys();
  if (known.size > namesMax && oldest !== undefined) known.delete(oldest);
}
