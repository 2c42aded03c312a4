// What Converse refuses about one content block.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { signaturePrefix } from "./anthropic-blocks.ts";
import { invalid, NAME } from "./bedrock-words.ts";
import type { Violations } from "./check.ts";
import { type Call, text } from "./face.ts";

/** Members a block may have, one each, and the role they belong to. */
const MEMBERS: Record<string, "user" | "assistant" | "both"> = {
  text: "both",
  image: "user",
  document: "user",
  video: "user",
  cachePoint: "both",
  guardContent: "user",
  toolUse: "assistant",
  toolResult: "user",
  reasoningContent: "assistant",
};
const IMAGES = ["png", "jpeg", "gif", "webp"];
const DOCUMENTS = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const DOCUMENT_NAME = /^(?!.*\s\s)[A-Za-z0-9\s()[\]-]{1,200}$/;

export function* blockViolations(block: JsonObject, role: string, call: Call): Violations {
  const [member = "", ...more] = Object.keys(block);
  const place = MEMBERS[member];
  if (place === undefined || more.length > 0)
    yield invalid(`A content block has exactly one known member, found ${[member, ...more]}`);
  if (place !== "both" && place !== role) yield invalid(`${member} blocks are not allowed in ${role} messages`);
  const { toolUse, toolResult, reasoningContent } = block;
  if (member === "text" && text(block.text).trim() === "")
    yield invalid("The text field in the ContentBlock object is blank.");
  yield* media(block);
  if ((isObject(toolUse) || isObject(toolResult)) && !isObject(call.body.toolConfig)) {
    yield invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.");
  }
  if (isObject(toolUse)) {
    if (!NAME.test(text(toolUse.toolUseId)) || !NAME.test(text(toolUse.name)))
      yield invalid("Value at 'toolUse' is not valid");
    if (!isObject(toolUse.input))
      yield invalid("The format of the value at toolUse.input is invalid. Provide a json object.");
  }
  if (isObject(toolResult)) {
    for (const inner of objectsIn(toolResult.content)) {
      if (!["text", "json", "image", "document", "video"].includes(Object.keys(inner)[0] ?? ""))
        yield invalid("Value at 'toolResult.content' is not valid");
      yield* media(inner);
    }
  }
  if (isObject(reasoningContent)) yield* reasoning(reasoningContent);
}

function* media({ image, document }: JsonObject): Violations {
  for (const [value, formats] of [
    [image, IMAGES],
    [document, DOCUMENTS],
  ] as const) {
    if (!isObject(value)) continue;
    const bytes = isObject(value.source) ? text(value.source.bytes) : "";
    if (!formats.includes(text(value.format))) yield invalid(`Value '${text(value.format)}' at 'format' is not valid`);
    if (bytes === "" || !/^[A-Za-z0-9+/]+={0,2}$/.test(bytes)) yield invalid("The value at source.bytes is no base64.");
  }
  if (isObject(document) && !DOCUMENT_NAME.test(text(document.name)))
    yield invalid("The name of a document is not valid.");
}

/** Thinking must come back as it was given, signature and all. */
function* reasoning({ reasoningText, redactedContent }: JsonObject): Violations {
  if (isObject(reasoningText) === (typeof redactedContent === "string"))
    yield invalid("Value at 'reasoningContent' is not valid");
  if (isObject(reasoningText) && !text(reasoningText.signature).startsWith(signaturePrefix)) {
    yield invalid("The model returned the following errors: Invalid `signature` in `thinking` block");
  }
}
