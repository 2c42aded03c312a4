// Quantities as people write them in YAML: 30s, 32MB, 128k, $2.50.
import { z } from "zod";

const DURATION_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES = { B: 1, KB: 1_024, MB: 1_024 ** 2, GB: 1_024 ** 3 };
const COUNT = { "": 1, k: 1_000, M: 1_000_000 };

/** `250ms`, `30s`, `10m`, `24h`, `7d` in ms. */
export const durationMs = quantity("a duration such as 250ms, 30s, 10m, 24h or 7d", DURATION_MS);
/** `512KB`, `32MB` in bytes (powers of 1,024). */
export const sizeBytes = quantity("a size such as 512KB or 32MB", SIZE_BYTES);
/** `200000`, `128k`, `1M` tokens. */
export const tokenCount = quantity("a number of tokens such as 8000, 128k or 1M", COUNT);

/** `$2.50` per million tokens, as integer micro-dollars. Six decimals at the most, so nothing is rounded. */
export const microUsd = z.union([z.string(), z.number()]).transform((value, context) => {
  const match = /^\$?(\d{1,9})(?:\.(\d{1,6}))?$/.exec(String(value));
  if (match !== null) return Number(match[1]) * 1_000_000 + Number((match[2] ?? "").padEnd(6, "0"));
  context.addIssue({ code: "custom", message: "expected a price in dollars per million tokens such as $2.50" });
  return z.NEVER;
});

/** `15%` as a share between 0 and 1. */
export const percentage = z.string().transform((value, context) => {
  const match = /^(\d{1,3}(?:\.\d{1,4})?)\s*%$/.exec(value);
  if (match !== null && Number(match[1]) <= 100) return Number(match[1]) / 100;
  context.addIssue({ code: "custom", message: "expected a percentage such as 15%" });
  return z.NEVER;
});

/** `$0.02` as integer nanodollars. Nine decimals at the most, so nothing is rounded. */
export const nanoUsd = z.union([z.string(), z.number()]).transform((value, context) => {
  const match = /^\$?(\d{1,6})(?:\.(\d{1,9}))?$/.exec(String(value));
  if (match !== null) return Number(match[1]) * 1_000_000_000 + Number((match[2] ?? "").padEnd(9, "0"));
  context.addIssue({ code: "custom", message: "expected an amount in dollars such as $0.02" });
  return z.NEVER;
});

/** A duration on the command line; `undefined` when it is none. */
export function parseDurationMs(text: string): number | undefined {
  const parsed = durationMs.safeParse(text);
  return parsed.success ? parsed.data : undefined;
}

function quantity(expected: string, units: Record<string, number>) {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(String(value));
    const unit = match === null || !Object.hasOwn(units, match[2] ?? "") ? undefined : units[match[2] ?? ""];
    if (match !== null && unit !== undefined) return Math.round(Number(match[1]) * unit);
    context.addIssue({ code: "custom", message: `expected ${expected}` });
    return z.NEVER;
  });
}
