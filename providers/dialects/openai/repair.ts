// What to leave out when a provider names a field it does not take: learned from its answer, one field at a time.
import type { JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Repair } from "../../../src/dialect.ts";
import { isObject, objectsIn } from "../../../src/json.ts";
import { Report } from "../report.ts";
import { toBody } from "./encode.ts";
import { forModel, type OpenAiChatProfile } from "./profile.ts";
import { DROP, OTHER_ROUTE, SWAP_OUTPUT_LIMIT } from "./repairs.ts";

/** Without these there is no request, or not the answer that was asked for. */
const NEVER = ["model", "messages", "tools", "response_format", "stream"];
/** What a message, a tool and its function cannot be without. */
const NEVER_INSIDE =
  /^messages\[\]\.(role|content|tool_calls|tool_call_id)$|^tools\[\]\.(type|function(\.name|\.parameters)?)$/;
const LISTS = ["messages", "tools"];

const WRONG_ROUTE = /isn't supported on this route/i;
/** Such a sentence is about every value the caller could send. */
const ONLY_DEFAULT = /only the default/i;

export function repair(error: ProviderError, call: Call, base: OpenAiChatProfile): Repair | undefined {
  const made = call.repairs ?? [];
  if (WRONG_ROUTE.test(error.message) && hasOtherRoute(call, base)) {
    return fresh({ token: OTHER_ROUTE, isLasting: true }, made);
  }
  const status = error.status ?? 0;
  // Strict callers are told instead.
  if (error.kind !== "unsupported" || status < 400 || status > 499 || call.request.strict) return undefined;
  const { body } = toBody(call, forModel(base, call.target.model), new Report(false));
  const place = placeOf(error.param ?? "", body);
  if (place === undefined) return undefined;
  const isValue = error.code === "unsupported_value" && !ONLY_DEFAULT.test(error.message);
  const isLimit = place === "max_tokens" || place === "max_completion_tokens";
  const swap = isLimit ? fresh({ token: SWAP_OUTPUT_LIMIT, isLasting: true }, made) : undefined;
  return swap ?? fresh({ token: DROP + place, isLasting: !isValue }, made);
}

function hasOtherRoute({ target }: Call, { path }: OpenAiChatProfile): boolean {
  return path(target, true) !== path(target, false);
}

function fresh(repair: Repair, made: readonly string[]): Repair | undefined {
  return made.includes(repair.token) ? undefined : repair;
}

/** `temperature`, `messages[].name`, `tools[].function.strict`; `undefined` when the body does not hold it. */
function placeOf(named: string, body: JsonObject): string | undefined {
  const steps = named.split(/[.[\]]+/).filter((step) => step !== "" && step !== "body" && !/^\d+$/.test(step));
  const key = sameName(steps.at(-1) ?? "");
  if (key === "") return undefined;
  const field = Object.keys(body).find((one) => sameName(one) === key);
  const isTop = steps.length === 1 || !LISTS.includes(steps[0] ?? "");
  if (isTop && field !== undefined) return NEVER.includes(field) ? undefined : field;
  return LISTS.flatMap((list) => placesIn(list, body[list])).find((place) => sameName(lastStep(place)) === key);
}

function lastStep(place: string): string {
  return place.slice(place.lastIndexOf(".") + 1);
}

/** Names come back in camel case from some. */
function sameName(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

/** Members of messages and tools that can be done without. */
function placesIn(list: string, items: unknown): string[] {
  return objectsIn(items).flatMap((item) => {
    const inside = isObject(item.function) ? Object.keys(item.function).map((key) => `function.${key}`) : [];
    const places = [...Object.keys(item), ...inside].map((place) => `${list}[].${place}`);
    return places.filter((place) => !NEVER_INSIDE.test(place));
  });
}
