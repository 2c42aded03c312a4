// What a provider lacks, with the reason; and where the router still fails, with what is wrong. Keyed by provider, then by
// the column of a behaviour (all its tests) or by one test's title.

export type Reasons = Readonly<Record<string, Readonly<Record<string, string>>>>;

const FILTERED_PROMPT = "a prompt the provider filters is told as such";
const EMPTY_ACCOUNT = "an empty account is the router's trouble, and no word of it reaches the caller";
const TOLD_WAIT = "a rate limit hands on the wait the provider asks for";

/** A filter shows in the answer, if there is one; no error of that kind is known. */
const FILTER_IN_ANSWER =
  "baseten bedrock bedrock-converse cerebras cohere deepinfra deepseek fireworks google groq huggingface hyperbolic llamacpp lmstudio " +
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
    "bedrock-converse": {
      [EMPTY_ACCOUNT]: "it has no error of its own for it",
      [TOLD_WAIT]: "it tells no wait",
    },
    cohere: { "content filter": "none of its finish reasons says so" },
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

/** Must be mended: the test is expected to fail, and turns red once it passes. */
export const DEFECTS: Reasons = {};

/** What the suite does not see. */
export const LIMITS: readonly string[] = [
  "Providers are played by the simulator from their documentation and from reports; no real one is called.",
  "`vertex` is played with a key only, and like the Gemini API but for its address; `bedrock` on one of its two routes.",
  "`huggingface`, `openrouter` and `nvidia` pass on what the model's host does, which differs per model; one host is played.",
  "`baseten`, `hyperbolic`, `novita` and `xiaomi` are played as tolerant servers: little is documented that could be refused.",
  "`bedrock-converse` is played with Claude; what its other models refuse is not played.",
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
