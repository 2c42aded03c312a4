// Who is asked in the conformance suite, under which models, and what each is known to tell.
import { providers } from "../../providers/index.ts";
import type { Provider } from "../../src/dialect.ts";
import { flavours } from "../../src/simulator/flavours.ts";

export interface Member {
  provider: Provider;
  /** Below the simulator's address. */
  path: string;
  model: string;
  /** Sees images. */
  eyes: string;
  /** Thinks when it is asked to; its thoughts may stay unseen. */
  thinker: string;
  /** Takes a temperature. */
  sampler: string;
  /** Shows what it thinks. */
  showsThoughts: boolean;
  /** Tells how much it thought. */
  countsThoughts: boolean;
  /** Seconds to wait that a caller is told after a 429 without `retry-after`: `[least, most]`. */
  waitS?: readonly [number, number];
}

/** Models where the first of a provider's catalogue would not do. Names nobody knows are taken too. */
const MODELS: Record<string, Partial<Pick<Member, "model" | "eyes" | "thinker" | "sampler">>> = {
  anthropic: { model: "claude-haiku-5-5", sampler: "claude-haiku-4-5" },
  azure: { model: "gpt-4o", thinker: "o4-mini" },
  "bedrock-converse": {
    model: "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    thinker: "us.anthropic.claude-sonnet-4-6",
  },
  bedrock: { thinker: "openai.gpt-oss-120b-1:0" },
  cerebras: { model: "llama-3.3-70b", thinker: "gpt-oss-120b" },
  cohere: { model: "command-a-03-2025", thinker: "command-a-reasoning-08-2025" },
  dashscope: { model: "qwen-plus", thinker: "qwen3-32b" },
  deepinfra: { thinker: "deepseek-ai/DeepSeek-V4" },
  deepseek: { model: "deepseek-chat", thinker: "deepseek-v4-pro" },
  fireworks: { thinker: "accounts/fireworks/models/some-thinker" },
  google: { model: "gemini-3.8-flash", sampler: "gemini-2.5-flash" },
  groq: { model: "llama-3.3-70b-versatile", eyes: "some-model-with-eyes", thinker: "openai/gpt-oss-120b" },
  minimax: { model: "MiniMax-M3", thinker: "MiniMax-M2.7" },
  mistral: { model: "mistral-large-latest", thinker: "mistral-small-2603" },
  moonshot: { model: "moonshot-v1-32k", thinker: "kimi-k2.6" },
  nvidia: { thinker: "some-thinker" },
  openai: { model: "gpt-4o", thinker: "o4-mini" },
  perplexity: { model: "sonar", thinker: "sonar-reasoning-pro" },
  together: { thinker: "openai/gpt-oss-120b" },
  vertex: { model: "gemini-3.8-flash", sampler: "gemini-2.5-flash" },
  xai: { model: "grok-3", thinker: "grok-4.3" },
  zai: { model: "glm-5.3", eyes: "glm-5v" },
};

/** Only how much was thought is told, or not even that. */
const THINK_UNSEEN = ["azure", "baseten", "bedrock", "huggingface", "hyperbolic", "nvidia", "openai", "sambanova"];

/** Thoughts are part of the tokens, and not told apart. */
const THINK_UNCOUNTED = ["bedrock-converse", "cohere"];

const HALF_A_MINUTE = [30, 31] as const;
const WAITS: Record<string, readonly [number, number]> = {
  azure: [6, 6],
  // Nothing is told; some wait is better than none.
  google: [1, 60],
  cerebras: HALF_A_MINUTE,
  groq: HALF_A_MINUTE,
  // Its windows end with the minute.
  mistral: [1, 60],
  openai: [60, 60],
  openrouter: HALF_A_MINUTE,
  sambanova: HALF_A_MINUTE,
  together: HALF_A_MINUTE,
};

const PATHS: Record<string, string> = {
  cohere: "/cohere",
  openai: "/openai/v1",
  anthropic: "/anthropic",
  google: "/google/v1beta",
  vertex: "/vertex/v1",
  "bedrock-converse": "/bedrock-converse",
};

/** The simulated providers are left out: each has the very dialect of the one it stands in for, and nothing else of its own. */
const REAL = providers.filter(({ standsInFor }) => standsInFor === undefined);

export const cast: readonly Member[] = REAL.map((provider) => {
  const like = provider.id;
  const { model = "some-model", ...others } = MODELS[like] ?? {};
  const path = PATHS[like] ?? (flavours.has(like) ? `/${like}/v1` : undefined);
  if (path === undefined) throw new Error(`the simulator does not play ${like}: give it a flavour`);
  const wait = WAITS[like];
  return {
    provider,
    path,
    model,
    eyes: others.eyes ?? model,
    thinker: others.thinker ?? model,
    sampler: others.sampler ?? model,
    showsThoughts: !THINK_UNSEEN.includes(like),
    countsThoughts: !THINK_UNCOUNTED.includes(like),
    ...(wait === undefined ? {} : { waitS: wait }),
  };
});
