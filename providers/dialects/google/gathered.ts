// Members of an answer that go out whole at its end: pictures, speech, code that Google ran, what else was told.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import { signatureExtra } from "./signatures.ts";

/** What one choice has given so far. Plain data: it is handed on when the answer goes on in another call. */
export interface Gathered {
  images: JsonObject[];
  audio?: { mimeType: string; pieces: string[] };
  files: JsonObject[];
  code: JsonObject[];
  logprobs: JsonObject[];
  /** Of the last signed part that is no call. */
  textSignature: string;
  /** Characters of base64, for a bound. */
  mediaChars: number;
}

/** The largest pictures take a tenth of it. */
export const MEDIA_CHARS_MAX = 64 * 1024 ** 2;

export function nothingGathered(): Gathered {
  return { images: [], files: [], code: [], logprobs: [], textSignature: "", mediaChars: 0 };
}

/** Takes in a part that is neither text nor a call. Drafts of the thinking phase are no output. */
export function gather(gathered: Gathered, part: JsonObject): void {
  if (part.thought === true) return;
  const { executableCode, codeExecutionResult, inlineData, fileData } = part;
  if (isObject(executableCode)) gathered.code.push({ executable_code: executableCode });
  if (isObject(codeExecutionResult)) gathered.code.push({ code_execution_result: codeExecutionResult });
  const signature = firstText(part.thoughtSignature);
  if (isObject(inlineData)) gatherData(gathered, inlineData, signature);
  else if (isObject(fileData)) gatherFile(gathered, fileData, signature);
}

function gatherData(gathered: Gathered, inlineData: JsonObject, signature: string): void {
  const data = firstText(inlineData.data);
  const mimeType = firstText(inlineData.mimeType, "application/octet-stream");
  gathered.mediaChars += data.length;
  if (data === "" || gathered.mediaChars > MEDIA_CHARS_MAX) return;
  const url = `data:${mimeType};base64,${data}`;
  if (mimeType.startsWith("image/")) gathered.images.push(image(url, signature));
  else if (!mimeType.startsWith("audio/")) gathered.files.push({ mime_type: mimeType, url });
  else {
    gathered.audio ??= { mimeType, pieces: [] };
    gathered.audio.pieces.push(data);
  }
}

function gatherFile(gathered: Gathered, fileData: JsonObject, signature: string): void {
  const url = firstText(fileData.fileUri);
  const mimeType = firstText(fileData.mimeType);
  if (url === "") return;
  if (mimeType.startsWith("image/")) gathered.images.push(image(url, signature));
  else gathered.files.push({ mime_type: mimeType, url });
}

/** OpenRouter's shape for pictures in answers. */
function image(url: string, signature: string): JsonObject {
  return {
    ...{ type: "image_url", image_url: { url } },
    ...(signature !== "" && { extra_content: signatureExtra(signature) }),
  };
}

export function hasOutput({ images, audio, files, code }: Gathered): boolean {
  return images.length > 0 || audio !== undefined || files.length > 0 || code.length > 0;
}

/** Members for the message. `showSignature`: the caller asked to see what has no place in OpenAI's answer. */
export function messageMembers(gathered: Gathered, showSignature: boolean, newId: () => string): JsonObject {
  const { images, audio, files, code, textSignature } = gathered;
  const google: JsonObject = {
    ...(showSignature && textSignature !== "" && { thought_signature: textSignature }),
    ...(code.length > 0 && { code_execution: code }),
    ...(files.length > 0 && { files }),
    // `audio/L16;rate=24000` are raw samples: without it nobody can play them.
    ...(audio !== undefined && { audio_mime_type: audio.mimeType }),
  };
  return {
    ...(images.length > 0 && { images }),
    ...(audio !== undefined && {
      audio: { id: newId(), data: joined(audio.pieces), expires_at: 0, transcript: "" },
    }),
    ...(Object.keys(google).length > 0 && { extra_content: { google } }),
  };
}

/** Pieces of base64 are padded each for itself. */
function joined(pieces: string[]): string {
  const [only, ...others] = pieces;
  if (only !== undefined && others.length === 0) return only;
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64"))).toString("base64");
}
