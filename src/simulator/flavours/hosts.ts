// Hosts that serve models of others behind OpenAI's protocol: what each takes, answers and refuses.
import { letters } from "../face.ts";
import { errorWithId, errorWithObject, flatError, messageTypeCode, openaiError } from "./envelopes.ts";
import type { Flavour } from "./flavour.ts";

const groqUnsupported = (field: string) => ({ message: `property '${field}' is unsupported` });

export const groq: Flavour = {
  name: "Groq",
  request: {
    refused: [
      ...["logprobs", "top_logprobs", "logit_bias"].map((field) => ({ field, fault: groqUnsupported(field) })),
      { field: "n", when: (value: unknown) => value !== 1, fault: { message: "'n' : number must be at most 1" } },
      {
        field: "reasoning_format",
        when: (_, body) => body.include_reasoning !== undefined,
        fault: { message: "cannot specify both `reasoning_format` and `include_reasoning`" },
      },
      {
        field: "reasoning_format",
        when: (value, body) => value === "raw" && (body.tools !== undefined || body.response_format !== undefined),
        fault: {
          message: "`reasoning_format` must be one of `hidden` or `parsed` when using JSON mode or tool calling",
        },
      },
    ],
    messageKeys: ["role", "content", "tool_calls", "tool_call_id", "reasoning"],
    unknownKey: (at, role, key) => ({
      message: `'messages.${at}' : for 'role:${role}' the following must be satisfied[('messages.${at}' : property '${key}' is unsupported)]`,
    }),
  },
  answer: {
    reasoning: "reasoning",
    usage: "x_groq",
    calls: "whole",
    callId: (serial, at) => letters(serial, 10 + at, 9).toLowerCase(),
    extras: { service_tier: "on_demand" },
  },
  failure: {
    envelope: openaiError,
    faults: {
      auth: { status: 401, message: "Invalid API Key", code: "invalid_api_key" },
      rate: {
        status: 429,
        message:
          "Rate limit reached for model in organization on tokens per minute (TPM): Limit 6000, Used 5900, Requested 900. Please try again in 7.66s.",
        type: "tokens",
        code: "rate_limit_exceeded",
      },
      overloaded: {
        status: 498,
        message: "capacity exceeded",
        type: "internal_server_error",
        code: "capacity_exceeded",
      },
    },
    inStream: `data: ${JSON.stringify({ choices: [], x_groq: { id: "req_simulated", error: "over capacity" } })}\n\n`,
  },
  // Requests per day, tokens per minute.
  limits: ({ limit, remaining, resetS }) => ({
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": String(remaining),
    "x-ratelimit-reset-requests": goDuration(resetS),
    "x-ratelimit-limit-tokens": "6000",
    "x-ratelimit-remaining-tokens": "5100",
    "x-ratelimit-reset-tokens": "7.66s",
  }),
};

