// Vendors that serve their own models behind OpenAI's protocol: what each takes, answers and refuses.
import type { Fault } from "../face.ts";
import { letters } from "../face.ts";
import { codeAndText, extraForbidden, openaiError } from "./envelopes.ts";
import type { Flavour } from "./flavour.ts";

const MISTRAL_FIELDS = [
  "frequency_penalty",
  "guardrails",
  "max_tokens",
  "n",
  "parallel_tool_calls",
  "prediction",
  "presence_penalty",
  "prompt_cache_key",
  "prompt_mode",
  "random_seed",
  "reasoning_effort",
  "response_format",
  "safe_prompt",
  "stop",
  "temperature",
  "tool_choice",
  "tools",
  "top_p",
];

const mistralForbids = (loc: readonly (string | number)[]): Partial<Fault> => ({
  status: 422,
  type: "invalid_request_error",
  details: [extraForbidden(loc)],
});

export const mistral: Flavour = {
  name: "Mistral",
  request: {
    fields: MISTRAL_FIELDS,
    unknownField: (field) => mistralForbids([field]),
    messageKeys: ["role", "content", "tool_calls", "tool_call_id", "prefix"],
    unknownKey: (at, role, key) => mistralForbids(["messages", at, role, key]),
    emptyTools: "refused",
    nullCalls: "refused",
    lastRoles: ["user", "tool"],
    toolChoices: {
      words: ["none", "auto", "any"],
      named: true,
      fault: () => ({
        status: 422,
        details: [{ loc: ["body", "tool_choice"], msg: "Input should be 'auto', 'none' or 'any'" }],
      }),
    },
    callIds: {
      pattern: /^[a-zA-Z0-9]{9}$/,
      fault: (id) => ({
        message: `Tool call id was ${id} but must be a-z, A-Z, 0-9, with a length of 9.`,
        code: "3280",
      }),
    },
  },
  answer: {
    reasoning: "thinking_parts",
    usage: "in_finish_chunk",
    cachedAt: "num_cached_tokens",
    calls: "unindexed",
    callId: (serial, at) => letters(serial, 10 + at, 9),
  },
  failure: {
    envelope: ({ message, type = "invalid_request_error", code = null, details }) => ({
      object: "error",
      message: details === undefined ? message : { detail: details },
      type,
      param: null,
      code,
    }),
    faults: {
      auth: { status: 401, message: "Unauthorized", type: "unauthorized" },
      rate: { status: 429, message: "Rate limit exceeded", type: "rate_limited", code: "1300" },
      overloaded: { status: 503, message: "Service unavailable.", type: "service_unavailable" },
      context: {
        message:
          "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum context length",
        code: "3051",
      },
    },
    retryAfter: false,
  },
  // No reset is told: windows end with the minute.
  limits: ({ limit, remaining }) => ({
    "x-ratelimit-limit-req-minute": String(limit),
    "x-ratelimit-remaining-req-minute": String(remaining),
    "x-ratelimit-limit-tokens-minute": "500000",
    "x-ratelimit-remaining-tokens-minute": "499000",
    "x-ratelimit-tokens-query-cost": "1000",
  }),
};

export const deepseek: Flavour = {
  name: "DeepSeek",
  request: {
    textParts: "refused",
    formats: {
      types: ["text", "json_object"],
      fault: () => ({ message: "This response_format type is unavailable now" }),
    },
    reasoningBack: {
      turns: "all",
      isFilled: false,
      fault: () => ({ message: "The reasoning_content in the thinking mode must be passed back to the API." }),
    },
  },
  answer: {
    reasoning: "reasoning_content",
    thinksUnasked: /v4|reasoner/,
    usage: "in_finish_chunk",
    cachedAt: "prompt_cache_hit_tokens",
    calls: "fragments",
    callId: (serial, at) => `call_${at}_${letters(serial, 10 + at, 24)}`,
    opening: [": keep-alive\n\n"],
  },
  failure: {
    envelope: openaiError,
    faults: {
      auth: { status: 401, message: "Authentication Fails, Your api key is invalid", type: "authentication_error" },
      quota: { status: 402, message: "Insufficient Balance", type: "unknown_error", code: "invalid_request_error" },
      params: { status: 422, message: "Failed to deserialize the JSON body into the target type" },
    },
    inStream: `data: ${JSON.stringify({
      choices: [{ index: 0, delta: {}, finish_reason: "insufficient_system_resource" }],
    })}\n\ndata: [DONE]\n\n`,
  },
};

