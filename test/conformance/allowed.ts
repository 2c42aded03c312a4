// What may reach a provider although the caller did not say it, each with the reason.
import type { Leaf } from "./leaves.ts";

export interface Allowance {
  /** Of the leaf, as `leaves.ts` writes it. */
  path: RegExp;
  /** Of the value as JSON. */
  value: RegExp;
  reason: string;
}

const allow = (path: RegExp, value: RegExp, reason: string): Allowance => ({ path, value, reason });

const MODEL_WORDS = "the provider's word for what OpenAI calls differently";
const FORM = "how this protocol writes what the caller said";
const CLOSED = "a strict schema is closed";

const COMPATIBLE: readonly Allowance[] = [
  allow(/^stream_options\.include_usage$/, /^true$/, "the usage of a stream is asked for: the bill needs it"),
  allow(/^messages\[\]\.role$/, /^"system"$/, "a developer message is a system message"),
];

const ANTHROPIC: readonly Allowance[] = [
  allow(/^max_tokens$/, /^\d+$/, "this API has no default: the maximum of the model"),
  allow(/^messages\[\](\.content\[\])+\.type$/, /^"(text|tool_use|tool_result)"$/, FORM),
  allow(
    /^(thinking|output_config\.format|tool_choice)\.type$/,
    /^"(adaptive|json_schema|any|auto|none|tool)"$/,
    MODEL_WORDS,
  ),
  allow(/^thinking\.display$/, /^"summarized"$/, "a caller who asks for thinking wants to see it"),
  allow(/^tool_choice\.disable_parallel_tool_use$/, /^true$/, "`parallel_tool_calls: false` in this API's words"),
  allow(/^output_config\.format\.schema\.additionalProperties$/, /^false$/, CLOSED),
  allow(/^stream$/, /^true$/, "long answers are fetched as a stream: connections that stay silent are dropped"),
  allow(
    /^tools\[\]\.(description|input_schema\.type)$/,
    /^"(\(no longer available\)|object)"$/,
    "calls in the history need their tools declared, whether the caller still has them or not",
  ),
];

const GOOGLE: readonly Allowance[] = [
  allow(/^contents\[\]\.role$/, /^"model"$/, MODEL_WORDS),
  allow(/^generationConfig\.responseMimeType$/, /^"application\/json"$/, FORM),
  allow(/^generationConfig\.responseJsonSchema\.additionalProperties$/, /^false$/, CLOSED),
  allow(
    /^generationConfig\.thinkingConfig\.includeThoughts$/,
    /^true$/,
    "a caller who asks for thinking wants to see it",
  ),
  allow(/^toolConfig\.functionCallingConfig\.mode$/, /^"(ANY|AUTO|NONE)"$/, MODEL_WORDS),
];

const COHERE: readonly Allowance[] = [
  allow(/^messages\[\]\.role$/, /^"system"$/, "a developer message is a system message"),
  allow(/^tool_choice$/, /^"(REQUIRED|NONE)"$/, MODEL_WORDS),
  allow(/^thinking\.type$/, /^"enabled"$/, MODEL_WORDS),
  allow(/^thinking\.token_budget$/, /^\d+$/, "a level as a budget: it has no levels"),
  allow(/^response_format\.type$/, /^"json_object"$/, FORM),
  allow(/^response_format\.json_schema\.additionalProperties$/, /^false$/, FORM),
  allow(/^p$/, /^0\.99$/, "it refuses 1"),
];

