// Azure OpenAI: OpenAI's protocol with content filters around it.
import { openaiError } from "./envelopes.ts";
import type { Flavour } from "./flavour.ts";

const AZURE_FILTER = {
  hate: { filtered: false, severity: "safe" },
  self_harm: { filtered: false, severity: "safe" },
  sexual: { filtered: false, severity: "safe" },
  violence: { filtered: false, severity: "safe" },
};

export const azure: Flavour = {
  name: "Azure OpenAI",
  key: { header: "api-key" },
  request: {
    fields: [
      "audio",
      "frequency_penalty",
      "function_call",
      "functions",
      "logit_bias",
      "logprobs",
      "max_completion_tokens",
      "max_tokens",
      "metadata",
      "modalities",
      "n",
      "parallel_tool_calls",
      "prediction",
      "presence_penalty",
      "prompt_cache_key",
      "reasoning_effort",
      "response_format",
      "safety_identifier",
      "seed",
      "service_tier",
      "stop",
      "store",
      "stream_options",
      "temperature",
      "tool_choice",
      "tools",
      "top_logprobs",
      "top_p",
      "user",
      "verbosity",
    ],
    unknownField: (field) => ({ message: `Unrecognized request argument supplied: ${field}` }),
    messageKeys: [
      "role",
      "content",
      "name",
      "refusal",
      "audio",
      "function_call",
      "tool_calls",
      "tool_call_id",
      "annotations",
    ],
    unknownKey: (at, _, key) => ({
      message: `Unknown parameter: 'messages[${at}].${key}'.`,
      code: "unknown_parameter",
    }),
    emptyTools: "refused",
    roles: ["system", "developer", "user", "assistant", "tool", "function"],
    refused: [
      {
        field: "max_tokens",
        models: /^(o\d|gpt-[5-9])/,
        fault: {
          message:
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
          code: "unsupported_parameter",
          param: "max_tokens",
        },
      },
    ],
  },
  answer: {
    usage: "when_asked",
    calls: "fragments",
    opening: [
      `data: ${JSON.stringify({
        id: "",
        object: "",
        created: 0,
        model: "",
        choices: [],
        prompt_filter_results: [{ prompt_index: 0, content_filter_results: AZURE_FILTER }],
      })}\n\n`,
    ],
    choiceExtras: { content_filter_results: AZURE_FILTER },
    headers: { "apim-request-id": "simulated", "x-ms-region": "simulated" },
  },
  failure: {
    envelope: (fault) => {
      const error = (openaiError(fault) as { error: object }).error;
      if (fault.code !== "content_filter") return { error };
      const innererror = { code: "ResponsibleAIPolicyViolation", content_filter_result: AZURE_FILTER };
      return { error: { ...error, innererror } };
    },
    faults: {
      auth: {
        status: 401,
        message: "Access denied due to invalid subscription key or wrong API endpoint.",
        code: "401",
      },
      model: {
        status: 404,
        message: "The API deployment for this resource does not exist.",
        code: "DeploymentNotFound",
      },
      rate: {
        status: 429,
        message:
          "Requests to the ChatCompletions_Create Operation have exceeded call rate limit. Please retry after 6 seconds.",
        code: "429",
      },
      filter: {
        status: 400,
        message: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        code: "content_filter",
        param: "prompt",
      },
    },
  },
  limits: ({ limit, remaining }) => ({
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": String(remaining),
    "x-ratelimit-remaining-tokens": "99000",
  }),
};
