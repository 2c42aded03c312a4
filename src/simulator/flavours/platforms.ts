// Model vendors with platforms of their own in China: what each takes, answers and refuses.
import type { Fault } from "../face.ts";
import { messageAndType, openaiError } from "./envelopes.ts";
import type { Flavour } from "./flavour.ts";

const KIMI_FIXED = /^kimi-(k2\.[5-9]|k[3-9])/;
const kimiRefuses = (field: string, accepted: unknown) => ({
  field,
  models: KIMI_FIXED,
  when: (value: unknown) => value !== accepted,
  fault: { message: `invalid ${field}: only ${accepted} is allowed for this model` },
});

export const moonshot: Flavour = {
  name: "Moonshot AI",
  request: {
    refused: [
      kimiRefuses("temperature", 1),
      kimiRefuses("n", 1),
      kimiRefuses("presence_penalty", 0),
      kimiRefuses("frequency_penalty", 0),
      kimiRefuses("top_p", 0.95),
      {
        field: "thinking",
        models: /^kimi-k2\.7-code/,
        when: (value) => typeof value === "object" && value !== null && "type" in value && value.type !== "enabled",
        fault: { message: "invalid thinking: only type=enabled is allowed for this model" },
      },
    ],
    reasoningBack: {
      turns: "tool_calls",
      isFilled: true,
      fault: (at) => ({
        message: `thinking is enabled but reasoning_content is missing in assistant tool call message at index ${at}`,
      }),
    },
    images: "inline",
  },
  answer: {
    reasoning: "reasoning_content",
    thinkers: /^kimi-k(2\.[5-9]|2-thinking|[3-9])/,
    thinksUnasked: KIMI_FIXED,
    usage: "in_choice_unless_asked",
    cachedAt: "cached_tokens",
    calls: "fragments",
    callId: (_, at, name) => `functions.${name}:${at}`,
  },
  failure: {
    envelope: messageAndType,
    faults: {
      auth: { status: 401, message: "Invalid Authentication", type: "invalid_authentication_error" },
      quota: {
        status: 429,
        message: "You exceeded your current quota, please check your account balance",
        type: "exceeded_current_quota_error",
      },
      rate: { status: 429, message: "Your account reached its max RPM: 3", type: "rate_limit_reached_error" },
      overloaded: {
        status: 429,
        message: "The engine is currently overloaded, please try again later",
        type: "engine_overloaded_error",
      },
    },
  },
};

const QWEN_OPEN = /^qwen3-\d+b/;

export const dashscope: Flavour = {
  name: "DashScope",
  request: {
    refused: [
      {
        field: "n",
        when: (value, body) => value !== 1 && Array.isArray(body.tools),
        fault: { message: "n must be 1 when tools is used", code: "invalid_parameter_error" },
      },
      {
        field: "model",
        models: QWEN_OPEN,
        when: (_, body) => body.stream !== true && body.enable_thinking !== false,
        fault: {
          message: "parameter.enable_thinking must be set to false for non-streaming calls",
          code: "invalid_parameter_error",
        },
      },
    ],
  },
  answer: {
    reasoning: "reasoning_content",
    thinksUnasked: QWEN_OPEN,
    usage: "when_asked",
    calls: "blank_ids",
  },
  failure: {
    envelope: (fault) => ({ ...(openaiError(fault) as object), request_id: "simulated" }),
    faults: {
      auth: { status: 401, message: "Incorrect API key provided.", code: "invalid_api_key" },
      quota: { status: 403, message: "Free allocated quota exceeded.", code: "insufficient_quota" },
      rate: { status: 429, message: "Requests rate limit exceeded, please try again later.", code: "limit_requests" },
      filter: { status: 400, message: "Input data may contain inappropriate content.", code: "data_inspection_failed" },
    },
    // An error event that has no `error`.
    inStream: `data: ${JSON.stringify({
      code: "InternalError",
      message: "The request failed.",
      request_id: "simulated",
    })}\n\n`,
  },
};

