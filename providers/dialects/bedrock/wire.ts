// The parts of a Converse request that we write.
import type { JsonObject } from "../../../src/chat.ts";

export interface Message {
  role: "user" | "assistant";
  content: JsonObject[];
}

interface InferenceConfig {
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  stopSequences?: string[];
}

export interface ToolConfig {
  tools: JsonObject[];
  toolChoice?: { auto: JsonObject } | { any: JsonObject } | { tool: { name: string } };
}

/** The model is named in the path. */
export interface ConverseBody {
  system?: JsonObject[];
  messages: Message[];
  inferenceConfig?: InferenceConfig;
  toolConfig?: ToolConfig;
  additionalModelRequestFields?: JsonObject;
  guardrailConfig?: JsonObject;
  serviceTier?: { type: string };
}
