// What a caller's key is: the settings an operator gives it, checked; its state; and how it is shown.
import { hash } from "node:crypto";
import { z } from "zod";
import { BUDGET_EXPECTED, parseBudget } from "./budget-spec.ts";
import { parseDurationMs } from "./units.ts";

/** Times in ms since 1970. `undefined` models, endpoints and limits: all of them, without a limit. */
export interface ApiKey {
  id: string;
  /** Unique among the keys that are not revoked. */
  name: string;
  /** The first characters of the secret. */
  display: string;
  team: string | undefined;
  organisation: string | undefined;
  tags: string[];
  models: string[] | undefined;
  endpoints: string[] | undefined;
  /** As people write them: "$5/day". */
  budgets: string[];
  /** May call models whose price is not known, though it has a budget. */
  allowUnpriced: boolean;
  rpm: number | undefined;
  tpm: number | undefined;
  concurrency: number | undefined;
  createdAtMs: number;
  expiresAtMs: number | undefined;
  revokedAtMs: number | undefined;
  /** The secret before the last rotation is good until then. */
  previousUntilMs: number | undefined;
}

/** What can be set and changed. */
export type KeySettings = Omit<ApiKey, "id" | "display" | "createdAtMs" | "revokedAtMs" | "previousUntilMs">;

/** Why a key cannot be made or changed; `message` is for the operator. */
export interface KeyRefusal {
  refused: "name_taken" | "too_many" | "not_found" | "revoked" | "busy";
  message: string;
}

export const KEYS_MAX = 100_000;
/** A replaced secret that stays good for longer is one that was not replaced. */
export const GRACE_MS_MAX = 365 * 86_400_000;
export const SECRET_PREFIX = "sk-sb-";
const SECRET_CHARS = 40;
const DISPLAY_CHARS = SECRET_PREFIX.length + 4;

/** A new secret out of random letters and digits: 238 bits. */
export function newSecret(randomText: (length: number) => string): string {
  return SECRET_PREFIX + randomText(SECRET_CHARS);
}

export function displayOf(secret: string): string {
  return `${secret.slice(0, DISPLAY_CHARS)}…`;
}

/** SHA-256: what is stored and looked up. Secrets are random, so no salt and no slow hash are needed. */
export function hashOf(secret: string): Buffer {
  return hash("sha256", secret, "buffer");
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}$/;
const GROUP = /^[\p{L}\p{N}](?:[\p{L}\p{N} ._:@/-]{0,62}[\p{L}\p{N}._:@/-])?$/u;
export const TAG = /^[A-Za-z0-9._:/-]{1,64}$/;
export const TAG_EXPECTED = "1 to 64 characters of A-Z a-z 0-9 . _ : / -";
export const TAGS_MAX = 10;
const MODEL = /^[^\s,]{1,256}$/;
const ENDPOINT = /^\/v1\/[\w.*/-]{1,100}$/;
/** What the ledger calls callers without a key of their own. */
const RESERVED = ["local", "default", "unknown"];

const name = z
  .string()
  .regex(NAME, "expected 1 to 64 letters, digits and . _ : @ / -, a letter or digit first")
  .refine((text) => !RESERVED.includes(text), `${RESERVED.join(", ")} are reserved names`)
  .refine((text) => !text.startsWith("key_"), "names that begin with key_ would be taken for ids");
const group = z.string().regex(GROUP, "expected 1 to 64 letters, digits, spaces and . _ : @ / -");
const limit = (max: number) => z.int().min(1).max(max).nullable();

/** The body of a new key, and of each change of one; `null` is "none" or "all". Checked further by `settingsOf`. */
const FIELDS = {
  name,
  team: group.nullable(),
  organisation: group.nullable(),
  tags: z.array(z.string().regex(TAG, `expected ${TAG_EXPECTED}`)).max(TAGS_MAX),
  expires: z
    .string()
    .describe(
      "In how long (30d, 12h), or when (2027-01-31, 2027-01-31T12:00:00Z); a date without a time begins in UTC.",
    )
    .nullable(),
  models: z
    .array(z.string().regex(MODEL, "expected a model's name; * stands for any characters"))
    .min(1)
    .max(100)
    .describe("Patterns: with a slash for provider/model, without one for models and aliases. null: all.")
    .nullable(),
  endpoints: z
    .array(z.string().regex(ENDPOINT, "expected a path such as /v1/chat/completions; * stands for any characters"))
    .min(1)
    .max(20)
    .describe("Paths; * stands for any characters. null: all.")
    .nullable(),
  rpm: limit(1_000_000).describe("Requests per minute."),
  tpm: limit(1_000_000_000).describe("Tokens per minute."),
  concurrency: limit(10_000).describe("Requests at the same time."),
  budgets: z
    .array(z.string().refine((text) => parseBudget(text) !== undefined, `expected ${BUDGET_EXPECTED}`))
    .max(10)
    .describe(BUDGET_EXPECTED),
  allow_unpriced: z.boolean().describe("May call models without a known price, though it has a budget."),
};

