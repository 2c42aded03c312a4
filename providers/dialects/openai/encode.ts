// A caller's request as the body one provider takes: it passes through, and only what the profile names is changed.
import type { JsonObject } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal, Target } from "../../../src/dialect.ts";
import { Report, ROUTER_FIELDS } from "../report.ts";
import { isNoLoss, isTaken } from "./fields.ts";
import { toProviderMessages } from "./messages.ts";
import { forModel, isRelayed, type OpenAiChatProfile } from "./profile.ts";
import { applyRepairs, OTHER_ROUTE, SWAP_OUTPUT_LIMIT } from "./repairs.ts";
import { replayFor } from "./replay.ts";
import { setThinking } from "./thinking.ts";
import { dropEmptyTools, setResponseFormat, setTools } from "./tools.ts";

export function encode(call: Call, base: OpenAiChatProfile): Encoded | Refusal {
  const profile = forModel(base, call.target.model);
  const report = new Report(call.request.strict);
  const { body, streams } = toBody(call, profile, report);
  if (report.refusal !== undefined) return report.refusal;
  return {
    kind: "encoded",
    wire: {
      path: profile.path(call.target, call.repairs?.includes(OTHER_ROUTE) ?? false),
      headers: {},
      body: JSON.stringify(body),
    },
    relay: isRelayed(call, profile),
    warnings: report.warnings,
    ...(streams ? { streams } : {}),
  };
}

/** The body as it goes out; also asked for what it would hold. */
export function toBody(call: Call, profile: OpenAiChatProfile, report: Report): { body: JsonObject; streams?: true } {
  const { request, target } = call;
  const body: JsonObject = { ...request.body, model: target.model };
  for (const field of ROUTER_FIELDS) delete body[field];
  dropEmptyTools(body);
  if (profile.empties === "strip") stripEmpties(body);
  dropFields(body, withSampling(profile, target), report);
  const thinking = setThinking(body, call, profile, report);
  setOutputLimit(body, call, profile);
  setTools(body, profile, report);
  const replay = thinking.isOff ? undefined : replayFor(call, profile);
  const messages = toProviderMessages({ call, profile, report, replay });
  body.messages = setResponseFormat(body, messages, profile, report);
  setValues(body, profile, report);
  renameFields(body, profile);
  setStream(body, call, profile, thinking.streams);
  applyRepairs(body, call.repairs ?? [], report);
  return thinking.streams ? { body, streams: true } : { body };
}

const SAMPLING = [
  "temperature",
  "top_p",
  "presence_penalty",
  "frequency_penalty",
  "logit_bias",
  "logprobs",
  "top_logprobs",
];

/** The catalogue knows of models that refuse to be steered. */
function withSampling(profile: OpenAiChatProfile, { entry }: Target): OpenAiChatProfile {
  return entry?.features?.sampling === false ? { ...profile, drop: [...profile.drop, ...SAMPLING] } : profile;
}

function stripEmpties(body: JsonObject): void {
  for (const [field, value] of Object.entries(body)) {
    if (value === null || (Array.isArray(value) && value.length === 0)) delete body[field];
  }
}

/** Fields about thinking become others, and the output limit is renamed, before anything is asked of their names. */
const HANDLED = ["max_tokens", "max_completion_tokens", "reasoning_effort", "reasoning", "thinking", "stream_options"];

function dropFields(body: JsonObject, profile: OpenAiChatProfile, report: Report): void {
  for (const [field, value] of Object.entries(body)) {
    if (value === undefined) continue;
    const isRefused = profile.refuse.includes(field);
    const isHandled = HANDLED.includes(field) && !profile.drop.includes(field);
    if (!isRefused && (isHandled || isTaken(profile, field))) continue;
    delete body[field];
    if (isNoLoss(field, value)) continue;
    if (!isRefused) report.note("dropped", field);
    else report.refuseField("unsupported_value", field, value);
  }
}

function setOutputLimit(body: JsonObject, { repairs }: Call, { outputLimitField: named }: OpenAiChatProfile): void {
  if (named === "as_sent" && !repairs?.includes(SWAP_OUTPUT_LIMIT)) return;
  const usual = named === "as_sent" ? (body.max_tokens == null ? "max_completion_tokens" : "max_tokens") : named;
  const other = otherLimit(usual);
  const [field, wrong] = repairs?.includes(SWAP_OUTPUT_LIMIT) ? [other, usual] : [usual, other];
  // Under the right name already: nothing moves.
  if (body[wrong] === undefined && body[field] !== null) return;
  const limit = body.max_completion_tokens ?? body.max_tokens;
  delete body.max_completion_tokens;
  delete body.max_tokens;
  if (limit !== undefined && limit !== null) body[field] = limit;
}

function otherLimit(field: "max_tokens" | "max_completion_tokens"): "max_tokens" | "max_completion_tokens" {
  return field === "max_tokens" ? "max_completion_tokens" : "max_tokens";
}

function setValues(body: JsonObject, { bounds, instead, logprobs }: OpenAiChatProfile, report: Report): void {
  if (logprobs === "count") countLogprobs(body);
  for (const { field, value, members } of instead) {
    if (body[field] !== value) continue;
    delete body[field];
    Object.assign(body, members);
  }
  for (const [field, [min, max]] of Object.entries(bounds)) {
    const asked = body[field];
    if (typeof asked !== "number") continue;
    const nearest = Math.min(Math.max(asked, min), max);
    if (nearest === asked) continue;
    if (isNoLoss(field, asked)) {
      delete body[field];
      continue;
    }
    body[field] = nearest;
    report.note("clamped", field, `${asked}->${nearest}`);
  }
}

function countLogprobs(body: JsonObject): void {
  if (body.logprobs === true) body.logprobs = body.top_logprobs || 1;
  else if (body.logprobs === false) delete body.logprobs;
  delete body.top_logprobs;
}

function renameFields(body: JsonObject, { rename }: OpenAiChatProfile): void {
  for (const [field, name] of Object.entries(rename)) {
    if (body[field] === undefined) continue;
    body[name] ??= body[field];
    delete body[field];
  }
}

/** The usage chunk is always asked for: the bill needs it. */
function setStream(body: JsonObject, { request }: Call, profile: OpenAiChatProfile, isCollected: boolean): void {
  if (isCollected) body.stream = true;
  const streams = request.stream || isCollected;
  // Those who do not know the option tell usage unasked, and some refuse it.
  if (!profile.streamUsage) delete body.stream_options;
  else if (streams) {
    body.stream_options = { ...(request.body.stream_options as JsonObject | null | undefined), include_usage: true };
  }
  if (streams && Array.isArray(body.tools) && profile.toolStream !== undefined) Object.assign(body, profile.toolStream);
}
