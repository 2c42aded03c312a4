// What a provider says it charged for a call, in nanodollars.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";
import type { Charged } from "./profile.ts";

/** `undefined`: not told, or only a part of it. */
export function chargedNanoUsd(usage: JsonObject, charged: Charged | undefined): number | undefined {
  if (charged === undefined) return undefined;
  const { path, unit, elsewhere } = charged;
  const here = nanoUsd(at(usage, path), EXPONENT[unit]);
  if (here === undefined || elsewhere === undefined || usage[elsewhere.when] !== true) return here;
  const there = nanoUsd(at(usage, elsewhere.path), EXPONENT[unit]);
  return there === undefined ? undefined : here + there;
}

/** Nanodollars as a power of ten of the unit. */
const EXPONENT = { usd: 9, usd_ticks: -1 } as const;

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce((found, name) => (isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined), value);
}

const DIGITS_MAX = 30;

/**
 * A decimal, as text or as the number JSON made of it (whose shortest text is what was sent, up to 15 digits), moved by
 * powers of ten without becoming a fraction: `0.00014` dollars are 140,000 nanodollars. Half-even below one.
 */
function nanoUsd(told: unknown, exponent: number): number | undefined {
  if (typeof told !== "number" && typeof told !== "string") return undefined;
  const match = /^(\d{1,15})(?:\.(\d{1,30}))?(?:e([+-]?\d{1,2}))?$/i.exec(String(told));
  if (match === null) return undefined;
  const [, whole = "", fraction = "", power = "0"] = match;
  const digits = BigInt(whole + fraction);
  const shift = exponent + Number(power) - fraction.length;
  if (Math.abs(shift) > DIGITS_MAX * 2) return undefined;
  const nano = Number(shift >= 0 ? digits * 10n ** BigInt(shift) : halfEven(digits, 10n ** BigInt(-shift)));
  return Number.isSafeInteger(nano) ? nano : undefined;
}

function halfEven(digits: bigint, unit: bigint): bigint {
  const floor = digits / unit;
  const twice = (digits % unit) * 2n;
  return twice > unit || (twice === unit && floor % 2n === 1n) ? floor + 1n : floor;
}
