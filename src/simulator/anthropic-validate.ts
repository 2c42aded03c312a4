// What Anthropic's Messages API refuses, in its own words.
import type { JsonObject } from "../chat.ts";
import { isObject } from "../json.ts";
import { cacheViolations } from "./anthropic-cache.ts";
import { messageViolations } from "./anthropic-messages.ts";
import { type ClaudeProfile, claudeProfile } from "./anthropic-models.ts";
import { formatViolations, toolViolations } from "./anthropic-tools.ts";
import { between, invalid, knownTag, noExtras, oneOf, required } from "./anthropic-words.ts";
import { firstOf, given, isInteger, isText, type Violations } from "./check.ts";
import { type Call, text } from "./face.ts";

export const validateAnthropic = firstOf(violations);

const fields = [
  "model",
  "messages",
  "max_tokens",
  "cache_control",
  "container",
  "diagnostics",
  "inference_geo",
  "metadata",
  "output_config",
  "service_tier",
  "speed",
  "stop_sequences",
  "stream",
  "system",
  "thinking",
  "tool_choice",
  "tools",
  "user_profile_id",
  "workspace_id",
];
const samplingFields = ["temperature", "top_p", "top_k"];
/** Exist only when a beta is asked for by header. */
const betaFields = [
  "billing_policy",
  "compaction",
  "context_management",
  "fallback_credit_token",
  "fallbacks",
  "mcp_servers",
  "output_format",
  "thread",
];

/** From this version on no model takes sampling parameters, not even at their defaults. */
const withoutSampling = "2026-10-21";

function* violations(call: Call): Violations {
  const { body } = call;
  const profile = claudeProfile(call.model);
  yield* required("model", body.model);
  yield* required("max_tokens", body.max_tokens);
  yield* required("messages", body.messages);
  const sampling = call.header("anthropic-version") === withoutSampling ? [] : samplingFields;
  const beta = call.header("anthropic-beta") === undefined ? [] : betaFields;
  yield* noExtras("", body, [...fields, ...sampling, ...beta]);
  yield* limitViolations(call, profile);
  yield* scalarViolations(body);
  yield* samplingViolations(body, profile);
  yield* thinkingViolations(body, profile);
  yield* effortViolations(body, profile);
  yield* formatViolations(body, profile);
  yield* toolViolations(body, profile);
  yield* systemViolations(body.system);
  yield* messageViolations(call, profile);
  yield* cacheViolations(body);
  yield* sizeViolations(call, profile);
}

function* limitViolations(call: Call, profile: ClaudeProfile): Violations {
  const limit = call.body.max_tokens;
  if (!isInteger(limit)) yield invalid("max_tokens: Input should be a valid integer");
  // 0 is legal: it warms the cache and answers nothing.
  else if (limit < 0) yield invalid("max_tokens: Input should be greater than or equal to 0");
  else if (limit > profile.maxTokens) {
    yield invalid(
      `max_tokens: ${limit} > ${profile.maxTokens}, which is the maximum allowed number of output tokens for ${call.model}`,
    );
  }
}

function* scalarViolations(body: JsonObject): Violations {
  if (given(body.stream) && typeof body.stream !== "boolean") yield invalid("stream: Input should be a valid boolean");
  if (given(body.service_tier)) yield* oneOf("service_tier", body.service_tier, ["auto", "standard_only"]);
  if (isObject(body.metadata)) {
    yield* noExtras("metadata", body.metadata, ["user_id"]);
    if (text(body.metadata.user_id).length > 256) {
      yield invalid("metadata.user_id: String should have at most 256 characters");
    }
  }
  const stops = body.stop_sequences;
  if (!given(stops)) return;
  if (!Array.isArray(stops)) yield invalid("stop_sequences: Input should be a valid list");
  else if (!stops.every(isText)) yield invalid("stop_sequences.0: Input should be a valid string");
  else if (stops.some((stop) => stop.trim() === "")) {
    yield invalid("stop_sequences: each stop sequence must contain non-whitespace");
  }
}

/** What the models without sampling take: their own defaults. */
const defaults: JsonObject = { temperature: 1, top_p: 0.99 };

function* samplingViolations(body: JsonObject, profile: ClaudeProfile): Violations {
  const { temperature, top_p, top_k } = body;
  if (given(temperature)) yield* between("temperature", temperature, 0, 1);
  if (given(top_p)) yield* between("top_p", top_p, 0, 1);
  if (given(top_k)) yield* between("top_k", top_k, 0, Number.POSITIVE_INFINITY);
  if (profile.sampling === "none") {
    for (const name of samplingFields) {
      if (given(body[name]) && body[name] !== defaults[name])
        yield invalid(`\`${name}\` is deprecated for this model.`);
    }
  }
  if (profile.sampling !== "both" && given(temperature) && given(top_p)) {
    yield invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.");
  }
  if (!thinks(body)) return;
  if (given(temperature) && temperature !== 1) {
    yield invalid("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.");
  }
  if (typeof top_p === "number" && top_p < 0.95) {
    yield invalid(
      "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled or in adaptive mode.",
    );
  }
  if (given(top_k)) yield invalid("`top_k` must be unset when thinking is enabled or in adaptive mode.");
}

