// Which target holds the prompt cache of which conversation, and how far that can be trusted.
import type { Usage } from "../chat.ts";
import { Lru } from "../lru.ts";
import type { Affinity } from "../routing/fleet-view.ts";
import type { SavedAffinity } from "./saved.ts";

/** A conversation was answered. */
export interface AffinitySeen {
  id: string;
  target: string;
  /** With whose key it was called, where the target has several. */
  account?: string | undefined;
  usage: Usage | undefined;
  /** How long the target's provider keeps a prompt after its last use, when the catalogue knows. */
  cacheTtlMs: number | undefined;
}

/** The lifetime most providers promise. */
const TTL_MS_DEFAULT = 300_000;
const MISSES_MAX = 2;
const NAMES_MAX = 1_000;

interface Home {
  target: string;
  account: string | undefined;
  cachedTokens: number;
  confirmed: boolean;
  /** In a row. */
  misses: number;
  lastUsedMs: number;
  ttlMs: number;
}

export class Affinities {
  readonly #homes: Lru<Home>;
  /** One string for each target instead of one for each conversation. */
  readonly #names = new Lru<string>(NAMES_MAX);

  constructor(entriesMax: number) {
    this.#homes = new Lru(entriesMax);
  }

  /** The target that answered is the conversation's home now, whoever was before. */
  remember({ id, usage, cacheTtlMs, ...seen }: AffinitySeen, nowMs: number): void {
    const target = this.#names.touch(seen.target, () => seen.target);
    const { account } = seen;
    const home = this.#homes.touch(id, () => newHome({ target, account }, nowMs));
    const isHome = home.target === target && home.account === account;
    const wasExpected = isHome && !isExpired(home, nowMs) && home.cachedTokens > 0;
    if (!wasExpected) Object.assign(home, newHome({ target, account }, nowMs));
    const readTokens = usage?.cacheReadTokens;
    if (readTokens !== undefined && readTokens > 0) {
      home.confirmed = true;
      home.misses = 0;
    } else if (readTokens === 0 && wasExpected) {
      home.confirmed = false;
      home.misses += 1;
    }
    home.cachedTokens = cachedTokensOf(usage) ?? home.cachedTokens;
    home.lastUsedMs = nowMs;
    home.ttlMs = cacheTtlMs ?? TTL_MS_DEFAULT;
  }

  find(id: string, nowMs: number): Affinity | undefined {
    const home = this.#homes.peek(id);
    if (home === undefined) return undefined;
    if (isExpired(home, nowMs)) {
      this.#homes.delete(id);
      return undefined;
    }
    const { target, account, cachedTokens, lastUsedMs } = home;
    const where = account === undefined ? { target } : { target, account };
    return { ...where, cachedTokens, hitProbability: hitProbabilityOf(home), lastUsedMs };
  }

  save(countMax: number, nowMs: number): SavedAffinity[] {
    const newest = this.#homes.newest(countMax).filter(([, home]) => !isExpired(home, nowMs));
    return newest.map(([id, { target, account, cachedTokens, confirmed, misses, lastUsedMs, ttlMs }]) => {
      const known = [id, target, cachedTokens, confirmed, misses, lastUsedMs, ttlMs] as const;
      return account === undefined ? [...known] : [...known, account];
    });
  }

  /** Where both know a conversation, its later use counts. */
  restore(saved: SavedAffinity[], nowMs: number): void {
    for (const [id, name, cachedTokens, confirmed, misses, usedMs, ttlMs, account] of saved) {
      // A clock that was set back would otherwise leave homes that never expire.
      const lastUsedMs = Math.min(usedMs, nowMs);
      if ((this.#homes.peek(id)?.lastUsedMs ?? -1) >= lastUsedMs) continue;
      const target = this.#names.touch(name, () => name);
      const home = this.#homes.touch(id, () => newHome({ target, account }, nowMs));
      Object.assign(home, { target, account, cachedTokens, confirmed, misses, lastUsedMs, ttlMs });
    }
  }
}

function newHome(where: Pick<Home, "target" | "account">, nowMs: number): Home {
  return { ...where, cachedTokens: 0, confirmed: false, misses: 0, lastUsedMs: nowMs, ttlMs: 0 };
}

function isExpired({ lastUsedMs, ttlMs }: Home, nowMs: number): boolean {
  return nowMs - lastUsedMs > ttlMs;
}

function hitProbabilityOf({ confirmed, misses }: Home): number {
  if (misses >= MISSES_MAX) return 0;
  return confirmed ? 0.9 : 0.5;
}

/** A provider that bills writes says what is cached now. One that does not caches by itself, if at all: then the whole
 *  prompt is what the next turn may find. */
function cachedTokensOf(usage: Usage | undefined): number | undefined {
  const { cacheReadTokens: read, cacheWriteTokens: write, cacheWrite1hTokens: write1h, inputTokens } = usage ?? {};
  if (write === undefined && write1h === undefined) return inputTokens ?? read;
  return (read ?? 0) + (write ?? 0) + (write1h ?? 0);
}
