// What the Gemini API refuses about contents: roles, parts, and the pairing of function calls with their responses.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { given, type Violations } from "./check.ts";
import { text } from "./face.ts";
import type { GeminiProfile } from "./google-models.ts";
import { field, invalid } from "./google-words.ts";

export function* contentViolations(body: JsonObject, model: string, profile: GeminiProfile): Violations {
  const contents = objectsIn(body.contents);
  if (contents.length === 0) yield field("contents", "contents is not specified");
  for (const [index, content] of contents.entries()) {
    yield* partsViolations(content, `contents[${index}]`, profile);
    const roles = profile.functionRole ? ["user", "model", "function"] : ["user", "model"];
    if (given(content.role) && content.role !== "" && !roles.includes(text(content.role))) {
      yield invalid("Please use a valid role: user, model.");
    }
  }
  if (isObject(body.systemInstruction)) {
    if (model.startsWith("gemma-")) yield invalid(`Developer instruction is not enabled for models/${model}`);
    yield* partsViolations(body.systemInstruction, "system_instruction", profile);
  }
  if (contents.at(-1)?.role === "model" && !profile.trailingModelTurn) {
    yield invalid("Requests ending with a model turn are not supported.");
  }
  yield* pairingViolations(contents);
  if (profile.signatures) yield* signatureViolations(contents);
}

const dataFields = [
  "text",
  "inlineData",
  "fileData",
  "functionCall",
  "functionResponse",
  "executableCode",
  "codeExecutionResult",
  "toolCall",
  "toolResponse",
];

function* partsViolations(content: JsonObject, at: string, profile: GeminiProfile): Violations {
  const parts = objectsIn(content.parts);
  if (parts.length === 0) yield field(`${at}.parts`, "contents.parts must not be empty.");
  for (const [index, part] of parts.entries()) {
    const path = `${at}.parts[${index}]`;
    const set = dataFields.filter((name) => given(part[name]));
    if (set.length === 0) yield field(`${path}.data`, "required oneof field 'data' must have one initialized field");
    if (set.length > 1) {
      yield invalid(`Invalid value at '${path}' (oneof), oneof field 'data' is already set. Cannot set '${set[1]}'`);
    }
    for (const name of ["functionCall", "functionResponse"] as const) {
      const held = part[name];
      const snake = name === "functionCall" ? "function_call" : "function_response";
      if (isObject(held) && text(held.name) === "") yield field(`${path}.${snake}.name`, "Name cannot be empty.");
    }
    if (isObject(part.fileData)) yield* fileViolations(part.fileData, path, profile);
    if (isObject(part.inlineData) && text(part.inlineData.mimeType) === "") {
      yield field(`${path}.inline_data.mime_type`, "mime_type must not be empty.");
    }
  }
}

function* fileViolations(file: JsonObject, path: string, profile: GeminiProfile): Violations {
  const uri = text(file.fileUri);
  if (uri === "") yield field(`${path}.file_data.file_uri`, "file_uri must not be empty.");
  if (uri.startsWith("gs://"))
    yield invalid(
      `Unsupported file URI type: ${uri}. File URIs must be files uploaded by the Files API or https URLs.`,
    );
  const own =
    uri.startsWith("https://generativelanguage.googleapis.com/") ||
    /^https:\/\/(www\.youtube\.com|youtu\.be)\//.test(uri);
  if (/^https?:/.test(uri) && !own && !profile.externalUrls)
    yield invalid("Cannot fetch content from the provided URL.");
}

function calls(content: JsonObject | undefined): JsonObject[] {
  return objectsIn(content?.parts).filter((part) => isObject(part.functionCall));
}

function responses(content: JsonObject | undefined): JsonObject[] {
  return objectsIn(content?.parts).filter((part) => isObject(part.functionResponse));
}

const countRule =
  "Please ensure that the number of function response parts is equal to the number of function call parts of the " +
  "function call turn.";

function* pairingViolations(contents: JsonObject[]): Violations {
  for (const [index, content] of contents.entries()) {
    const previous = contents[index - 1];
    const made = calls(content).length;
    const answered = responses(content).length;
    if (made > 0 && (previous === undefined || previous.role === "model")) {
      const rule = "function call turn comes immediately after a user turn or after a function response turn.";
      yield invalid(`Please ensure that ${rule}`);
    }
    if (answered > 0 && calls(previous).length === 0) {
      yield invalid("Please ensure that function response turn comes immediately after a function call turn.");
    }
    if (index > 0 && calls(previous).length !== answered) yield invalid(countRule);
    if (answered > 0) yield* idViolations(previous, content);
  }
}

/** Where the model gave ids, a response names the call it answers. */
function* idViolations(previous: JsonObject | undefined, content: JsonObject): Violations {
  const ids = calls(previous).map((part) => text((part.functionCall as JsonObject).id));
  for (const part of responses(content)) {
    const id = text((part.functionResponse as JsonObject).id);
    if (id !== "" && !ids.includes(id)) yield invalid(countRule);
  }
}

/** Signatures of the simulator start with this; others are taken for forged, except Google's word for foreign histories. */
export const signaturePrefix = "CsYB";
const sentinels = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/** Only the current turn is checked: what follows the last content of a user that is more than function responses. */
function* signatureViolations(contents: JsonObject[]): Violations {
  const start = contents.findLastIndex(
    (content) => content.role !== "model" && objectsIn(content.parts).some((part) => !isObject(part.functionResponse)),
  );
  for (const [index, content] of contents.entries()) {
    const first = calls(content)[0];
    if (index < start || first === undefined) continue;
    const signature = text(first.thoughtSignature);
    if (signature === "") {
      const name = text((first.functionCall as JsonObject).name);
      yield invalid(
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work " +
          "correctly, and missing thought_signature may lead to degraded model performance. Additional data, function " +
          `call \`default_api:${name}\` , position ${index + 1}. Please refer to ` +
          "https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
      );
    }
    if (!signature.startsWith(signaturePrefix) && !sentinels.includes(signature)) {
      yield invalid("Corrupted thought signature.");
    }
  }
}