/** Names come back in camel case. */
const xaiRefuses = (field: string, models: RegExp) => ({
  field,
  models,
  fault: {
    message: `Argument not supported on this model: ${field.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    code: "invalid-argument",
  },
});
const XAI_REASONING = /^grok-(4|3-mini|code)(?!.*non-reasoning)/;

export const xai: Flavour = {
  name: "xAI",
  request: {
    refused: [
      ...["presence_penalty", "frequency_penalty", "stop"].map((field) => xaiRefuses(field, XAI_REASONING)),
      xaiRefuses("reasoning_effort", /^grok-(4\.20(-\d+)?-(non-)?reasoning|4(-\d{4})?$)/),
    ],
  },
  answer: {
    reasoning: "reasoning_content",
    usage: "when_asked",
    reasoningApart: true,
    calls: "whole",
    lastExtras: { citations: ["https://example.com/source"] },
  },
  failure: {
    envelope: codeAndText,
    faults: {
      // A bad key is a 400 here, and its ends are quoted (continuedev/continue#10778).
      auth: {
        status: 400,
        message: "Incorrect API key provided: xa***23. You can obtain an API key from https://console.x.ai.",
        code: "Client specified an invalid argument",
      },
      overloaded: {
        status: 200,
        message: "The model is at capacity, try again later.",
        code: "The service is currently unavailable",
      },
    },
  },
  limits: ({ limit, remaining }) => ({
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": String(remaining),
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999000",
  }),
};

const perplexityFault = (message: string): Partial<Fault> => ({ message, type: "invalid_message" });

export const perplexity: Flavour = {
  name: "Perplexity",
  request: {
    roles: ["system", "user", "assistant"],
    textParts: "refused",
    alternates: true,
    lastRoles: ["user", "tool"],
    refused: ["stop", "seed", "logprobs", "n", "tools"].map((field) => ({
      field,
      fault: { message: `${field} is not supported`, type: "invalid_parameter" },
    })),
    formats: {
      types: ["text", "json_schema"],
      fault: () => perplexityFault("response_format type must be json_schema"),
    },
  },
  answer: {
    reasoning: "think_tags",
    thinksUnasked: /reasoning|deep-research/,
    usage: "in_every_chunk",
    usageExtras: { search_context_size: "low", citation_tokens: 3, num_search_queries: 1 },
    calls: "whole",
    message: "in_every_chunk",
    extras: {
      citations: ["https://example.com/source"],
      search_results: [{ title: "A source", url: "https://example.com/source", date: null }],
    },
  },
  failure: {
    envelope: ({ status, message, type = "bad_request" }) =>
      status === 401
        ? "<html><head><title>401 Authorization Required</title></head><body></body></html>"
        : { error: { message, type, code: status } },
    faults: {},
  },
};

/** The OpenAI-compatible endpoint. */
export const cohere: Flavour = {
  name: "Cohere",
  request: {
    textParts: "refused",
    refused: [
      {
        field: "reasoning_effort",
        when: (value) => value !== "none" && value !== "high",
        fault: { message: "reasoning_effort must be one of none, high" },
      },
    ],
  },
  answer: {
    usage: "when_asked",
    calls: "whole",
    callId: (serial, at, name) => `${name}_${letters(serial, 10 + at, 12)}`,
  },
  failure: {
    envelope: ({ message }) => ({ message, id: "simulated" }),
    faults: { auth: { status: 401, message: "invalid api token" } },
  },
  limits: ({ limit, remaining }) => ({
    "x-trial-endpoint-call-limit": String(limit),
    "x-trial-endpoint-call-remaining": String(remaining),
    "x-endpoint-monthly-call-limit": "1000",
  }),
};
