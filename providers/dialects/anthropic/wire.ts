// The parts of an Anthropic Messages request that we write, after the vendor's own type definitions.
import type {
  CacheControlEphemeral,
  DocumentBlockParam,
  ImageBlockParam,
  OutputConfig,
  RedactedThinkingBlockParam,
  TextBlockParam,
  ThinkingBlockParam,
  ThinkingConfigParam,
  Tool,
  ToolChoice,
  ToolResultBlockParam,
  ToolUseBlockParam,
  WebSearchTool20250305,
} from "@anthropic-ai/sdk/resources/messages";

export type {
  CacheControlEphemeral,
  ImageBlockParam,
  TextBlockParam,
  ThinkingConfigParam,
  Tool,
  ToolChoice,
  ToolResultBlockParam,
  ToolUseBlockParam,
};
export type Document = DocumentBlockParam;
export type ThinkingBlock = ThinkingBlockParam | RedactedThinkingBlockParam;
type UserBlock = TextBlockParam | ImageBlockParam | DocumentBlockParam | ToolResultBlockParam;
export type Block = UserBlock | ThinkingBlock | ToolUseBlockParam;
export type AnyTool = Tool | WebSearchTool20250305;

export interface Turn {
  role: "user" | "assistant" | "system";
  content: Block[];
}

/** Version 2023-06-01: the one under which models up to 4.6 still take sampling parameters. */
export interface MessagesBody {
  model: string;
  max_tokens: number;
  system?: string | TextBlockParam[];
  messages: Turn[];
  tools?: AnyTool[];
  tool_choice?: ToolChoice;
  thinking?: ThinkingConfigParam;
  output_config?: OutputConfig;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  stop_sequences?: string[];
  metadata?: { user_id: string };
  service_tier?: "auto" | "standard_only";
  cache_control?: CacheControlEphemeral;
  stream?: true;
}
