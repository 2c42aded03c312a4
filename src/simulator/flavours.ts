// The OpenAI-compatible providers the simulator plays, by the id under which the router knows them.
import { azure } from "./flavours/azure.ts";
import type { Flavour } from "./flavours/flavour.ts";
import { cerebras, fireworks, groq, openrouter, sambanova, together } from "./flavours/hosts.ts";
import { llamacpp, lmstudio, ollama, vllm } from "./flavours/local.ts";
import {
  baseten,
  bedrock,
  deepinfra,
  huggingface,
  hyperbolic,
  nebius,
  novita,
  nvidia,
  xiaomi,
} from "./flavours/plain-hosts.ts";
import { dashscope, minimax, moonshot, zai } from "./flavours/platforms.ts";
import { cohere, deepseek, mistral, perplexity, xai } from "./flavours/vendors.ts";

export const flavours: ReadonlyMap<string, Flavour> = new Map(
  Object.entries({
    azure,
    baseten,
    bedrock,
    cerebras,
    cohere,
    dashscope,
    deepinfra,
    deepseek,
    fireworks,
    groq,
    huggingface,
    hyperbolic,
    llamacpp,
    lmstudio,
    minimax,
    mistral,
    moonshot,
    nebius,
    novita,
    nvidia,
    ollama,
    openrouter,
    perplexity,
    sambanova,
    together,
    vllm,
    xai,
    xiaomi,
    zai,
  }),
);
