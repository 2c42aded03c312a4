// What the bench's callers ask and its upstream answers, as bytes made once. A mark in the prompt says which answer is
// wanted: it survives every translation.

export type WireDialect = "openai" | "anthropic" | "google";

/** Priced in the catalogue, so that the router computes a cost for every call. */
export const MODELS: Record<WireDialect, string> = {
  openai: "gpt-4.1-mini",
  anthropic: "claude-haiku-4-5",
  google: "gemini-2.5-flash",
};
const CREATED_S = 1_760_000_000;

/** Of every answer, whoever gives it and however long it is. */
export const TOKENS = { input: 250, cached: 100, output: 200 };

export interface Wanted {
  /** 0: one JSON document. */
  deltas: number;
  /** Between deltas; 0: all at once. */
  paceMs: number;
  /** `fail`: status 500. `cut`: the connection ends in the middle. */
  ending?: "whole" | "fail" | "cut";
}

/** A number and the time of its sending by the machine's monotonic clock, in µs: 0 where the answer has no pace. */
const DELTA_NUMBER_DIGITS = 4;
export const STAMP_DIGITS = 15;
const NO_STAMP = "0".repeat(STAMP_DIGITS);
export const DELTA_TEXT = /w(\d{4})t(\d{15})/g;

export function deltaText(number: number): string {
  return ` w${String(number).padStart(DELTA_NUMBER_DIGITS, "0")}t${NO_STAMP}`;
}

/** By the clock that all processes of a machine share. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

const MARK = /\[\[(\d+) (\d+) (\w+)\]\]/;
const MARK_BYTES = 40;

/** What a request asks for; undefined where it has no mark. */
export function wantedOf(request: Buffer): Required<Wanted> | undefined {
  const at = request.indexOf("[[");
  const [, deltas, paceMs, ending] = MARK.exec(request.toString("latin1", at, at + MARK_BYTES)) ?? [];
  if (at === -1 || ending === undefined) return undefined;
  return { deltas: Number(deltas), paceMs: Number(paceMs), ending: ending as "whole" };
}

/** A request as an SDK would send it. It asks for the usage chunk, so that every subject hands on the same bytes. */
export function requestBody(model: string, promptBytes: number, { deltas, paceMs, ending = "whole" }: Wanted): string {
  return JSON.stringify({
    model,
    messages: [
      { role: "system", content: "You are a helpful assistant." },
      { role: "user", content: `[[${deltas} ${paceMs} ${ending}]] ${filler(promptBytes)}` },
    ],
    temperature: 0.7,
    max_tokens: 512,
    ...(deltas > 0 && { stream: true, stream_options: { include_usage: true } }),
  });
}

/** Words with the quotes and line ends that make JSON escape something now and then. */
export function filler(bytes: number): string {
  const text = 'The quick brown fox said "jump", and the lazy dog did not.\n';
  return text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes);
}

/** The text of a whole JSON answer; with the members around it about 1 KB. */
export const ANSWER_TEXT = filler(400);

/** The frames of a stream, those before the first delta and after the last one by themselves. */
export interface StreamAnswer {
  opening: string[];
  delta(text: string): string;
  closing: string[];
}

export interface Answers {
  json: string;
  stream: StreamAnswer;
}

export const ANSWERS: Record<WireDialect, Answers> = {
  openai: openaiAnswers(),
  anthropic: anthropicAnswers(),
  google: googleAnswers(),
};

function openaiAnswers(): Answers {
  const usage = {
    prompt_tokens: TOKENS.input,
    completion_tokens: TOKENS.output,
    total_tokens: TOKENS.input + TOKENS.output,
    prompt_tokens_details: { cached_tokens: TOKENS.cached, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, rejected_prediction_tokens: 0 },
  };
  const envelope = (object: string) => ({
    id: "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    object,
    created: CREATED_S,
    model: MODELS.openai,
    service_tier: "default",
    system_fingerprint: "fp_34a54ae93c",
  });
  const frame = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
  const chunk = (delta: object, finish: string | null) => {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: finish }];
    return frame({ ...envelope("chat.completion.chunk"), choices, usage: null, obfuscation: "k3VnSZp0Qw" });
  };
  const message = { role: "assistant", content: ANSWER_TEXT, refusal: null, annotations: [] };
  return {
    json: JSON.stringify({
      ...envelope("chat.completion"),
      choices: [{ index: 0, message, logprobs: null, finish_reason: "stop" }],
      usage,
    }),
    stream: {
      opening: [chunk({ role: "assistant", content: "", refusal: null }, null)],
      delta: (content) => chunk({ content }, null),
      closing: [
        chunk({}, "stop"),
        frame({ ...envelope("chat.completion.chunk"), choices: [], usage }),
        "data: [DONE]\n\n",
      ],
    },
  };
}

function anthropicAnswers(): Answers {
  const input = {
    input_tokens: TOKENS.input - TOKENS.cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: TOKENS.cached,
  };
  const message = { id: "msg_01XFDUDYJgAACzvnptvVoYEL", type: "message", role: "assistant", model: MODELS.anthropic };
  const frame = (type: string, rest: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
  const open = { stop_reason: null, stop_sequence: null };
  const closed = { stop_reason: "end_turn", stop_sequence: null };
  return {
    json: JSON.stringify({
      ...message,
      content: [{ type: "text", text: ANSWER_TEXT }],
      ...closed,
      usage: { ...input, output_tokens: TOKENS.output, service_tier: "standard" },
    }),
    stream: {
      opening: [
        frame("message_start", {
          message: { ...message, content: [], ...open, usage: { ...input, output_tokens: 1 } },
        }),
        frame("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
        frame("ping", {}),
      ],
      delta: (text) => frame("content_block_delta", { index: 0, delta: { type: "text_delta", text } }),
      closing: [
        frame("content_block_stop", { index: 0 }),
        frame("message_delta", { delta: closed, usage: { ...input, output_tokens: TOKENS.output } }),
        frame("message_stop", {}),
      ],
    },
  };
}

function googleAnswers(): Answers {
  const usageMetadata = {
    promptTokenCount: TOKENS.input,
    cachedContentTokenCount: TOKENS.cached,
    candidatesTokenCount: TOKENS.output,
    totalTokenCount: TOKENS.input + TOKENS.output,
  };
  const answer = (text: string, finishReason?: string) => ({
    candidates: [{ content: { parts: [{ text }], role: "model" }, ...(finishReason && { finishReason }), index: 0 }],
    usageMetadata,
    modelVersion: MODELS.google,
    responseId: "bench7wXaNrUGqfk1PIP",
  });
  const frame = (value: object) => `data: ${JSON.stringify(value)}\r\n\r\n`;
  return {
    json: JSON.stringify(answer(ANSWER_TEXT, "STOP")),
    stream: {
      opening: [],
      delta: (text) => frame(answer(text)),
      closing: [frame(answer("", "STOP"))],
    },
  };
}
