// What a provider was asked, read back from its own wire format into one plain form.
import type { DialectId, JsonObject } from "../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../src/json.ts";

export interface Turn {
  role: "user" | "assistant" | "tool";
  text: string;
  /** Names of the tools that were called. */
  calls: string[];
}

export interface Arrived {
  system: string;
  turns: Turn[];
  tools: string[];
  /** Base64 or address. */
  images: string[];
  stop: string[];
  limit: number | undefined;
}

export function readArrived(dialect: DialectId, body: JsonObject): Arrived {
  if (dialect === "anthropic-messages") return readAnthropic(body);
  if (dialect === "bedrock-converse") return readBedrock(body);
  return dialect === "google-generate" ? readGoogle(body) : readOpenai(body);
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return objectsIn(content)
    .map((part) => firstText(part.text))
    .join("\n");
}

function numberIn(...values: unknown[]): number | undefined {
  return values.find((value) => typeof value === "number");
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : typeof value === "string" ? [value] : [];
}

function readOpenai(body: JsonObject): Arrived {
  const messages = objectsIn(body.messages);
  const parts = messages.flatMap(({ content }) => objectsIn(content));
  const isSystem = (message: JsonObject) => message.role === "system" || message.role === "developer";
  return {
    system: messages
      .filter(isSystem)
      .map(({ content }) => textOf(content))
      .join("\n"),
    turns: messages
      .filter((message) => !isSystem(message))
      .map((message) => ({
        role: message.role as Turn["role"],
        text: textOf(message.content),
        calls: objectsIn(message.tool_calls).map((call) =>
          firstText(isObject(call.function) ? call.function.name : ""),
        ),
      })),
    tools: objectsIn(body.tools).map((tool) => firstText(isObject(tool.function) ? tool.function.name : "")),
    images: parts.flatMap((part) => (isObject(part.image_url) ? [firstText(part.image_url.url)] : [])),
    // Cohere has OpenAI's form, and its own name for this.
    stop: listOf(body.stop ?? body.stop_sequences),
    limit: numberIn(body.max_completion_tokens, body.max_tokens),
  };
}

function readAnthropic(body: JsonObject): Arrived {
  const messages = objectsIn(body.messages);
  const blocks = messages.flatMap(({ content }) => objectsIn(content));
  return {
    system: textOf(body.system),
    turns: messages.map((message) => {
      const content = objectsIn(message.content);
      const results = content.filter(({ type }) => type === "tool_result");
      return {
        role: results.length > 0 ? "tool" : (message.role as Turn["role"]),
        text: results.length > 0 ? results.map((result) => textOf(result.content)).join("\n") : textOf(message.content),
        calls: content.filter(({ type }) => type === "tool_use").map(({ name }) => firstText(name)),
      };
    }),
    tools: objectsIn(body.tools).map(({ name }) => firstText(name)),
    images: blocks
      .filter(({ type }) => type === "image")
      .map(({ source }) => (isObject(source) ? firstText(source.data, source.url) : "")),
    stop: listOf(body.stop_sequences),
    limit: numberIn(body.max_tokens),
  };
}

function readGoogle(body: JsonObject): Arrived {
  const contents = objectsIn(body.contents);
  const parts = contents.flatMap((content) => objectsIn(content.parts));
  const config = isObject(body.generationConfig) ? body.generationConfig : {};
  const nameIn = (value: unknown) => (isObject(value) ? firstText(value.name) : "");
  return {
    system: isObject(body.systemInstruction) ? textOf(body.systemInstruction.parts) : "",
    turns: contents.map((content) => {
      const own = objectsIn(content.parts);
      const results = own.filter(({ functionResponse }) => isObject(functionResponse));
      return {
        role: results.length > 0 ? "tool" : content.role === "model" ? "assistant" : "user",
        text: results.length > 0 ? JSON.stringify(results) : textOf(own),
        calls: own.filter(({ functionCall }) => isObject(functionCall)).map(({ functionCall }) => nameIn(functionCall)),
      };
    }),
    tools: objectsIn(body.tools).flatMap((tool) => objectsIn(tool.functionDeclarations).map(nameIn)),
    images: parts.flatMap(({ inlineData }) => (isObject(inlineData) ? [firstText(inlineData.data)] : [])),
    stop: listOf(config.stopSequences),
    limit: numberIn(config.maxOutputTokens),
  };
}

function readBedrock(body: JsonObject): Arrived {
  const messages = objectsIn(body.messages);
  const membersOf = (blocks: unknown, member: string) =>
    objectsIn(blocks).flatMap((block) => (isObject(block[member]) ? [block[member]] : []));
  const config = isObject(body.inferenceConfig) ? body.inferenceConfig : {};
  const tools = isObject(body.toolConfig) ? body.toolConfig.tools : [];
  const images = messages.flatMap(({ content }) => membersOf(content, "image"));
  return {
    system: textOf(body.system),
    turns: messages.map(({ role, content }) => {
      const results = membersOf(content, "toolResult");
      return {
        role: results.length > 0 ? "tool" : (role as Turn["role"]),
        text: results.length > 0 ? results.map((result) => textOf(result.content)).join("\n") : textOf(content),
        calls: membersOf(content, "toolUse").map(({ name }) => firstText(name)),
      };
    }),
    tools: membersOf(tools, "toolSpec").map(({ name }) => firstText(name)),
    images: images.map(({ source }) => (isObject(source) ? firstText(source.bytes) : "")),
    stop: listOf(config.stopSequences),
    limit: numberIn(config.maxTokens),
  };
}
