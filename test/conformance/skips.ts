// What a provider lacks, with the reason; and where the router still fails, with what is wrong. Keyed by provider, then by
// the column of a behaviour (all its tests) or by one test's title.

export type Reasons = Readonly<Record<string, Readonly<Record<string, string>>>>;

const FILTERED_PROMPT = "a prompt the provider filters is told as such";
const EMPTY_ACCOUNT = "an empty account is the router's trouble, and no word of it reaches the caller";
const TOLD_WAIT = "a rate limit hands on the wait the provider asks for";

/** A filter shows in the answer, if there is one; no error of that kind is known. */
const FILTER_IN_ANSWER =
  "baseten bedrock cerebras cohere deepinfra deepseek fireworks google groq huggingface hyperbolic llamacpp lmstudio " +
  "mistral moonshot nebius novita nvidia ollama openrouter perplexity sambanova together vertex vllm xai xiaomi";

const NO_TOOLS = "it has no tools";

/** Not to be had from this provider. */
export const SKIPS: Reasons = merged(
  Object.fromEntries(
    FILTER_IN_ANSWER.split(" ").map((id) => [
      id,
      { [FILTERED_PROMPT]: "it refuses no prompt: a filter shows in the answer" },
    ]),
  ),
  {
    google: { [EMPTY_ACCOUNT]: "it has no error of its own for it" },
    lmstudio: { "reasoning effort": "no way to ask for it is documented" },
    minimax: { stop: "it does not know stop sequences", [TOLD_WAIT]: "it tells no wait" },
    mistral: { [TOLD_WAIT]: "it tells no wait: windows end with the minute" },
    perplexity: {
      tools: NO_TOOLS,
      "parallel tools": NO_TOOLS,
      "tool choice": NO_TOOLS,
      "tool loop": NO_TOOLS,
      "foreign history": "it has no tools, and refuses a history with some",
      stop: "it does not know stop sequences",
    },
    vertex: { [EMPTY_ACCOUNT]: "it has no error of its own for it" },
  },
);

/** `openStream` keeps no frame without an event while it waits for the first content, relay or not. */
const LOST_FRAMES = "frames without an event of their own are lost from a relay before its first content";
const EMPTY_LISTS = "empty lists and members of messages that a provider does not know break nothing";
const STREAMED_TOOLS = [
  "a tool is called, whole and streamed",
  "two tools are called at once, whole and streamed, under ids of their own",
  "a loop of two turns works, with the answers sent back as they came",
  "a model that thinks goes through the same loop",
];

/** Must be mended: the test is expected to fail, and turns red once it passes. */
export const DEFECTS: Reasons = {
  azure: {
    ...Object.fromEntries(
      [
        "a stream tells the same text as a plain call, one finish reason, and [DONE]",
        "the usage chunk comes to those who ask, and to nobody else",
        ...STREAMED_TOOLS,
        "a model told to think does, and shows it where it can",
        "a stream tells the same usage as a plain call",
        "cached tokens are told, and are part of the prompt",
        "an answer the provider filters finishes with content_filter",
        "an empty answer is one, and no error",
        "any text survives, surrogate pairs that are cut in two included",
      ].map((title) => [title, `${LOST_FRAMES}: here the one with the role`]),
    ),
    [EMPTY_LISTS]: "an empty list of tools is sent, and refused",
  },
  deepseek: {
    "nothing is invented for deepseek-chat":
      "thinking that is turned on for another than a V4 model lacks the reasoning of earlier turns, and is refused",
    "cached usage": "a relayed answer tells them where the provider does, not where OpenAI's clients look",
  },
  fireworks: Object.fromEntries(
    STREAMED_TOOLS.map((title) => [title, `${LOST_FRAMES}: here the one with the id of a call whose name comes later`]),
  ),
  moonshot: {
    "cached usage": "a relayed answer tells them where the provider does, not where OpenAI's clients look",
    "an overloaded provider is told as such": "its overload (429, engine_overloaded_error) is taken for a rate limit",
  },
  openai: {
    [EMPTY_LISTS]: "an empty list of tools is sent, and refused",
    "what a thinking model does not take is left out and reported, at the first try":
      "stop sequences are sent to models that refuse them, and left out at the second try",
  },
  openrouter: { "reasoning effort": "a relayed answer tells reasoning in `reasoning`, not in `reasoning_content`" },
  perplexity: { "a system message in mid-conversation is not lost": "it is sent where it stands, and refused" },
  together: {
    "fields at OpenAI's default and nulls are no reason for a report": "`logprobs: false` is sent, and refused",
    "log-probabilities are told, or their absence is": "`logprobs: true` is sent where the provider takes a number",
  },
  xai: {
    "a refused key is the router's trouble, and no word of it reaches the caller":
      "a bad key (400, Incorrect API key provided) is taken for an invalid request, and its ends are quoted",
  },
  zai: { "fields at OpenAI's default and nulls are no reason for a report": "`top_p: 1` is clamped and reported" },
};

/** What the suite does not see. */
export const LIMITS: readonly string[] = [
  "Providers are played by the simulator from their documentation and from reports; no real one is called.",
  "`vertex` is played with a key only, and like the Gemini API but for its address; `bedrock` on one of its two routes.",
  "`huggingface`, `openrouter` and `nvidia` pass on what the model's host does, which differs per model; one host is played.",
  "`baseten`, `hyperbolic`, `novita` and `xiaomi` are played as tolerant servers: little is documented that could be refused.",
  "Images by address are not covered here: nothing on this machine may be fetched.",
  "`simulated-…` providers have the dialect of those they stand in for, and are not asked apart.",
];

function merged(...all: Reasons[]): Reasons {
  const ids = all.flatMap((reasons) => Object.keys(reasons));
  return Object.fromEntries(ids.map((id) => [id, Object.assign({}, ...all.map((reasons) => reasons[id]))]));
}

export function reasonIn(reasons: Reasons, provider: string, column: string, title: string): string | undefined {
  return reasons[provider]?.[title] ?? reasons[provider]?.[column];
}
