// The two answers of the bench's upstream as bytes made once, and the requests that ask for them.

/** Priced in the catalogue, so that the router computes a cost for every call. */
const MODEL = "gpt-4.1-mini";
const CREATED_S = 1_760_000_000;
export const DELTAS = 64;

export const USAGE = {
  prompt_tokens: 250,
  completion_tokens: 200,
  total_tokens: 450,
  prompt_tokens_details: { cached_tokens: 100, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
};

/** A caller who sends this word as `user` gets the stream at the pace of a model, not at the speed of the machine. */
export const PACED_USER = "bench-paced";

/** About 1 KB, with the members OpenAI sends. */
export const JSON_ANSWER: Buffer = Buffer.from(
  JSON.stringify({
    id: "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    object: "chat.completion",
    created: CREATED_S,
    model: MODEL,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: filler(400), refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: USAGE,
    service_tier: "default",
    system_fingerprint: "fp_34a54ae93c",
  }),
);

/** The frames of the stream: a role chunk, the deltas, a finish chunk, the usage chunk, the end marker. */
export const STREAM_FRAMES: readonly Buffer[] = [
  chunk({ delta: { role: "assistant", content: "", refusal: null }, finish: null }),
  ...Array.from({ length: DELTAS }, (_, index) => chunk({ delta: { content: ` word${index}` }, finish: null })),
  chunk({ delta: {}, finish: "stop" }),
  frame({ ...envelope(), choices: [], usage: USAGE }),
  Buffer.from("data: [DONE]\n\n"),
];

export const STREAM_BYTES: number = STREAM_FRAMES.reduce((sum, { length }) => sum + length, 0);

function chunk({ delta, finish }: { delta: object; finish: string | null }): Buffer {
  const choice = { index: 0, delta, logprobs: null, finish_reason: finish };
  return frame({ ...envelope(), choices: [choice], usage: null, obfuscation: "k3VnSZp0Qw" });
}

function envelope() {
  return {
    id: "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    object: "chat.completion.chunk",
    created: CREATED_S,
    model: MODEL,
    service_tier: "default",
    system_fingerprint: "fp_34a54ae93c",
  };
}

function frame(value: object): Buffer {
  return Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
}

/** A request as an SDK would send it. It asks for the usage chunk, so that every subject hands on the same bytes. */
export function requestBody({ promptBytes, stream, paced }: { promptBytes: number; stream: boolean; paced: boolean }) {
  return JSON.stringify({
    model: `openai/${MODEL}`,
    messages: [
      { role: "system", content: "You are a helpful assistant." },
      { role: "user", content: filler(promptBytes) },
    ],
    temperature: 0.7,
    max_completion_tokens: 512,
    ...(stream && { stream: true, stream_options: { include_usage: true } }),
    ...(paced && { user: PACED_USER }),
  });
}

/** Words with the quotes and line ends that make JSON escape something now and then. */
function filler(bytes: number): string {
  const text = 'The quick brown fox said "jump", and the lazy dog did not.\n';
  return text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes);
}