const CONVERSE: readonly Allowance[] = [
  allow(/^toolConfig\.toolChoice\.any$/, /^"{}"$/, MODEL_WORDS),
  allow(
    /^additionalModelRequestFields\.(thinking|output_config\.format)\.type$/,
    /^"(enabled|adaptive|json_schema)"$/,
    MODEL_WORDS,
  ),
  allow(
    /^additionalModelRequestFields\.thinking\.display$/,
    /^"summarized"$/,
    "a caller who asks for thinking wants to see it",
  ),
  allow(/^additionalModelRequestFields\.thinking\.budget_tokens$/, /^\d+$/, "a level as a budget: it has no levels"),
  allow(/^additionalModelRequestFields\.output_config\.format\.schema\.additionalProperties$/, /^false$/, CLOSED),
  allow(/^inferenceConfig\.maxTokens$/, /^\d+$/, "a budget must lie below a limit: the maximum of the model"),
  allow(
    /^messages\[\]\.content\[\]\.text$/,
    /^"\[(called \w+ with .*|tool result)\]"$/,
    "calls in the history are told as text where none may be made: it has no other way to forbid them",
  ),
];

const IN_WORDS = allow(
  /^messages\[\]\.content$/,
  /Answer with JSON only, and with a value that this JSON schema accepts: /,
  "a schema can only be asked for in words",
);
const BARE_JSON = allow(/^response_format\.type$/, /^"json_object"$/, "it knows no schemas");
const SWITCH = "its switch for thinking";
const NEXT_LEVEL = allow(/^reasoning_effort$/, /^"high"$/, "a level it does not have: the next one, reported");
const NO_CHOICE = allow(/^tool_choice$/, /^"auto"$/, "it cannot be forced: reported");
const TEMPLATE = allow(/^chat_template_kwargs\.enable_thinking$/, /^true$/, SWITCH);
const TYPE = allow(/^thinking\.type$/, /^"(enabled|adaptive)"$/, SWITCH);

/** By provider. */
const OWN: Readonly<Record<string, readonly Allowance[]>> = {
  cohere: [IN_WORDS],
  dashscope: [
    allow(/^enable_thinking$/, /^(true|false)$/, SWITCH),
    allow(/^thinking_budget$/, /^\d+$/, "a level as a share of the most it thinks"),
    allow(/^stream$/, /^true$/, "some models think in streams only"),
    NO_CHOICE,
  ],
  deepseek: [
    allow(/^messages\[\]\.reasoning_content$/, /^""$/, "it refuses turns without the field while it thinks"),
    IN_WORDS,
    BARE_JSON,
    NEXT_LEVEL,
    TYPE,
  ],
  llamacpp: [TEMPLATE],
  lmstudio: [allow(/^tool_choice$/, /^"required"$/, "only words are known: the other tools are left out instead")],
  minimax: [TYPE, allow(/^reasoning_split$/, /^true$/, "reasoning apart from the text")],
  mistral: [
    allow(
      /^messages\[\]\.(tool_call_id|tool_calls\[\]\.id)$/,
      /^"[0-9a-f]{9}"$/,
      "it takes ids of nine characters only",
    ),
    allow(/^tool_choice$/, /^"any"$/, MODEL_WORDS),
    NEXT_LEVEL,
  ],
  moonshot: [
    allow(/^messages\[\]\.reasoning_content$/, /^" "$/, "it refuses calls without the field while it thinks"),
    TYPE,
  ],
  nvidia: [TEMPLATE],
  ollama: [NO_CHOICE],
  together: [allow(/^reasoning\.enabled$/, /^true$/, SWITCH)],
  vllm: [TEMPLATE],
  xiaomi: [
    allow(/^messages\[\]\.reasoning_content$/, /^" "$/, "it refuses calls without the field while it thinks"),
    TYPE,
  ],
  zai: [
    allow(/^tool_stream$/, /^true$/, "arguments of calls come whole without it"),
    IN_WORDS,
    BARE_JSON,
    NEXT_LEVEL,
    NO_CHOICE,
    TYPE,
  ],
};

export function allowanceFor(provider: string, dialect: string, { path, value }: Leaf): Allowance | undefined {
  const common =
    {
      "openai-chat": COMPATIBLE,
      "anthropic-messages": ANTHROPIC,
      "google-generate": GOOGLE,
      "bedrock-converse": CONVERSE,
      "cohere-chat": COHERE,
    }[dialect] ?? [];
  const text = JSON.stringify(value);
  return [...common, ...(OWN[provider] ?? [])].find((one) => one.path.test(path) && one.value.test(text));
}
