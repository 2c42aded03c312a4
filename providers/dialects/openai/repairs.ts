// What was found that a provider does not take, applied to a body on its way out.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";

/** The output limit under its other name. */
export const SWAP_OUTPUT_LIMIT = "swap:output_limit";
/** The provider has two routes, and the model is on the other one. */
export const OTHER_ROUTE = "other_route";
/** Followed by a field, or by a member of messages or tools: `drop:messages[].name`. */
export const DROP = "drop:";

/** Leaves out what earlier answers asked to leave out. */
export function applyRepairs(body: JsonObject, repairs: readonly string[], report: Report): void {
  for (const token of repairs.filter((one) => one.startsWith(DROP))) {
    const place = token.slice(DROP.length);
    const [list, path] = place.split("[].");
    const isGone = path === undefined ? dropField(body, place) : dropInside(body, list ?? "", path.split("."));
    if (isGone) report.note("dropped", place);
  }
}

function dropField(body: JsonObject, field: string): boolean {
  if (body[field] === undefined) return false;
  const isLoss = body[field] !== null && field !== "stream_options";
  delete body[field];
  return isLoss;
}

/** The items are the caller's own, so they are replaced, not changed. */
function dropInside(body: JsonObject, list: string, path: string[]): boolean {
  if (!Array.isArray(body[list])) return false;
  const items = objectsIn(body[list]);
  const changed = items.map((item) => withoutPath(item, path));
  body[list] = changed;
  return changed.some((item, index) => item !== items[index]);
}

function withoutPath(holder: JsonObject, [key, ...rest]: string[]): JsonObject {
  if (key === undefined || holder[key] === undefined) return holder;
  if (rest.length === 0) {
    const { [key]: _, ...others } = holder;
    return others;
  }
  const inner = holder[key];
  if (!isObject(inner)) return holder;
  const changed = withoutPath(inner, rest);
  return changed === inner ? holder : { ...holder, [key]: changed };
}
