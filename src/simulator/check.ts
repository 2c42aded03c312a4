// The few words the three validators share.
import type { Call, Fault } from "./face.ts";

/** Violations in the order a provider would notice them. Only the first one is ever told, so they are found lazily. */
export type Violations = Generator<Fault, void, undefined>;

/** A validator from a generator of violations. */
export function firstOf(check: (call: Call) => Violations): (call: Call) => Fault | undefined {
  return (call) => {
    for (const fault of check(call)) return fault;
    return undefined;
  };
}

/** Absent as these APIs see it: `null` counts as not given. */
export function given(value: unknown): boolean {
  return value !== undefined && value !== null;
}

export function isInteger(value: unknown): value is number {
  return Number.isInteger(value);
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}
