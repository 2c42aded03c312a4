// What Anthropic refuses about one content block.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { invalid, knownTag, noExtras, oneOf, required } from "./anthropic-words.ts";
import { given, isText, type Violations } from "./check.ts";
import { type Call, text } from "./face.ts";

const blockKeys: Record<string, string[]> = {
  text: ["type", "text", "cache_control", "citations"],
  image: ["type", "source", "cache_control", "transformations"],
  document: ["type", "source", "cache_control", "citations", "context", "title"],
  thinking: ["type", "thinking", "signature"],
  redacted_thinking: ["type", "data"],
  tool_use: ["type", "id", "name", "input", "cache_control", "caller", "toolset_name"],
  tool_result: ["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"],
};

/** Blocks of the tools the server runs itself; their inside is not looked at. */
const serverBlocks = [
  "search_result",
  "server_tool_use",
  "web_search_tool_result",
  "web_fetch_tool_result",
  "code_execution_tool_result",
  "bash_code_execution_tool_result",
  "text_editor_code_execution_tool_result",
  "tool_search_tool_result",
  "container_upload",
];

const onlyIn: Record<string, string> = {
  tool_use: "assistant",
  thinking: "assistant",
  redacted_thinking: "assistant",
  tool_result: "user",
  image: "user",
};

export function* blockViolations(block: JsonObject, at: string, role: string, call: Call): Violations {
  yield* knownTag(at, block, [...Object.keys(blockKeys), ...serverBlocks]);
  const type = text(block.type);
  if (serverBlocks.includes(type)) return;
  yield* noExtras(`${at}.${type}`, block, blockKeys[type] ?? []);
  const place = type === "document" && call.header("anthropic-version") === "2026-10-21" ? "user" : onlyIn[type];
  if (place !== undefined && place !== role) {
    yield invalid(`${at}: \`${type}\` blocks can only be in \`${place}\` messages`);
  }
  if (type === "text") yield* textBlock(block, at);
  else if (type === "image") yield* imageSource(block.source, `${at}.image.source`);
  else if (type === "document") yield* documentSource(block.source, `${at}.document.source`);
  else if (type === "tool_use") yield* toolUse(block, `${at}.tool_use`);
  else if (type === "tool_result") yield* toolResult(block, at, role, call);
  else if (type === "thinking") yield* thinking(block, at);
}

function* textBlock(block: JsonObject, at: string): Violations {
  yield* required(`${at}.text.text`, block.text);
  if (!isText(block.text)) yield invalid(`${at}.text.text: Input should be a valid string`);
  const said = text(block.text);
  if (said === "" && given(block.cache_control)) {
    yield invalid(`${at}.text: cache_control cannot be set for empty text blocks`);
  }
  if (said === "") yield invalid("messages: text content blocks must be non-empty");
  if (said.trim() === "") yield invalid("messages: text content blocks must contain non-whitespace text");
}

const imageTypes: Record<string, (bytes: Buffer) => boolean> = {
  "image/jpeg": (bytes) => bytes.subarray(0, 3).toString("hex") === "ffd8ff",
  "image/png": (bytes) => bytes.subarray(0, 4).toString("hex") === "89504e47",
  "image/gif": (bytes) => bytes.subarray(0, 4).toString("latin1") === "GIF8",
  "image/webp": (bytes) => bytes.subarray(0, 4).toString("latin1") === "RIFF",
};

function* imageSource(source: unknown, at: string): Violations {
  if (!isObject(source)) {
    yield* required(at, undefined);
    return;
  }
  yield* knownTag(at, source, ["base64", "url", "file"]);
  if (source.type === "url") {
    if (!/^https:\/\//.test(text(source.url))) yield invalid(`${at}.url.url: Only HTTPS URLs are supported.`);
    return;
  }
  if (source.type !== "base64") return;
  yield* noExtras(`${at}.base64`, source, ["type", "media_type", "data"]);
  yield* required(`${at}.base64.media_type`, source.media_type);
  yield* oneOf(`${at}.base64.media_type`, source.media_type, Object.keys(imageTypes));
  yield* base64Data(source.data, `${at}.base64.data`);
  const matches = imageTypes[text(source.media_type)];
  if (matches !== undefined && !matches(Buffer.from(text(source.data).slice(0, 32), "base64"))) {
    yield invalid(`${at}.base64.data: Image does not match the provided media type ${source.media_type}`);
  }
}

function* base64Data(data: unknown, at: string): Violations {
  yield* required(at, data);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text(data)) || text(data).length % 4 !== 0)
    yield invalid(`${at}: Invalid base64 data`);
}

function* documentSource(source: unknown, at: string): Violations {
  if (!isObject(source)) {
    yield* required(at, undefined);
    return;
  }
  yield* knownTag(at, source, ["base64", "text", "content", "url", "file"]);
  if (source.type === "base64") {
    yield* oneOf(`${at}.base64.media_type`, source.media_type, ["application/pdf"]);
    yield* base64Data(source.data, `${at}.base64.data`);
  }
  if (source.type === "text") yield* oneOf(`${at}.text.media_type`, source.media_type, ["text/plain"]);
}

function* toolUse(block: JsonObject, at: string): Violations {
  yield* required(`${at}.id`, block.id);
  if (!/^[a-zA-Z0-9_-]+$/.test(text(block.id)))
    yield invalid(`${at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
  yield* required(`${at}.name`, block.name);
  if (text(block.name).length > 200) yield invalid(`${at}.name: String should have at most 200 characters`);
  yield* required(`${at}.input`, block.input);
  if (!isObject(block.input)) yield invalid(`${at}.input: Input should be a valid dictionary`);
}

function* toolResult(block: JsonObject, at: string, role: string, call: Call): Violations {
  yield* required(`${at}.tool_result.tool_use_id`, block.tool_use_id);
  if (!/^[a-zA-Z0-9_-]+$/.test(text(block.tool_use_id))) {
    yield invalid(`${at}.tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
  }
  if (given(block.content) && !isText(block.content) && !Array.isArray(block.content)) {
    yield invalid(`${at}.tool_result.content: Input should be a valid string or a list of blocks`);
  }
  for (const [index, inner] of objectsIn(block.content).entries()) {
    const here = `${at}.tool_result.content.${index}`;
    yield* knownTag(here, inner, ["text", "image", "document", "search_result"]);
    yield* blockViolations(inner, here, role, call);
  }
}

/** Signatures of the simulator start with this; others are taken for forged, as the real API does. */
export const signaturePrefix = "EqQB";

function* thinking(block: JsonObject, at: string): Violations {
  yield* required(`${at}.thinking.signature`, block.signature);
  if (!isText(block.thinking)) yield* required(`${at}.thinking.thinking`, undefined);
  if (!text(block.signature).startsWith(signaturePrefix))
    yield invalid(`${at}: Invalid \`signature\` in \`thinking\` block`);
}