function goDuration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${minutes === 0 ? "" : `${minutes}m`}${seconds - minutes * 60}s`;
}

export const together: Flavour = {
  name: "Together AI",
  request: {
    nulls: "refused",
    refused: [
      {
        field: "logprobs",
        when: (value) => typeof value === "boolean",
        fault: {
          message: "Input validation error: logprobs must be an integer",
          type: "invalid_request_error",
          param: "logprobs",
        },
      },
    ],
  },
  answer: {
    reasoning: "reasoning",
    usage: "when_asked",
    calls: "fragments",
    finish: { stop: "eos" },
    choiceExtras: { seed: 7, text: "" },
  },
  failure: {
    envelope: errorWithId,
    faults: { auth: { status: 401, message: "Invalid API key provided.", code: "invalid_api_key" } },
  },
  // Values per second.
  limits: ({ limit, remaining, resetS }) => ({
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": String(remaining),
    "x-ratelimit-reset": String(resetS),
    "x-tokenlimit-limit": "3000",
    "x-tokenlimit-remaining": "2900",
    "x-tokenlimit-reset": "1",
  }),
};

export const fireworks: Flavour = {
  name: "Fireworks AI",
  request: {
    refused: [
      {
        field: "reasoning_effort",
        when: (value) => value === "minimal" || value === "xhigh",
        fault: { message: "reasoning_effort: Input should be 'low', 'medium' or 'high'" },
      },
      {
        field: "reasoning_effort",
        when: (_, body) => body.thinking !== undefined,
        fault: { message: "reasoning_effort and thinking cannot be set at the same time" },
      },
    ],
  },
  answer: {
    reasoning: "reasoning_content",
    usage: "when_asked",
    calls: "late_name",
    headers: { "fireworks-prompt-tokens": "12" },
  },
  failure: {
    envelope: errorWithObject,
    faults: { auth: { status: 401, message: "The API key you provided is invalid.", code: "UNAUTHORIZED" } },
  },
  limits: ({ limit, remaining }) => ({
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": String(remaining),
    "x-ratelimit-limit-tokens-prompt": "60000",
    "x-ratelimit-remaining-tokens-prompt": "59000",
  }),
};

const ROUTED_429 = { "X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0" };

export const openrouter: Flavour = {
  name: "OpenRouter",
  request: {},
  answer: {
    reasoning: "reasoning_and_details",
    usage: "always",
    usageExtras: { cost: 0.00012 },
    calls: "fragments",
    opening: [": OPENROUTER PROCESSING\n\n", ": OPENROUTER PROCESSING\n\n"],
    extras: { provider: "Simulated" },
    choiceExtras: { native_finish_reason: null },
  },
  failure: {
    envelope: ({ status, message, type }) => ({
      error: {
        code: status,
        message,
        metadata: { provider_name: "Simulated", error_type: type, ...(status === 429 ? { headers: ROUTED_429 } : {}) },
      },
      user_id: "user_simulated",
    }),
    faults: {
      auth: { status: 401, message: "User not found." },
      quota: { status: 402, message: "Insufficient credits. Add more using https://openrouter.ai/credits" },
      rate: { status: 429, message: "Rate limit exceeded: free-models-per-min." },
      model: { status: 404, message: "No endpoints found for this model." },
      overloaded: { status: 503, message: "Provider returned error", type: "provider_overloaded" },
    },
    inStream: `data: ${JSON.stringify({
      id: "gen-simulated",
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta: { content: "" }, finish_reason: "error", native_finish_reason: "error" }],
      error: { code: 502, message: "Provider disconnected", metadata: { error_type: "provider_unavailable" } },
    })}\n\n`,
  },
  // The reset is an instant, in milliseconds.
  limits: ({ limit, remaining, resetS, nowMs }) => ({
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": String(remaining),
    "x-ratelimit-reset": String(nowMs + resetS * 1000),
  }),
};

export const cerebras: Flavour = {
  name: "Cerebras",
  request: {
    refused: ["frequency_penalty", "presence_penalty", "logit_bias"].map((field) => ({
      field,
      fault: { message: `Unsupported parameter: '${field}'`, code: "wrong_api_format", param: field },
    })),
    messageKeys: ["role", "content", "name", "tool_calls", "tool_call_id", "reasoning"],
    unknownKey: (at, role, key) => ({
      message: `body.messages.${at}.${role}.${key}: property '${key}' is unsupported`,
      code: "wrong_api_format",
      param: key,
    }),
  },
  answer: {
    reasoning: "reasoning",
    usage: "in_finish_chunk",
    calls: "whole",
    lastExtras: { time_info: { queue_time: 0.001, prompt_time: 0.002, completion_time: 0.003, total_time: 0.006 } },
  },
  failure: {
    envelope: flatError,
    faults: {
      auth: { status: 401, message: "Wrong API Key", type: "invalid_request_error", code: "wrong_api_key" },
      rate: { status: 429, message: "Rate limit exceeded", type: "rate_limit_error", code: "rate_limit_error" },
      overloaded: {
        status: 503,
        message: "We're experiencing high traffic right now!",
        type: "too_many_requests_error",
      },
    },
  },
  limits: ({ limit, remaining, resetS }) => ({
    "x-ratelimit-limit-requests-day": String(limit),
    "x-ratelimit-remaining-requests-day": "9000",
    "x-ratelimit-reset-requests-day": "33011.382867",
    "x-ratelimit-limit-requests-minute": String(limit),
    "x-ratelimit-remaining-requests-minute": String(remaining),
    "x-ratelimit-reset-requests-minute": `${resetS}.382867`,
  }),
};

export const sambanova: Flavour = {
  name: "SambaNova",
  request: {},
  answer: {
    usage: "always",
    usageExtras: { time_to_first_token: 0.1, total_latency: 0.5, completion_tokens_per_sec: 300 },
    calls: "whole",
  },
  failure: { envelope: messageTypeCode, faults: {} },
  limits: ({ limit, remaining, resetS }) => ({
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": String(remaining),
    "x-ratelimit-reset-requests": String(resetS),
    "x-ratelimit-limit-requests-day": "9000",
    "x-ratelimit-remaining-requests-day": "8000",
    "x-ratelimit-reset-requests-day": "4h17m",
  }),
};
