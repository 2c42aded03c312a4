// What a caller says of itself, for the ledger: tags, its end user, its application, the conversation. None of it decides
// who pays, and no header of it reaches a provider.
import { TAG, TAG_EXPECTED, TAGS_MAX } from "../api-keys.ts";
import type { ChatBody } from "../chat.ts";
import type { CallerError } from "../dialect.ts";
import type { GatewayInput } from "../gateway.ts";
import { firstText, isObject } from "../json.ts";
import { callerError } from "./context.ts";

type Header = (name: string) => string | undefined;

export const TAGS_HEADER = "x-signalbox-tags";

/** The tags of the request; an error where one is malformed. Whoever sends none spends nothing on it. */
export function tagsOf(header: Header): string[] | CallerError {
  const text = header(TAGS_HEADER);
  if (text === undefined) return [];
  const tags = text
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
  const bad = tags.find((tag) => !TAG.test(tag));
  if (bad !== undefined) {
    const message = `Invalid '${TAGS_HEADER}': the tag '${bad.slice(0, 64)}' is not allowed; expected ${TAG_EXPECTED}.`;
    return callerError(400, message, "invalid_value", TAGS_HEADER);
  }
  const distinct = [...new Set(tags)];
  if (distinct.length <= TAGS_MAX) return distinct;
  const message = `Invalid '${TAGS_HEADER}': at most ${TAGS_MAX} tags are taken; found ${distinct.length}.`;
  return callerError(400, message, "invalid_value", TAGS_HEADER);
}

/**
 * `user`: OpenAI's `user`, its successor `safety_identifier`, or `metadata.user_id`. `app`: the title by which OpenRouter's
 * clients name themselves, else the site they come from. `session`: the headers and the field that also keep a conversation
 * at its warm cache, or `metadata.session_id`. Longer texts are cut.
 */
export function attributionOf(body: ChatBody, header: Header): NonNullable<GatewayInput["attribution"]> {
  const metadata = isObject(body.metadata) ? body.metadata : {};
  return {
    user: bounded(body.user, body.safety_identifier, metadata.user_id),
    app: bounded(header("x-openrouter-title"), header("x-title"), siteOf(header("http-referer") ?? header("referer"))),
    session: bounded(header("x-signalbox-session"), header("x-session-id"), body.session_id, metadata.session_id),
  };
}

const CHARS_MAX = 256;

/** The first text that says something, without control characters. */
function bounded(...texts: unknown[]): string | undefined {
  const text = firstText(...texts)
    .slice(0, CHARS_MAX)
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, " ")
    .trim();
  return text === "" ? undefined : text;
}

/** Paths and queries of a page may hold what is nobody's business. */
function siteOf(referer: string | undefined): string | undefined {
  if (referer === undefined) return undefined;
  const url = URL.parse(referer);
  return url === null ? referer : url.origin === "null" ? url.protocol : url.origin;
}
