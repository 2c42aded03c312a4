// What Anthropic refuses about cache breakpoints.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { invalid, noExtras, oneOf } from "./anthropic-words.ts";
import { given, type Violations } from "./check.ts";

const breakpointsMax = 4;

export function* cacheViolations(body: JsonObject): Violations {
  const marked = breakpoints(body);
  for (const { path, control } of marked) {
    yield* oneOf(`${path}.cache_control.type`, control.type, ["ephemeral"]);
    yield* noExtras(`${path}.cache_control.ephemeral`, control, ["type", "ttl"]);
    if (given(control.ttl)) yield* oneOf(`${path}.cache_control.ephemeral.ttl`, control.ttl, ["5m", "1h"]);
  }
  if (marked.length > breakpointsMax) {
    yield invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${marked.length}.`);
  }
  const firstShort = marked.findIndex(({ control }) => control.ttl !== "1h");
  const late = marked.find(({ control }, index) => control.ttl === "1h" && firstShort !== -1 && index > firstShort);
  if (late !== undefined) {
    const rule = "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.";
    const order = "Note that blocks are processed in the following order: `tools`, `system`, `messages`.";
    yield invalid(`${late.path}.cache_control.ttl: ${rule} ${order}`);
  }
}

interface Breakpoint {
  path: string;
  control: JsonObject;
}

/** In the order in which the prompt is built; the automatic one at the top level counts, and comes last. */
function breakpoints(body: JsonObject): Breakpoint[] {
  const found: Breakpoint[] = [];
  const look = (block: JsonObject, path: string) => {
    if (isObject(block.cache_control)) found.push({ path, control: block.cache_control });
  };
  for (const [at, tool] of objectsIn(body.tools).entries()) look(tool, `tools.${at}`);
  for (const [at, block] of objectsIn(body.system).entries()) look(block, `system.${at}`);
  for (const [index, message] of objectsIn(body.messages).entries()) {
    for (const [at, block] of objectsIn(message.content).entries()) look(block, `messages.${index}.content.${at}`);
  }
  if (isObject(body.cache_control)) found.push({ path: "", control: { ttl: "5m", ...body.cache_control } });
  return found;
}
