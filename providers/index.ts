// Every provider Signalbox knows, by id. A new one needs its file, and a line in the list.
import type { Provider } from "../src/dialect.ts";
import { anthropic } from "./anthropic.ts";
import { azure } from "./azure.ts";
import { baseten } from "./baseten.ts";
import { bedrock } from "./bedrock.ts";
import { bedrockConverse } from "./bedrock-converse.ts";
import { cerebras } from "./cerebras.ts";
import { cohere } from "./cohere.ts";
import { dashscope } from "./dashscope.ts";
import { deepinfra } from "./deepinfra.ts";
import { deepseek } from "./deepseek.ts";
import { fireworks } from "./fireworks.ts";
import { google } from "./google.ts";
import { groq } from "./groq.ts";
import { huggingface } from "./huggingface.ts";
import { hyperbolic } from "./hyperbolic.ts";
import { llamacpp } from "./llamacpp.ts";
import { lmstudio } from "./lmstudio.ts";
import { minimax } from "./minimax.ts";
import { mistral } from "./mistral.ts";
import { moonshot } from "./moonshot.ts";
import { nebius } from "./nebius.ts";
import { novita } from "./novita.ts";
import { nvidia } from "./nvidia.ts";
import { ollama } from "./ollama.ts";
import { openai } from "./openai.ts";
import { openrouter } from "./openrouter.ts";
import { perplexity } from "./perplexity.ts";
import { sambanova } from "./sambanova.ts";
import { simulatedAnthropic, simulatedGoogle, simulatedOpenai } from "./simulated.ts";
import { together } from "./together.ts";
import { vertex } from "./vertex.ts";
import { vllm } from "./vllm.ts";
import { xai } from "./xai.ts";
import { xiaomi } from "./xiaomi.ts";
import { zai } from "./zai.ts";

export const providers: readonly Provider[] = [
  anthropic,
  azure,
  baseten,
  bedrock,
  bedrockConverse,
  cerebras,
  cohere,
  dashscope,
  deepinfra,
  deepseek,
  fireworks,
  google,
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
  openai,
  openrouter,
  perplexity,
  sambanova,
  simulatedAnthropic,
  simulatedGoogle,
  simulatedOpenai,
  together,
  vertex,
  vllm,
  xai,
  xiaomi,
  zai,
];
