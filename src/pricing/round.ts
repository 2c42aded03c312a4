// The one way numbers are rounded where money is concerned.

/** `value / unit`, a half to the even neighbour. Neither is negative. */
export function roundedQuotient(value: bigint, unit: bigint): bigint {
  const whole = value / unit;
  const twice = (value % unit) * 2n;
  return twice > unit || (twice === unit && whole % 2n === 1n) ? whole + 1n : whole;
}
