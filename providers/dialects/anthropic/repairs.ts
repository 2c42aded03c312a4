// What to change when Anthropic names what a model does not accept. Profiles age: this is the net under them, and each
// catch is a profile to correct. The vendor says that the wording of messages may change.
import type { ProviderError } from "../../../src/chat.ts";
import type { Call, Outbound, Repair } from "../../../src/dialect.ts";
import { isObject, parseJson } from "../../../src/json.ts";
import { encode } from "./encode.ts";
import { EFFORTS } from "./profile.ts";
import { termsOf } from "./terms.ts";

interface Pattern {
  message: RegExp;
  /** `name=value`, as terms.ts reads it; `undefined` when this request cannot use the repair. */
  token(match: RegExpExecArray, call: Call): string | undefined;
  isLasting: boolean;
}

const lasting = (message: RegExp, token: string): Pattern => ({ message, token: () => token, isLasting: true });
const once = (message: RegExp, token: string): Pattern => ({ message, token: () => token, isLasting: false });

/** Seen in 2026; the threads are named in the cases of the tests. */
const PATTERNS: Pattern[] = [
  {
    message: /max_tokens: \d+ > (\d+), which is the maximum allowed number of output tokens/i,
    token: ([, most]) => `max_tokens=${most}`,
    isLasting: true,
  },
  lasting(/(?:temperature|top_p|top_k)\b.*cannot both be specified/i, "sampling=one"),
  lasting(/(?:temperature|top_p|top_k)\b.*(?:extra inputs are not permitted|deprecated)/i, "sampling=none"),
  {
    // The block stands behind another prefix than it was made behind; the vendor can be told to leave it out.
    message: /bound to a different|prefix[ _-](?:binding|mismatch)/i,
    token: (_, call) => (asksToThink(call) ? "thinking_blocks=drop_unbound" : "thinking_blocks=strip"),
    isLasting: false,
  },
  once(
    /invalid `?signature`? in `?thinking|thinking.*cannot be modified|expected `thinking`/i,
    "thinking_blocks=strip",
  ),
  lasting(/thinking\.type\.enabled"? is not supported/i, "thinking=optional"),
  lasting(/adaptive thinking is not supported/i, "thinking=manual"),
  lasting(/thinking\.type\.disabled"? is not supported.*between_tools/i, "thinking=between_tools"),
  lasting(/thinking\.type\.disabled"? is not supported/i, "thinking=always_on"),
  { message: /does not support effort level/i, token: supportedEfforts, isLasting: true },
  lasting(/does not support assistant message prefill/i, "prefill=no"),
  lasting(/tool_choice.*not (?:supported for|compatible with) this model/i, "forced_tools=no"),
  lasting(/thinking may not be enabled when tool_choice forces/i, "forced_tool_thinking=no"),
  lasting(/role ['"`]?system['"`]? is not supported on this model/i, "mid_system=no"),
  once(/schema is too complex/i, "json=instruct"),
  lasting(/output_config\.format.*not supported/i, "json=instruct"),
];

/**
 * A change after which the request may pass. Never one that `call` was already made with, and none that would send the
 * same bytes again (`encoder`: Claude is reached through other protocols too). The loop allows two per request; in strict mode `encode` refuses what a repair would take away.
 */
export function repair(error: ProviderError, call: Call, encoder: Outbound["encode"] = encode): Repair | undefined {
  if (error.status !== 400 || (error.kind !== "unsupported" && error.kind !== "invalid_request")) return undefined;
  const known = call.repairs ?? [];
  for (const { message, token, isLasting } of PATTERNS) {
    const match = message.exec(error.message);
    const found = match === null ? undefined : token(match, call);
    if (found === undefined || known.includes(found)) continue;
    if (changes(call, { ...call, repairs: [...known, found] }, encoder)) return { token: found, isLasting };
  }
  return undefined;
}

function changes(before: Call, after: Call, encoder: Outbound["encode"]): boolean {
  const [failed, next] = [encoder(before), encoder(after)];
  return next.kind === "refusal" || failed.kind === "refusal" || failed.wire.body !== next.wire.body;
}

function asksToThink(call: Call): boolean {
  const encoded = encode(call);
  const body = encoded.kind === "encoded" ? parseJson(encoded.wire.body) : undefined;
  const thinking = isObject(body) && isObject(body.thinking) ? body.thinking : {};
  return thinking.type === "adaptive" || thinking.type === "enabled";
}

/** `This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.` */
function supportedEfforts({ input }: RegExpExecArray, call: Call): string | undefined {
  const [, listed] = /supported levels: ([\w, ]+)/i.exec(input) ?? [];
  const [, refused] = /effort level ['"`]?(\w+)/i.exec(input) ?? [];
  const names = listed?.toLowerCase().split(/\W+/) ?? termsOf(call).efforts.filter((level) => level !== refused);
  return `efforts=${EFFORTS.filter((level) => (names as string[]).includes(level)).join(",")}`;
}
