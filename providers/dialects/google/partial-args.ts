// Function calls whose arguments arrive in pieces (`streamFunctionCallArguments` on Vertex). We never ask for them,
// but a call must not lose its arguments when a proxy does.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";

/** A call under construction. */
export interface OpenCall {
  id: unknown;
  name: string;
  signature: unknown;
  args: JsonObject;
}

const PATH_LENGTH_MAX = 1000;
const STEPS_MAX = 32;
const INDEX_MAX = 10_000;
/** Keys that would reach into the prototype (vercel/ai#16040). */
const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

/** Adds the pieces to the arguments. Pieces with an address we do not understand are left out. */
export function addPartialArgs(args: JsonObject, partialArgs: unknown): void {
  for (const piece of objectsIn(partialArgs)) {
    const steps = stepsOf(piece.jsonPath);
    if (steps !== undefined) put(args, steps, piece);
  }
}

const STEP = /\.[^.[\]]+|\[(\d+)\]|\["[^"]*"\]|\['[^']*'\]/g;
const PATH = new RegExp(`^\\$(?:${STEP.source})+$`);

/** `$.a.b[0]["c d"]` as `["a", "b", 0, "c d"]`. */
function stepsOf(jsonPath: unknown): (string | number)[] | undefined {
  if (typeof jsonPath !== "string" || jsonPath.length > PATH_LENGTH_MAX || !PATH.test(jsonPath)) return undefined;
  const steps = [...jsonPath.slice(1).matchAll(STEP)].map(([step, position]) => {
    if (position !== undefined) return Number(position);
    return step.startsWith("[") ? step.slice(2, -2) : step.slice(1);
  });
  const isUsable = steps.every((step) => (typeof step === "number" ? step <= INDEX_MAX : !FORBIDDEN.has(step)));
  return isUsable && steps.length <= STEPS_MAX ? steps : undefined;
}

type Holder = Record<string | number, unknown>;

function put(args: JsonObject, steps: (string | number)[], piece: JsonObject): void {
  let holder = args as Holder;
  const last = steps.at(-1)!;
  for (const [i, step] of steps.entries()) {
    // Names have no place in a list, least of all `length`.
    if (Array.isArray(holder) && typeof step !== "number") return;
    if (i === steps.length - 1) break;
    if (!isHolder(holder[step])) holder[step] = typeof steps[i + 1] === "number" ? [] : {};
    holder = holder[step] as Holder;
  }
  const before = holder[last];
  if (typeof piece.stringValue === "string") {
    holder[last] = typeof before === "string" ? before + piece.stringValue : piece.stringValue;
  } else if (piece.numberValue !== undefined) holder[last] = piece.numberValue;
  else if (piece.boolValue !== undefined) holder[last] = piece.boolValue;
  else if ("nullValue" in piece) holder[last] = null;
}

function isHolder(value: unknown): value is Holder {
  return isObject(value) || Array.isArray(value);
}
