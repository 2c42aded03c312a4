// Request ids begin with their time (src/ids.ts makes them), so a stretch of time is a range of primary keys.

const PREFIX = "req_";
const TIME_DIGITS = 12;

/** Sorts before every id made at `ms` or later, and after every id made before. Ids of another form are in no range
 *  between two of these. */
export function firstIdAt(ms: number): string {
  return PREFIX + Math.max(0, Math.floor(ms)).toString(16).padStart(TIME_DIGITS, "0");
}

/** The time an id begins with. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(PREFIX.length, PREFIX.length + TIME_DIGITS), 16);
}
