// What the simulated OpenAI knows of its models: which parameters a model takes, as of November 2026.

export interface GptProfile {
  contextTokens: number;
  maxTokens: number;
  /** Takes `max_completion_tokens`, not `max_tokens`. */
  reasoning: boolean;
  /** `reasoning_effort` values; empty: the parameter does not exist for the model. */
  efforts: string[];
  /** `effort-none`: temperature and the like are accepted only while the model does not reason. */
  sampling: "always" | "effort-none" | "never";
  stop: boolean;
}

const everyEffort = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const plain: GptProfile = {
  contextTokens: 128_000,
  maxTokens: 16_384,
  reasoning: false,
  efforts: [],
  sampling: "always",
  stop: true,
};
const oSeries: GptProfile = {
  contextTokens: 200_000,
  maxTokens: 100_000,
  reasoning: true,
  efforts: ["low", "medium", "high"],
  sampling: "never",
  stop: false,
};
const gpt5: GptProfile = {
  ...oSeries,
  contextTokens: 400_000,
  maxTokens: 128_000,
  efforts: ["minimal", "low", "medium", "high"],
};
const gpt51: GptProfile = {
  ...gpt5,
  efforts: everyEffort.filter((effort) => effort !== "minimal"),
  sampling: "effort-none",
  stop: true,
};

/** Made-up models take whatever any model takes, so that a simulated name never fails for what it is called. */
const madeUp: GptProfile = { ...plain, contextTokens: 1_000_000, maxTokens: 200_000, efforts: everyEffort };

export function gptProfile(model: string): GptProfile {
  if (/^gpt-5\.[1-9]/.test(model)) return gpt51;
  if (/^gpt-5/.test(model)) return gpt5;
  if (/^o\d/.test(model)) return oSeries;
  if (/^gpt-4\.1/.test(model)) return { ...plain, contextTokens: 1_047_576, maxTokens: 32_768 };
  if (/^(gpt-4o|chatgpt-4o)/.test(model)) return plain;
  if (/^gpt-(3\.5|4)/.test(model)) return { ...plain, maxTokens: 4_096 };
  return madeUp;
}
