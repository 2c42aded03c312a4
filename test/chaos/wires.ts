// What a healthy provider of each protocol puts on the wire: one short answer, event by event, whose text has characters of
// two, three and four bytes in nearly every piece.

export const DIALECTS = ["openai-chat", "anthropic-messages", "google-generate"] as const;
export type DialectId = (typeof DIALECTS)[number];

export interface Wire {
  /** The pieces of the text, in order; no two are the same. Which provider speaks is in the last one. */
  pieces: readonly string[];
  text: string;
  /** Before any content. */
  preamble: readonly Buffer[];
  /** One event per piece. */
  content: readonly Buffer[];
  /** After the content; the answer is whole as soon as the first `wholeAfter` of them have come. */
  closing: readonly Buffer[];
  wholeAfter: number;
  /** Keep-alive that may be repeated for ever. */
  idle: Buffer;
  /** The whole answer as one JSON document. */
  body: Buffer;
  /** How the provider says that it failed, in mid-stream. */
  streamError: Buffer;
  /** The body of an error answer. */
  errorBody(status: number): Buffer;
}

const PIECES = ["Grüße", " an die", " 世界", " 🙂🎈", " – ça va?"];

const ANTHROPIC_ERRORS: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

const GOOGLE_ERRORS: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  503: "UNAVAILABLE",
};

export const WIRES: Readonly<Record<DialectId, Wire>> = {
  "openai-chat": openai(),
  "anthropic-messages": anthropic(),
  "google-generate": google(),
};

function piecesOf(dialect: DialectId): string[] {
  return [...PIECES, ` Ihr ${dialect}.`];
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function data(value: unknown): Buffer {
  return Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
}

function openai(): Wire {
  const pieces = piecesOf("openai-chat");
  const chunk = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model: "m" };
  const delta = (members: object, finish: string | null = null) =>
    data({ ...chunk, choices: [{ index: 0, delta: members, finish_reason: finish }] });
  const usage = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };
  const message = { role: "assistant", content: pieces.join("") };
  const errorBody = (status: number) =>
    json({ error: { message: `Scripted ${status}.`, type: "error", param: null, code: null } });
  return {
    pieces,
    text: pieces.join(""),
    preamble: [delta({ role: "assistant", content: "" })],
    content: pieces.map((content) => delta({ content })),
    closing: [delta({}, "stop"), data({ ...chunk, choices: [], usage }), Buffer.from("data: [DONE]\n\n")],
    wholeAfter: 1,
    idle: Buffer.from(": keep-alive\n\n"),
    body: json({
      ...chunk,
      object: "chat.completion",
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage,
    }),
    streamError: data({ error: { message: "The model broke down.", type: "server_error", code: null } }),
    errorBody,
  };
}

function anthropic(): Wire {
  const pieces = piecesOf("anthropic-messages");
  const event = (value: { type: string }) => Buffer.from(`event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`);
  const on = (type: string, members: object = {}) => event({ type, ...members });
  const message = { id: "msg_1", type: "message", role: "assistant", model: "m" };
  const content = [{ type: "text", text: pieces.join("") }];
  const fault = (type: string, text: string) => ({ type: "error", error: { type, message: text } });
  return {
    pieces,
    text: pieces.join(""),
    preamble: [
      on("message_start", { message: { ...message, content: [], usage: { input_tokens: 11, output_tokens: 1 } } }),
      on("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    ],
    content: pieces.map((text) => on("content_block_delta", { index: 0, delta: { type: "text_delta", text } })),
    closing: [
      on("content_block_stop", { index: 0 }),
      on("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 7 } }),
      on("message_stop"),
    ],
    wholeAfter: 2,
    idle: on("ping"),
    body: json({ ...message, content, stop_reason: "end_turn", usage: { input_tokens: 11, output_tokens: 7 } }),
    streamError: event(fault("api_error", "The model broke down.")),
    errorBody: (status) => json(fault(ANTHROPIC_ERRORS[status] ?? "api_error", `Scripted ${status}.`)),
  };
}

function google(): Wire {
  const pieces = piecesOf("google-generate");
  const chunk = { responseId: "r1", modelVersion: "m" };
  const candidate = (text: string, rest: object = {}) => ({
    candidates: [{ content: { role: "model", parts: [{ text }] }, ...rest }],
  });
  const usageMetadata = { promptTokenCount: 11, candidatesTokenCount: 7, totalTokenCount: 18 };
  const fault = (code: number, message: string) => ({
    error: { code, message, status: GOOGLE_ERRORS[code] ?? "INTERNAL" },
  });
  return {
    pieces,
    text: pieces.join(""),
    preamble: [data({ ...chunk, usageMetadata: { promptTokenCount: 11 } })],
    content: pieces.map((text) => data({ ...candidate(text), ...chunk })),
    closing: [data({ candidates: [{ finishReason: "STOP" }], usageMetadata, ...chunk })],
    wholeAfter: 1,
    idle: data({ ...chunk, usageMetadata: { promptTokenCount: 11 } }),
    body: json({ ...candidate(pieces.join(""), { finishReason: "STOP" }), usageMetadata, ...chunk }),
    streamError: data(fault(500, "The model broke down.")),
    errorBody: (status) => json(fault(status, `Scripted ${status}.`)),
  };
}
