// A flavour as a face: one OpenAI-compatible provider, played from its data.

import { firstOf } from "../check.ts";
import type { Call, Face, Fault, Head, Reply } from "../face.ts";
import { readPrompt } from "../openai.ts";
import type { FaultName } from "../script.ts";
import { answerBody } from "./answer.ts";
import { type Flavour, thinks } from "./flavour.ts";
import { flavourViolations } from "./request.ts";
import { answerFrames } from "./stream.ts";

const LIMIT = 10_000;
/** Without a wish of the script, spent limits are free again after this. */
const RESET_S = 30;

export function flavourFace(flavour: Flavour): Face {
  const server = { ...USUAL.server, ...flavour.failure.faults.server };
  return {
    id: "openai",
    streamType: () => "text/event-stream; charset=utf-8",
    headers: (head) => headers(flavour, head, LIMIT - 1, 1),
    checkCredentials: (header) => checkCredentials(flavour, header),
    validate: firstOf((call) => flavourViolations(flavour, call)),
    prompt: (call) => ({
      ...readPrompt({ ...call, body: inOpenaiWords(call.body) }),
      label: flavour.name,
      reasoning: thinks(flavour, call),
    }),
    body: (answer, head) => answerBody(flavour, answer, head),
    frames: (answer, head) => answerFrames(flavour, answer, head),
    streamFault: () => flavour.failure.inStream ?? `data: ${JSON.stringify(flavour.failure.envelope(server))}\n\n`,
    brokenFrame: () =>
      'data: {"id":"chatcmpl-simulated","object":"chat.completion.chunk","choices":[{"delta":{"con\n\n',
    scriptedFault: (status) => ({
      ...USUAL[NAMES[status] ?? "params"],
      ...flavour.failure.faults[NAMES[status] ?? "params"],
      status,
    }),
    namedFault: (name) => namedFault(flavour, name),
    reply: (fault, head) => reply(flavour, fault, head),
    models: () => ({ object: "list", data: [] }),
  };
}

/** Which failure a status stands for. */
const NAMES: Record<number, keyof typeof USUAL> = {
  401: "auth",
  402: "quota",
  403: "auth",
  404: "model",
  429: "rate",
  500: "server",
  502: "server",
  503: "overloaded",
  529: "overloaded",
};

/** A filter refuses prompts at some only; the others tell it in the answer. */
const USUAL: Record<Exclude<FaultName, "filter">, Fault> = {
  auth: { status: 401, message: "Invalid API key.", type: "authentication_error", code: "invalid_api_key" },
  quota: { status: 402, message: "Insufficient balance.", type: "insufficient_quota", code: "insufficient_quota" },
  rate: { status: 429, message: "Rate limit exceeded.", type: "rate_limit_error", code: "rate_limit_exceeded" },
  model: { status: 404, message: "The model does not exist.", code: "model_not_found" },
  context: {
    status: 400,
    message: "This model's maximum context length is 131072 tokens. However, your messages resulted in 140000 tokens.",
  },
  params: { status: 400, message: "Invalid value for a parameter." },
  overloaded: { status: 503, message: "The service is overloaded.", type: "service_unavailable" },
  server: { status: 500, message: "Internal server error.", type: "server_error" },
};

function namedFault(flavour: Flavour, name: FaultName): Fault | undefined {
  const own = flavour.failure.faults[name];
  if (name !== "filter") return { ...USUAL[name], ...own };
  return own === undefined ? undefined : { ...USUAL.params, ...own };
}

function headers(flavour: Flavour, head: Head, remaining: number, resetS: number): Record<string, string> {
  const { nowMs } = head;
  return { ...flavour.answer.headers, ...flavour.limits?.({ limit: LIMIT, remaining, resetS, nowMs }) };
}

function checkCredentials(flavour: Flavour, header: Call["header"]): Fault | undefined {
  const { header: name, isOptional } = flavour.key ?? { header: "authorization", isOptional: undefined };
  const told = header(name);
  if (told === undefined && isOptional) return undefined;
  const key = name === "authorization" ? /^Bearer +(\S+)$/i.exec(told ?? "")?.[1] : told;
  return key === undefined || key.startsWith("sk-wrong") ? namedFault(flavour, "auth") : undefined;
}

/** Mistral's word for "some tool". */
function inOpenaiWords(body: Call["body"]): Call["body"] {
  return body.tool_choice === "any" ? { ...body, tool_choice: "required" } : body;
}

function reply(flavour: Flavour, fault: Fault, head: Head): Reply {
  const isLimited = fault.status === 429;
  const answered = isLimited
    ? headers(flavour, head, 0, fault.retryAfterS ?? RESET_S)
    : headers(flavour, head, LIMIT - 1, 1);
  if (fault.retryAfterS !== undefined && flavour.failure.retryAfter !== false) {
    answered["retry-after"] = String(Math.ceil(fault.retryAfterS));
  }
  return { status: fault.status, headers: answered, body: flavour.failure.envelope(fault) };
}
