// Hosts that are tolerant of what they are sent: only their answers and errors are their own.
import { bareText, detailError, detailText, messageTypeCode, openaiError } from "./envelopes.ts";
import type { Flavour } from "./flavour.ts";

export const deepinfra: Flavour = {
  name: "DeepInfra",
  request: {},
  answer: {
    reasoning: "reasoning_content",
    usage: "when_asked",
    usageExtras: { estimated_cost: 0.00001 },
    calls: "fragments",
  },
  failure: { envelope: detailError, faults: { auth: { status: 401, message: "User not authenticated" } } },
};

export const novita: Flavour = {
  name: "Novita AI",
  request: {},
  answer: { reasoning: "reasoning_content", usage: "when_asked", calls: "fragments" },
  failure: { envelope: openaiError, faults: {} },
};

export const hyperbolic: Flavour = {
  name: "Hyperbolic",
  request: {},
  answer: { usage: "when_asked", calls: "fragments" },
  failure: { envelope: openaiError, faults: {} },
};

export const baseten: Flavour = {
  name: "Baseten",
  request: {},
  answer: { usage: "when_asked", calls: "fragments" },
  failure: { envelope: openaiError, faults: {} },
};

export const nvidia: Flavour = {
  name: "NVIDIA NIM",
  request: {},
  answer: { usage: "when_asked", calls: "fragments" },
  failure: {
    envelope: ({ status, message }) => ({ type: "about:blank", status, title: "Error", detail: message }),
    faults: {
      auth: { status: 403, message: "Authorization failed" },
      model: { status: 404, message: "Function '00000000': Not found for account 'simulated'" },
    },
  },
};

export const huggingface: Flavour = {
  name: "Hugging Face",
  request: {},
  answer: { usage: "when_asked", calls: "fragments", headers: { "x-inference-provider": "simulated" } },
  failure: {
    envelope: bareText,
    faults: {
      auth: { status: 401, message: "Invalid username or password." },
      quota: {
        status: 402,
        message:
          "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO to get more.",
      },
    },
  },
};

export const xiaomi: Flavour = {
  name: "Xiaomi MiMo",
  request: {},
  answer: { reasoning: "reasoning_content", usage: "when_asked", calls: "fragments" },
  failure: { envelope: messageTypeCode, faults: {} },
};

export const nebius: Flavour = {
  name: "Nebius",
  request: {},
  answer: { reasoning: "reasoning_content", usage: "when_asked", calls: "fragments" },
  failure: { envelope: detailText, faults: {} },
};

/** The OpenAI-compatible endpoint of Amazon Bedrock. */
export const bedrock: Flavour = {
  name: "Amazon Bedrock",
  request: {
    roles: ["system", "developer", "user", "assistant", "tool"],
    refused: [
      { field: "n", when: (value) => value !== 1, fault: { message: "Unsupported parameter: 'n'", param: "n" } },
    ],
  },
  answer: { usage: "when_asked", calls: "fragments" },
  failure: { envelope: openaiError, faults: {} },
};
