// The section `pools` of signalbox.yaml: what the operator knows of the accounts' limits.
import { z } from "zod";
import { nearest } from "./nearest.ts";
import { durationMs, tokenCount } from "./units.ts";
import type { Checked, FileError } from "./yaml.ts";

/** Per minute, or per day where the name says so. */
export interface PoolSettings {
  name: string;
  /** Patterns on `provider/model`. */
  targets: string[];
  requests: number | undefined;
  tokens: number | undefined;
  inputTokens: number | undefined;
  outputTokens: number | undefined;
  requestsPerDay: number | undefined;
  tokensPerDay: number | undefined;
  concurrency: number | undefined;
  burstMs: number | undefined;
}

const COUNT = tokenCount.refine((count) => count > 0, "expected more than 0");

const POOL = z
  .strictObject({
    targets: z.array(z.string().min(1)).min(1),
    rpm: COUNT.optional(),
    tpm: COUNT.optional(),
    itpm: COUNT.optional(),
    otpm: COUNT.optional(),
    rpd: COUNT.optional(),
    tpd: COUNT.optional(),
    concurrency: z.int().min(1).optional(),
    burst: durationMs.refine((ms) => ms >= 1_000 && ms <= 60_000, "expected a duration from 1s to 60s").optional(),
  })
  .refine(({ targets: _, burst: __, ...limits }) => Object.values(limits).some((limit) => limit !== undefined), {
    message: "a pool needs a limit: rpm, tpm, itpm, otpm, rpd, tpd or concurrency",
  });

export const POOLS = z.record(z.string().min(1).max(100), POOL).prefault({});

/** `ids`: providers that exist, enabled or not. */
export function poolsOf(
  read: Checked<{ pools: z.output<typeof POOLS> }>,
  ids: readonly string[],
  errors: FileError[],
): PoolSettings[] {
  return Object.entries(read.value.pools).map(([name, pool]) => {
    for (const [at, pattern] of pool.targets.entries()) {
      const [provider = ""] = pattern.split("/");
      if (provider.includes("*") || ids.includes(provider)) continue;
      const close = nearest(provider, ids, 3);
      const hint = close.length === 0 ? "" : ` Did you mean ${close.join(" or ")}?`;
      const message = `pools.${name}.targets[${at}]: there is no provider "${provider}".${hint} Expected a pattern on provider/model such as openai/gpt-*.`;
      errors.push(read.at(["pools", name, "targets", at], message));
    }
    const { targets, rpm, tpm, itpm, otpm, rpd, tpd, concurrency, burst } = pool;
    return {
      name,
      targets,
      requests: rpm,
      tokens: tpm,
      inputTokens: itpm,
      outputTokens: otpm,
      requestsPerDay: rpd,
      tokensPerDay: tpd,
      concurrency,
      burstMs: burst,
    };
  });
}
