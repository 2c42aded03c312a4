// Forgetting without a timer.

/** What is left of `value` after `elapsedMs`. A clock that was set back leaves it as it is. */
export function decayed(value: number, elapsedMs: number, halfLifeMs: number): number {
  return elapsedMs <= 0 ? value : value * 2 ** (-elapsedMs / halfLifeMs);
}
