// The section `pools` of signalbox.yaml: what the operator knows of the accounts' limits, and accounts of further keys.
import { z } from "zod";
import { type Account, Secret } from "../dialect.ts";
import { nearest } from "../nearest.ts";
import { durationMs, tokenCount } from "../units.ts";
import type { Checked, FileError } from "../yaml.ts";
import { type Environment, interpolate } from "./environment.ts";

/** Per minute, or per day where the name says so. */
interface AllowanceSettings {
  requests: number | undefined;
  tokens: number | undefined;
  inputTokens: number | undefined;
  outputTokens: number | undefined;
  requestsPerDay: number | undefined;
  tokensPerDay: number | undefined;
  concurrency: number | undefined;
  burstMs: number | undefined;
}

export interface PoolSettings extends AllowanceSettings {
  name: string;
  /** Patterns on `provider/model`. */
  targets: string[];
  /** One for each of `keys`; absent where none are given. All targets are the same provider's then. */
  accounts?: (Account & { allowance: AllowanceSettings })[];
}

const KEYS_MAX = 64;

const COUNT = tokenCount.refine((count) => count > 0, "expected more than 0");

const LIMITS = {
  rpm: COUNT.optional(),
  tpm: COUNT.optional(),
  itpm: COUNT.optional(),
  otpm: COUNT.optional(),
  rpd: COUNT.optional(),
  tpd: COUNT.optional(),
  concurrency: z.int().min(1).optional(),
  burst: durationMs.refine((ms) => ms >= 1_000 && ms <= 60_000, "expected a duration from 1s to 60s").optional(),
};

/** A number would be taken for a position. */
const NAME = z
  .string()
  .regex(/^[A-Za-z][\w-]{0,39}$/, "expected a letter, then letters, digits, - and _, at most 40 characters");

const KEY = z.union(
  [z.string(), z.strictObject({ api_key: z.string(), name: NAME.optional(), ...LIMITS })],
  "expected text with the name of a variable in it, or {api_key, name, rpm, …}",
);

const POOL = z
  .strictObject({
    targets: z.array(z.string().min(1)).min(1),
    keys: z
      .array(KEY)
      .min(1, "expected at least one key")
      .max(KEYS_MAX, `expected at most ${KEYS_MAX} keys`)
      .optional(),
    ...LIMITS,
  })
  .refine(({ targets: _, burst: __, ...limits }) => Object.values(limits).some((limit) => limit !== undefined), {
    message: "a pool needs a limit: rpm, tpm, itpm, otpm, rpd, tpd or concurrency",
  });

export const POOLS = z.record(z.string().min(1).max(100), POOL).prefault({});
type FilePool = z.output<typeof POOL>;

interface Reading {
  read: Checked<{ pools: z.output<typeof POOLS> }>;
  env: Environment;
  errors: FileError[];
}

/** `ids`: providers that exist, enabled or not. */
export function poolsOf(reading: Reading, ids: readonly string[]): PoolSettings[] {
  const { read, errors } = reading;
  const pools = Object.entries(read.value.pools).map(([name, pool]): PoolSettings => {
    for (const [at, pattern] of pool.targets.entries()) {
      const provider = providerOf(pattern);
      if (provider.includes("*") || ids.includes(provider)) continue;
      const close = nearest(provider, ids, 3);
      const hint = close.length === 0 ? "" : ` Did you mean ${close.join(" or ")}?`;
      const message = `pools.${name}.targets[${at}]: there is no provider "${provider}".${hint} Expected a pattern on provider/model such as openai/gpt-*.`;
      errors.push(read.at(["pools", name, "targets", at], message));
    }
    const settings = { name, targets: pool.targets, ...allowanceOf(pool) };
    return pool.keys === undefined ? settings : { ...settings, accounts: accountsOf(reading, name, pool) };
  });
  const taken = new Set<string>();
  for (const { name, accounts } of pools) {
    for (const each of accounts?.map((account) => account.name) ?? [name]) {
      const message = `pools.${name}: "${each}" is the name of two accounts or pools; give one of them another.`;
      if (taken.has(each)) errors.push(read.at(["pools", name], message));
      taken.add(each);
    }
  }
  return pools;
}

/** The first key that a pool has for this provider: one that needs no other is on by it. */
export function keyInPools(pools: readonly PoolSettings[], provider: string): Secret | undefined {
  const pool = pools.find(({ accounts, targets }) => accounts !== undefined && providerOf(targets[0]) === provider);
  return pool?.accounts?.[0]?.key;
}

function providerOf(pattern = ""): string {
  return pattern.split("/")[0] ?? "";
}

function allowanceOf(limits: Pick<FilePool, keyof typeof LIMITS>): AllowanceSettings {
  const { rpm, tpm, itpm, otpm, rpd, tpd, concurrency, burst } = limits;
  return {
    ...{ requests: rpm, tokens: tpm, inputTokens: itpm, outputTokens: otpm },
    ...{ requestsPerDay: rpd, tokensPerDay: tpd, concurrency, burstMs: burst },
  };
}

/** Errors name positions, never what stands there: it may be a secret that was written out. */
function accountsOf({ read, env, errors }: Reading, pool: string, settings: FilePool) {
  const providers = [...new Set(settings.targets.map(providerOf))];
  if (providers.length > 1 || providers[0]?.includes("*")) {
    const message = `pools.${pool}.targets: a pool with keys is of one provider; found ${providers.join(", ")}. Make a pool for each.`;
    errors.push(read.at(["pools", pool, "targets"], message));
  }
  const seen = new Map<string, number>();
  return (settings.keys ?? []).map((given, at) => {
    const { api_key: text, name = String(at + 1), ...own } = typeof given === "string" ? { api_key: given } : given;
    const key = keyOf(text, env);
    const earlier = "text" in key ? seen.get(key.text) : undefined;
    const twice =
      earlier === undefined ? undefined : `is the same key as keys[${earlier}]; each is an account of its own`;
    const problem = "problem" in key ? key.problem : twice;
    if (problem !== undefined)
      errors.push(read.at(["pools", pool, "keys", at], `pools.${pool}.keys[${at}]: ${problem}.`));
    if ("text" in key) seen.set(key.text, at);
    const secret = new Secret("text" in key ? key.text : "");
    return { name: `${pool}#${name}`, key: secret, allowance: allowanceOf({ ...settings, ...own }) };
  });
}

function keyOf(text: string, env: Environment): { text: string } | { problem: string } {
  const filled = interpolate(text, env) ?? { value: "" };
  if ("missing" in filled) return { problem: `the environment variable ${filled.missing} is not set` };
  return filled.value === "" ? { problem: "expected a key; found nothing" } : { text: filled.value };
}
