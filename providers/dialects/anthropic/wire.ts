// The parts of an Anthropic Messages request that we write, after the vendor's own type definitions.
import type {
  CacheControlEphemeral,
  DocumentBlockParam,
  ImageBlockParam,
  OutputConfig,
  RedactedThinkingBlockParam,
  ServerToolUseBlockParam,
  TextBlockParam,
  ThinkingBlockParam,
  ThinkingConfigParam,
  Tool,
  ToolChoice,
  ToolResultBlockParam,
  ToolUseBlockParam,
  WebSearchTool20250305,
  WebSearchToolResultBlockParam,
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
/** Blocks of the provider's own tools, sent back as they came: calls, and results of any kind. */
export type ServerBlock = ServerToolUseBlockParam | WebSearchToolResultBlockParam;
type UserBlock = TextBlockParam | ImageBlockParam | DocumentBlockParam | ToolResultBlockParam;
export type Block = UserBlock | ThinkingBlock | ToolUseBlockParam | ServerBlock;
export type AnyTool = Tool | WebSearchTool20250305;

export interface Turn {
  role: "user" | "assistant" | "system";
  content: Block[];
}

/** `block_binding` is behind a beta of its own. */
export type Thinking = ThinkingConfigParam & { block_binding?: { prefix_mismatch_behavior: "drop_block" } };

/** Version 2023-06-01: the one under which models up to 4.6 still take sampling parameters. */
export interface MessagesBody {
  model: string;
  max_tokens: number;
  system?: string | TextBlockParam[];
  messages: Turn[];
  tools?: AnyTool[];
  tool_choice?: ToolChoice;
  thinking?: Thinking;
  output_config?: OutputConfig;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  stop_sequences?: string[];
  metadata?: { user_id: string };
  service_tier?: "auto" | "standard_only";
  speed?: "fast";
  cache_control?: CacheControlEphemeral;
  stream?: true;
}
