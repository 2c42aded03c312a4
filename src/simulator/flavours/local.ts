// Servers people run themselves: what each takes, answers and refuses.
import { letters } from "../face.ts";
import { bareText, codedByStatus, openaiError } from "./envelopes.ts";
import type { Flavour } from "./flavour.ts";

const key = { header: "authorization", isOptional: true } as const;

export const ollama: Flavour = {
  name: "Ollama",
  key,
  request: { images: "inline" },
  answer: { reasoning: "reasoning", usage: "when_asked", calls: "index_zero", finish: { tool: "stop" } },
  failure: {
    envelope: openaiError,
    faults: {
      model: { status: 404, message: "model 'simulated' not found", type: "not_found_error" },
      overloaded: { status: 503, message: "server busy, please try again.  maximum pending requests exceeded" },
    },
  },
};

export const vllm: Flavour = {
  name: "vLLM",
  key,
  request: {},
  answer: {
    reasoning: "reasoning",
    usage: "when_asked",
    calls: "repeated_name",
    callId: (serial, at) => `chatcmpl-tool-${letters(serial, 10 + at, 16).toLowerCase()}`,
    choiceExtras: { stop_reason: null, token_ids: null },
  },
  failure: {
    envelope: ({ status, message, type = "BadRequestError", param = null }) => ({
      error: { message, type, param, code: status },
    }),
    faults: {
      auth: { status: 401, message: "Unauthorized", type: "Unauthorized" },
      model: { status: 404, message: "The model `simulated` does not exist.", type: "NotFoundError" },
      context: {
        status: 400,
        message: "This model's maximum context length is 8192 tokens. However, your request has 9412 input tokens.",
      },
    },
    // The stream goes on to its end marker.
    inStream: `data: ${JSON.stringify({
      error: { message: "EngineCore encountered an issue.", type: "InternalServerError", param: null, code: 500 },
    })}\n\ndata: [DONE]\n\n`,
  },
};

export const llamacpp: Flavour = {
  name: "llama.cpp",
  key,
  request: {},
  answer: {
    reasoning: "reasoning_content",
    usage: "when_asked",
    calls: "fragments",
    lastExtras: { timings: { prompt_n: 12, prompt_ms: 3.5, predicted_n: 8, predicted_ms: 40.1 } },
  },
  failure: {
    envelope: (fault) => {
      const { error } = codedByStatus(fault) as { error: object };
      const told = fault.type === "exceed_context_size_error" ? { n_prompt_tokens: 9412, n_ctx: 8192 } : {};
      return { error: { ...error, ...told } };
    },
    faults: {
      auth: { status: 401, message: "Invalid API Key", type: "authentication_error" },
      context: {
        status: 400,
        message: "request (9412 tokens) exceeds the available context size (8192 tokens)",
        type: "exceed_context_size_error",
      },
      overloaded: { status: 503, message: "Loading model", type: "unavailable_error" },
    },
  },
};

export const lmstudio: Flavour = {
  name: "LM Studio",
  key,
  request: {
    toolChoices: {
      words: ["none", "auto", "required"],
      named: false,
      fault: (choice) => ({
        message: `Invalid tool_choice type: '${typeof choice}'. Supported string values: none, auto, required`,
      }),
    },
    formats: {
      types: ["text", "json_schema"],
      fault: () => ({ message: "'response_format.type' must be 'json_schema' or 'text'" }),
    },
  },
  answer: { reasoning: "reasoning_content", usage: "when_asked", calls: "whole" },
  failure: {
    envelope: bareText,
    faults: {},
    inStream: `event: error\ndata: ${JSON.stringify({ error: { message: "The model has crashed." } })}\n\n`,
  },
};