export const zai: Flavour = {
  name: "Zhipu",
  request: {
    toolChoices: {
      words: ["auto"],
      named: false,
      fault: () => ({ message: "tool_choice 参数有误：only auto is supported", code: "1210" }),
    },
    refused: [
      {
        field: "top_p",
        when: (value) => typeof value === "number" && (value <= 0 || value >= 1),
        fault: { message: "top_p 参数非法。请检查文档。", code: "1210" },
      },
      {
        field: "stop",
        when: (value) => Array.isArray(value) && value.length > 4,
        fault: { message: "stop 参数非法。请检查文档。", code: "1210" },
      },
      {
        field: "temperature",
        when: (value) => value === 0,
        fault: { message: "temperature 参数非法。请检查文档。", code: "1210" },
      },
    ],
  },
  answer: {
    reasoning: "reasoning_content",
    thinksUnasked: /^glm-/,
    usage: "always",
    calls: "whole",
    finish: { filter: "sensitive" },
    opening: ['data: {"id":"","object":"","created":0,"model":"","choices":null,"usage":null}\n\n'],
  },
  failure: {
    envelope: ({ message, code }) => ({ error: { code: code ?? "1210", message } }),
    faults: {
      auth: { status: 401, message: "Authentication Failed", code: "1000" },
      quota: { status: 429, message: "Insufficient balance or no resource package. Please recharge.", code: "1113" },
      rate: { status: 429, message: "Rate limit reached for requests", code: "1302" },
      model: { status: 400, message: "Unknown Model, please check the model code.", code: "1211" },
      context: { status: 400, message: "Prompt exceeds max length", code: "1261" },
      filter: { status: 400, message: "The system has detected potentially unsafe content", code: "1301" },
      params: { status: 400, message: "The messages parameter is illegal.", code: "1214" },
      // With HTTP 200.
      overloaded: { status: 200, message: "该模型当前访问量过大，请您稍后再试", code: "1305" },
      server: { status: 500, message: "Network error, please contact customer service", code: "1234" },
    },
    inStream: `data: ${JSON.stringify({
      choices: [{ index: 0, delta: {}, finish_reason: "network_error" }],
    })}\n\ndata: [DONE]\n\n`,
  },
};

/** MiniMax tells most failures with HTTP 200. */
const baseResp = (code: string, message: string): Partial<Fault> => ({ status: 200, code, message });

export const minimax: Flavour = {
  name: "MiniMax",
  request: {
    fields: [
      "max_tokens",
      "n",
      "reasoning_split",
      "response_format",
      "stream_options",
      "temperature",
      "thinking",
      "tool_choice",
      "tools",
      "top_p",
    ],
    unknownField: (field) => baseResp("2013", `invalid params, unknown field: ${field}`),
    systemMessages: "one_at_the_start",
    tools: "checked",
    refused: [
      {
        field: "temperature",
        when: (value) => typeof value === "number" && (value <= 0 || value > 1),
        fault: baseResp("2013", "invalid params, temperature must be in (0, 1]"),
      },
      {
        field: "n",
        when: (value) => value !== 1,
        fault: baseResp("2013", "invalid params, n must be 1"),
      },
      {
        field: "thinking",
        models: /^MiniMax-M3/,
        when: (value) =>
          typeof value === "object" &&
          value !== null &&
          !["adaptive", "disabled"].includes(String(Reflect.get(value, "type"))),
        fault: { message: "invalid params, thinking.type must be adaptive or disabled", code: "2013" },
      },
      {
        field: "reasoning_split",
        models: /^MiniMax-M3/,
        fault: { message: "invalid params, unknown field: reasoning_split", code: "2013" },
      },
    ],
  },
  answer: {
    reasoning: "split_snapshots",
    thinksUnasked: /^MiniMax-M/,
    usage: "in_finish_chunk",
    calls: "fragments",
    message: "in_last_chunk",
    lastExtras: { base_resp: { status_code: 0, status_msg: "" } },
  },
  failure: {
    envelope: ({ status, message, code, type = "invalid_request_error" }) =>
      status === 200
        ? { choices: null, base_resp: { status_code: Number(code), status_msg: message } }
        : { type: "error", error: { type, message, http_code: String(status) }, request_id: "simulated" },
    retryAfter: false,
    faults: {
      auth: baseResp("1004", "login fail: Please carry the API secret key"),
      quota: baseResp("1008", "insufficient balance"),
      rate: baseResp("1002", "rate limit exceeded"),
      filter: baseResp("1026", "input new_sensitive"),
      params: baseResp("2013", "invalid params"),
      overloaded: {
        status: 529,
        message: "The server cluster is currently under high load.",
        type: "overloaded_error",
      },
    },
    inStream: `data: ${JSON.stringify({
      choices: null,
      base_resp: { status_code: 1000, status_msg: "unknown error" },
    })}\n\n`,
  },
};
