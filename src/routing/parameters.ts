// What a rule does to the parameters of a request: values that replace the caller's, bounds, defaults.
import type { ChatBody } from "../chat.ts";
import type { SetEntry } from "./schema.ts";

/** The two names of the output limit are one parameter: a bound on either holds for both. */
const OUTPUT_LIMITS = ["max_tokens", "max_completion_tokens"];

/** The body with the rule's parameters, and tokens for `x-signalbox-warnings`. The caller's body is not touched. */
export function applySet(body: ChatBody, set: SetEntry): { body: ChatBody; warnings: string[] } {
  const warnings: string[] = [];
  if (Object.keys(set).length === 0) return { body, warnings };
  const changed: ChatBody = { ...body };
  for (const [field, entry] of Object.entries(set)) {
    for (const name of namesOf(field, changed)) {
      const before = changed[name];
      const after = valueFor(before, entry);
      if (after === undefined || after === before) continue;
      changed[name] = after;
      if (before !== undefined && before !== null) warnings.push(`clamped:${name}=${shown(before)}->${shown(after)}`);
    }
  }
  return { body: changed, warnings };
}

/** The name the caller used; the rule's own where the caller said nothing. */
function namesOf(field: string, body: ChatBody): string[] {
  if (!OUTPUT_LIMITS.includes(field)) return [field];
  const used = OUTPUT_LIMITS.filter((name) => body[name] !== undefined && body[name] !== null);
  return used.length === 0 ? [field] : used;
}

function valueFor(before: unknown, entry: SetEntry[string]): unknown {
  if (typeof entry !== "object" || Array.isArray(entry)) return entry;
  const { min, max } = entry;
  const isBounded = min !== undefined || max !== undefined;
  // What is no number (some hosts take "9999") would slip past a bound.
  const told = isBounded && typeof before !== "number" ? undefined : before;
  // A bound also holds where the caller set none: "at most 4096" must not mean "or as much as the model has".
  const value = told ?? entry.default ?? max ?? (before === undefined ? undefined : min);
  if (typeof value !== "number") return value;
  return Math.min(max ?? Number.POSITIVE_INFINITY, Math.max(min ?? Number.NEGATIVE_INFINITY, value));
}

function shown(value: unknown): string {
  return typeof value === "object" ? "…" : String(value).slice(0, 40);
}
