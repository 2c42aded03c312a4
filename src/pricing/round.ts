// The one way numbers are rounded where money is concerned: a half goes to the even neighbour. Nothing here is negative.

/** `a × b / unit`; exact for integers of any size. */
export function roundedProduct(a: number, b: number, unit: number): number {
  const product = a * b;
  return Number.isSafeInteger(product) ? rounded(product, unit) : roundedBig(BigInt(a) * BigInt(b), unit);
}

/** `value / unit`, for an integer that is safe. */
export function rounded(value: number, unit: number): number {
  const rest = value % unit;
  const whole = (value - rest) / unit;
  return rest * 2 > unit || (rest * 2 === unit && whole % 2 === 1) ? whole + 1 : whole;
}

/** `value / unit`, for an integer of any size. */
export function roundedBig(value: bigint, unit: number): number {
  const by = BigInt(unit);
  const whole = value / by;
  const twice = (value % by) * 2n;
  return Number(twice > by || (twice === by && whole % 2n === 1n) ? whole + 1n : whole);
}