function thinks(body: JsonObject): boolean {
  return isObject(body.thinking) && ["enabled", "adaptive"].includes(text(body.thinking.type));
}

const thinkingKeys: Record<string, string[]> = {
  enabled: ["type", "budget_tokens", "display"],
  adaptive: ["type", "display", "block_binding"],
  disabled: ["type"],
  between_tools: ["type", "display", "block_binding"],
};

function* thinkingViolations(body: JsonObject, profile: ClaudeProfile): Violations {
  const { thinking } = body;
  if (!isObject(thinking)) return;
  yield* knownTag("thinking", thinking, Object.keys(thinkingKeys));
  const type = text(thinking.type);
  if (!profile.thinking.some((one) => one === type)) yield invalid(unsupportedThinking(type, profile));
  yield* noExtras(`thinking.${type}`, thinking, thinkingKeys[type] ?? []);
  if (given(thinking.display)) {
    yield* oneOf(`thinking.${type}.display`, thinking.display, ["summarized", "omitted", "updates"]);
  }
  if (type !== "enabled") return;
  yield* required("thinking.enabled.budget_tokens", thinking.budget_tokens);
  yield* between("thinking.enabled.budget_tokens", thinking.budget_tokens, 1024, Number.POSITIVE_INFINITY);
  if (Number(body.max_tokens) <= Number(thinking.budget_tokens)) {
    yield invalid("`max_tokens` must be greater than `thinking.budget_tokens`.");
  }
}

function unsupportedThinking(type: string, profile: ClaudeProfile): string {
  if (profile.thinking.length === 0) return "thinking is not supported on this model";
  if (type === "adaptive") return "adaptive thinking is not supported on this model";
  const instead = profile.thinking.includes("between_tools")
    ? 'Use "thinking.type.between_tools" or "thinking.type.adaptive".'
    : 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.';
  return `"thinking.type.${type}" is not supported for this model. ${instead}`;
}

const efforts = ["low", "medium", "high", "xhigh", "max"];

function* effortViolations(body: JsonObject, profile: ClaudeProfile): Violations {
  const config = body.output_config;
  if (!isObject(config)) return;
  yield* noExtras("output_config", config, ["effort", "format", "task_budget"]);
  if (!given(config.effort)) return;
  yield* oneOf("output_config.effort", config.effort, efforts);
  if (profile.efforts.length === 0) yield invalid("This model does not support the effort parameter.");
  if (!profile.efforts.includes(text(config.effort))) {
    const list = [...profile.efforts].sort().join(", ");
    yield invalid(`This model does not support effort level '${config.effort}'. Supported levels: ${list}.`);
  }
  const stopped = isObject(body.thinking) && body.thinking.type === "disabled";
  if (stopped && profile.forcedWithThinking && ["xhigh", "max"].includes(text(config.effort))) {
    yield invalid(`"thinking.type.disabled" is not supported with effort level '${config.effort}' on this model.`);
  }
}

function* systemViolations(system: unknown): Violations {
  if (!given(system) || isText(system)) return;
  if (!Array.isArray(system)) {
    yield invalid("system: Input should be a valid string or a list of text blocks");
    return;
  }
  for (const [at, block] of system.entries()) {
    if (!isObject(block)) yield invalid(`system.${at}: Input should be a valid dictionary`);
    else {
      yield* oneOf(`system.${at}.type`, block.type, ["text"]);
      yield* noExtras(`system.${at}`, block, ["type", "text", "cache_control", "citations"]);
      if (!isText(block.text)) yield invalid(`system.${at}.text: Input should be a valid string`);
      if (block.text === "" && given(block.cache_control)) {
        yield invalid(`system.${at}: cache_control cannot be set for empty text blocks`);
      }
      if (block.text === "") yield invalid("system: text content blocks must be non-empty");
    }
  }
}

function* sizeViolations(call: Call, profile: ClaudeProfile): Violations {
  const { messages, system } = call.body;
  const tokens = Math.ceil((textLength(messages) + textLength(system)) / 4);
  if (tokens > profile.contextTokens) {
    yield invalid(`prompt is too long: ${tokens} tokens > ${profile.contextTokens} maximum`);
  }
}

/** Characters of all texts below, wherever they are; base64 data does not count as text. */
function textLength(value: unknown, key = ""): number {
  if (isText(value)) return key === "text" || key === "content" || key === "" ? value.length : 0;
  if (Array.isArray(value)) return value.reduce((sum: number, one) => sum + textLength(one, key), 0);
  if (!isObject(value)) return 0;
  return Object.entries(value).reduce((sum, [name, one]) => sum + textLength(one, name), 0);
}
