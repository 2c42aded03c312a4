// The true context window, as messages name it that refuse a prompt for its length. Pure.

const TOKENS_MIN = 256;
const TOKENS_MAX = 100_000_000;
const NUMBER = String.raw`(\d{1,3}(?:[,_.]\d{3}){1,3}|\d{3,9})`;

/** In the order of how sure they are. What a prompt has must not be taken for what fits. */
const PATTERNS = [
  // "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens" (OpenAI, vLLM)
  `maximum (?:context|prompt) length (?:is|of) ${NUMBER}`,
  // "prompt is too long: 210000 tokens > 200000 maximum" (Anthropic); "… exceed context limit: 190000 + 20000 > 200000"
  String.raw`>=? ?${NUMBER}(?: tokens)?(?: maximum|,|\.|$)`,
  // "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)" (Google)
  String.raw`maximum number of (?:input )?tokens allowed \(?${NUMBER}`,
  // "exceeds the available context size (8192 tokens)" (llama.cpp), "context window of 32768 tokens"
  String.raw`context (?:size|window|length|limit) ?(?:is|of|:)? ?\(?${NUMBER}(?: tokens)?\b`,
].map((pattern) => new RegExp(pattern, "i"));

/** In tokens; `undefined` where the message names none, or no likely one. */
export function windowIn(message: string): number | undefined {
  for (const pattern of PATTERNS) {
    const named = pattern.exec(message)?.[1];
    if (named === undefined) continue;
    const tokens = Number(named.replaceAll(/[,_.]/g, ""));
    if (tokens >= TOKENS_MIN && tokens <= TOKENS_MAX) return tokens;
  }
  return undefined;
}
