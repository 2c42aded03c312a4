// Decimal dollars, as price lists write them, into the integers the router counts with.

/** Dollars per million tokens → micro-dollars per million tokens. Finer prices are rounded half-even and say so. */
export function microUsd(usd: number): { micro: number; rounded: boolean } {
  // Twelve significant digits: enough for every list price, too few for the noise of binary floats to show.
  const [mantissa, exponent] = usd.toExponential(11).split("e") as [string, string];
  const digits = BigInt(mantissa.replace(".", ""));
  const shift = Number(exponent) - 11 + 6;
  if (shift >= 0) return { micro: Number(digits * 10n ** BigInt(shift)), rounded: false };
  const unit = 10n ** BigInt(-shift);
  const floor = digits / unit;
  const rest = digits % unit;
  const up = rest * 2n > unit || (rest * 2n === unit && floor % 2n === 1n);
  return { micro: Number(up ? floor + 1n : floor), rounded: rest !== 0n };
}