export const KEY_CHANGES = z.strictObject(FIELDS).partial();
export const NEW_KEY = KEY_CHANGES.required({ name: true });
export type KeyChanges = z.output<typeof KEY_CHANGES>;

/** What a key is like when nothing is said of it. */
export const PLAIN_KEY: Omit<KeySettings, "name"> = {
  team: undefined,
  organisation: undefined,
  tags: [],
  models: undefined,
  endpoints: undefined,
  budgets: [],
  allowUnpriced: false,
  rpm: undefined,
  tpm: undefined,
  concurrency: undefined,
  expiresAtMs: undefined,
};

/** The settings after the changes, or what is wrong with them. `before` is a key's settings, or those of a plain one. */
export function applyChanges<Before extends Partial<KeySettings>>(
  before: Before,
  changes: KeyChanges,
  nowMs: number,
): (Before & KeySettings) | { problem: string } {
  const { expires, allow_unpriced: allowUnpriced, ...rest } = changes;
  const told = Object.entries(rest).filter(([, value]) => value !== undefined);
  const after = { ...before, ...Object.fromEntries(told.map(([field, value]) => [field, value ?? undefined])) };
  if (allowUnpriced !== undefined) after.allowUnpriced = allowUnpriced;
  if (expires === undefined) return after as Before & KeySettings;
  const expiresAtMs = expires === null ? undefined : expiryMs(expires, nowMs);
  if (Number.isNaN(expiresAtMs)) {
    const problem = `expires: expected a duration such as 30d or a date such as 2027-01-31; found "${expires?.slice(0, 50)}"`;
    return { problem };
  }
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs) {
    return {
      problem: `expires: ${new Date(expiresAtMs).toISOString()} has passed; it is ${new Date(nowMs).toISOString()}`,
    };
  }
  return { ...after, expiresAtMs } as Before & KeySettings;
}

const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** NaN when it is neither a duration nor a date. */
function expiryMs(text: string, nowMs: number): number {
  if (DATE.test(text)) return Date.parse(text);
  const ms = parseDurationMs(text);
  return ms === undefined || !Number.isSafeInteger(nowMs + ms) || nowMs + ms > 8.64e15 ? Number.NaN : nowMs + ms;
}

export type KeyStatus = "active" | "expired" | "revoked";

export function statusOf(key: ApiKey, nowMs: number): KeyStatus {
  if (key.revokedAtMs !== undefined) return "revoked";
  return key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs ? "expired" : "active";
}

const instant = z.string().meta({ format: "date-time" });
const limited = z.int().min(1).nullable();

/** A key as the command line and /admin show it. */
export const KEY_VIEW = z.strictObject({
  id: z.string(),
  name: z.string(),
  status: z.enum(["active", "expired", "revoked"]),
  display: z.string().describe("The first characters of the secret."),
  team: z.string().nullable(),
  organisation: z.string().nullable(),
  tags: z.array(z.string()),
  models: z.array(z.string()).nullable(),
  endpoints: z.array(z.string()).nullable(),
  rpm: limited,
  tpm: limited,
  concurrency: limited,
  budgets: z.array(z.string()),
  allow_unpriced: z.boolean(),
  created_at: instant,
  expires_at: instant.nullable(),
  revoked_at: instant.nullable(),
  previous_secret_until: instant.nullable().describe("The secret before the last rotation is good until then."),
});

export function viewOf(key: ApiKey, nowMs: number): z.output<typeof KEY_VIEW> {
  const { id, display, tags, budgets } = key;
  return {
    id,
    name: key.name,
    status: statusOf(key, nowMs),
    display,
    team: key.team ?? null,
    organisation: key.organisation ?? null,
    tags,
    models: key.models ?? null,
    endpoints: key.endpoints ?? null,
    rpm: key.rpm ?? null,
    tpm: key.tpm ?? null,
    concurrency: key.concurrency ?? null,
    budgets,
    allow_unpriced: key.allowUnpriced,
    created_at: new Date(key.createdAtMs).toISOString(),
    expires_at: isoOf(key.expiresAtMs),
    revoked_at: isoOf(key.revokedAtMs),
    previous_secret_until: isoOf(key.previousUntilMs),
  };
}

function isoOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
