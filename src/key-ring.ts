// The keys in memory, found by the hash of their secret in one look. Notices what other processes change.
import { type ApiKey, KEYS_MAX, statusOf } from "./api-keys.ts";
import { parseBudget } from "./budget-spec.ts";
import type { Caller } from "./routing/facts.ts";
import { globMatcher } from "./routing/glob.ts";
import { modelMatcher } from "./routing/key-models.ts";
import type { KeyReader, StoredKey } from "./store/keys.ts";

/** Whose secret it is. */
export type FoundKey =
  | { kind: "caller"; caller: Caller; mayUseEndpoint(path: string): boolean; key: ApiKey }
  | { kind: "expired"; key: ApiKey; atMs: number }
  | { kind: "rotated"; key: ApiKey; atMs: number }
  | { kind: "revoked"; key: ApiKey; atMs: number };

export interface KeyRing {
  /** By the hash of a secret; `undefined`: nobody's. */
  find(secretHash: Buffer): FoundKey | undefined;
  /** Whether there is a key of this id, revoked or not, as far as was read. */
  has(id: string): boolean;
  /** Whether a key was ever made: then nobody is served without one. */
  readonly isEmpty: boolean;
  /** Reads what has changed now, instead of within CHECK_MS. */
  refresh(): void;
  /** `failed`: why changes are not noticed at present, if they are not. */
  status(): { keys: number; failed?: string };
}

export interface KeyRingOptions {
  reader: Pick<KeyReader, "version" | "changedSince">;
  nowMs(): number;
  log(message: string): void;
}

/** What other processes change is noticed by the first request that comes so long after the last look. */
const CHECK_MS = 100;

interface Entry {
  stored: StoredKey;
  /** Made for the first request that comes with it. */
  key: ApiKey | undefined;
  caller: Extract<FoundKey, { kind: "caller" }> | undefined;
}

/** Throws when the keys cannot be read at first; later the ring goes on with those it knows, and says so. */
export function createKeyRing(options: KeyRingOptions): KeyRing {
  return new MirroredKeys(options);
}

class MirroredKeys implements KeyRing {
  readonly #options: KeyRingOptions;
  readonly #byHash = new Map<string, Entry>();
  readonly #byId = new Map<string, Entry>();
  #known = { version: -1, deletions: -1 };
  #checkedAtMs: number;
  #failure: string | undefined;

  constructor(options: KeyRingOptions) {
    this.#options = options;
    this.#checkedAtMs = options.nowMs();
    this.#read();
  }

  find(secretHash: Buffer): FoundKey | undefined {
    const hash = secretHash.toString("hex");
    // A key that is not known may have been made a moment ago.
    if (this.#isDue() || !this.#byHash.has(hash)) this.refresh();
    const entry = this.#byHash.get(hash);
    return entry && judge(entry, hash, this.#options.nowMs());
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  get isEmpty(): boolean {
    if (this.#isDue()) this.refresh();
    return this.#byId.size === 0;
  }

  refresh(): void {
    this.#checkedAtMs = this.#options.nowMs();
    try {
      this.#read();
      if (this.#failure !== undefined) this.#options.log("Changes of keys are noticed again.");
      this.#failure = undefined;
    } catch (error) {
      // Serving nobody because the disk is in trouble would be worse than serving those who were known a moment ago.
      const reason = `the keys cannot be read, the router goes on with those it knows: ${(error as Error).message}`;
      if (this.#failure === undefined) this.#options.log(reason);
      this.#failure = reason;
    }
  }

  status(): { keys: number; failed?: string } {
    return { keys: this.#byId.size, ...(this.#failure === undefined ? {} : { failed: this.#failure }) };
  }

  #isDue(): boolean {
    const sinceMs = this.#options.nowMs() - this.#checkedAtMs;
    // Clocks may be set back.
    return sinceMs >= CHECK_MS || sinceMs < 0;
  }

  #read(): void {
    const { reader } = this.#options;
    const { version, deletions } = reader.version();
    if (version === this.#known.version && deletions === this.#known.deletions) return;
    // Keys were deleted, or the database was replaced by an older one.
    const isAnew = deletions !== this.#known.deletions || version < this.#known.version;
    const changed = reader.changedSince(isAnew ? -1 : this.#known.version);
    if (isAnew) {
      this.#byHash.clear();
      this.#byId.clear();
    }
    for (const stored of changed) this.#put(stored);
    this.#known = { version, deletions };
  }

  #put(stored: StoredKey): void {
    const before = this.#byId.get(stored.id);
    if (before !== undefined) this.#forget(before);
    const entry: Entry = { stored, key: undefined, caller: undefined };
    this.#byId.set(stored.id, entry);
    for (const hash of hashesOf(stored)) this.#byHash.set(hash, entry);
    if (this.#byId.size <= KEYS_MAX) return;
    // The table has deleted a revoked one for it, without a word.
    const oldest = this.#byId.values().find((known) => known.stored.isRevoked);
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget({ stored }: Entry): void {
    this.#byId.delete(stored.id);
    for (const hash of hashesOf(stored)) this.#byHash.delete(hash);
  }
}

function hashesOf({ hash, previousHash }: StoredKey): string[] {
  return previousHash === undefined ? [hash] : [hash, previousHash];
}

function judge(entry: Entry, hash: string, nowMs: number): FoundKey {
  entry.key ??= entry.stored.read();
  const { key } = entry;
  if (key.revokedAtMs !== undefined) return { kind: "revoked", key, atMs: key.revokedAtMs };
  const { previousUntilMs = 0, expiresAtMs = 0 } = key;
  if (statusOf(key, nowMs) === "expired") return { kind: "expired", key, atMs: expiresAtMs };
  if (hash !== entry.stored.hash && previousUntilMs <= nowMs) return { kind: "rotated", key, atMs: previousUntilMs };
  entry.caller ??= admit(key);
  return entry.caller;
}

function admit(key: ApiKey): Extract<FoundKey, { kind: "caller" }> {
  const { rpm, tpm, concurrency, team, organisation } = key;
  const caller: Caller = {
    key: key.name,
    keyId: key.id,
    ...(team === undefined ? {} : { team }),
    ...(organisation === undefined ? {} : { organisation }),
    tags: key.tags,
    keyTags: key.tags,
    ...(key.models === undefined ? {} : { models: modelMatcher(key.models) }),
    budgets: key.budgets.map(parseBudget).filter((budget) => budget !== undefined),
    allowUnpriced: key.allowUnpriced,
    limits: { rpm, tpm, concurrency },
  };
  return { kind: "caller", caller, mayUseEndpoint: globMatcher(key.endpoints), key };
}
