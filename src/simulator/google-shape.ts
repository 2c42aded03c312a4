// The messages of the Gemini API as it parses them: which fields exist where, and of which type. Unknown ones are refused.
import type { JsonObject } from "../chat.ts";
import { isObject } from "../json.ts";

/** Field types: a scalar, a message name, `X[]` for a list, `map:X` for a map with string keys, `json` for anything. */
const messages: Record<string, Record<string, string>> = {
  Request: {
    model: "string",
    systemInstruction: "Content",
    contents: "Content[]",
    tools: "Tool[]",
    toolConfig: "ToolConfig",
    generationConfig: "GenerationConfig",
    safetySettings: "SafetySetting[]",
    cachedContent: "string",
    labels: "json",
    serviceTier: "string",
    store: "boolean",
    continuationToken: "string",
  },
  Content: { role: "string", parts: "Part[]" },
  Part: {
    text: "string",
    thought: "boolean",
    thoughtSignature: "bytes",
    inlineData: "Blob",
    fileData: "FileData",
    functionCall: "FunctionCall",
    functionResponse: "FunctionResponse",
    executableCode: "json",
    codeExecutionResult: "json",
    videoMetadata: "json",
    mediaResolution: "json",
    toolCall: "json",
    toolResponse: "json",
    partMetadata: "json",
  },
  Blob: { mimeType: "string", data: "bytes" },
  FileData: { mimeType: "string", fileUri: "string" },
  FunctionCall: { id: "string", name: "string", args: "struct" },
  FunctionResponse: {
    id: "string",
    name: "string",
    response: "struct",
    parts: "FunctionResponsePart[]",
    willContinue: "boolean",
    scheduling: "string",
  },
  FunctionResponsePart: { inlineData: "Blob", fileData: "FileData" },
  Tool: {
    functionDeclarations: "FunctionDeclaration[]",
    googleSearch: "json",
    googleSearchRetrieval: "json",
    codeExecution: "json",
    urlContext: "json",
    computerUse: "json",
    fileSearch: "json",
    googleMaps: "json",
    mcpServers: "json",
  },
  FunctionDeclaration: {
    name: "string",
    description: "string",
    behavior: "string",
    parameters: "Schema",
    parametersJsonSchema: "json",
    response: "Schema",
    responseJsonSchema: "json",
  },
  Schema: {
    type: "string",
    format: "string",
    title: "string",
    description: "string",
    nullable: "boolean",
    default: "json",
    items: "Schema",
    minItems: "int64",
    maxItems: "int64",
    enum: "string[]",
    properties: "map:Schema",
    required: "string[]",
    minProperties: "int64",
    maxProperties: "int64",
    minimum: "number",
    maximum: "number",
    minLength: "int64",
    maxLength: "int64",
    pattern: "string",
    example: "json",
    anyOf: "Schema[]",
    propertyOrdering: "string[]",
  },
  ToolConfig: {
    functionCallingConfig: "FunctionCallingConfig",
    retrievalConfig: "json",
    includeServerSideToolInvocations: "boolean",
  },
  FunctionCallingConfig: { mode: "string", allowedFunctionNames: "string[]" },
  GenerationConfig: {
    candidateCount: "integer",
    stopSequences: "string[]",
    maxOutputTokens: "integer",
    temperature: "number",
    topP: "number",
    topK: "number",
    seed: "integer",
    responseMimeType: "string",
    responseSchema: "Schema",
    responseJsonSchema: "json",
    presencePenalty: "number",
    frequencyPenalty: "number",
    responseLogprobs: "boolean",
    logprobs: "integer",
    enableEnhancedCivicAnswers: "boolean",
    responseModalities: "string[]",
    speechConfig: "json",
    thinkingConfig: "ThinkingConfig",
    imageConfig: "json",
    mediaResolution: "string",
  },
  ThinkingConfig: { includeThoughts: "boolean", thinkingBudget: "integer", thinkingLevel: "string" },
  SafetySetting: { category: "string", threshold: "string" },
};

export interface ShapeViolation {
  path: string;
  message: string;
}

/** The request with its fields in camelCase, as the server understands both spellings. Never throws. */
export function readRequest(body: JsonObject): JsonObject {
  return camelized(body, "Request") as JsonObject;
}

/** What of a request (in camelCase) the server cannot even parse; all of it, as the server tells all of it. */
export function shapeViolations(body: JsonObject): ShapeViolation[] {
  return [...messageViolations(body, "Request", "")];
}

function camelized(value: unknown, type: string): unknown {
  if (type.endsWith("[]")) {
    return Array.isArray(value) ? value.map((one) => camelized(one, type.slice(0, -2))) : value;
  }
  if (!isObject(value)) return value;
  const entries = Object.entries(value);
  if (type.startsWith("map:"))
    return Object.fromEntries(entries.map(([key, one]) => [key, camelized(one, type.slice(4))]));
  const fields = messages[type];
  if (fields === undefined) return value;
  return Object.fromEntries(
    entries.map(([key, one]) => {
      const name = Object.hasOwn(fields, key) ? key : camelCase(key);
      const known = Object.hasOwn(fields, name) ? fields[name] : undefined;
      return known === undefined ? [key, one] : [name, camelized(one, known)];
    }),
  );
}

function* messageViolations(value: JsonObject, type: string, path: string): Generator<ShapeViolation> {
  const fields = messages[type] ?? {};
  for (const [name, one] of Object.entries(value)) {
    const known = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (known === undefined) yield unknownName(name, path, "Cannot find field.");
    else if (one !== null) yield* valueViolations(one, known, name, path);
  }
}

function* valueViolations(value: unknown, type: string, name: string, parent: string): Generator<ShapeViolation> {
  const path = parent === "" ? snakeCase(name) : `${parent}.${snakeCase(name)}`;
  if (type.endsWith("[]")) {
    if (!Array.isArray(value)) yield invalidValue(path, type.slice(0, -2), value);
    else for (const [at, one] of value.entries()) yield* itemViolations(one, type.slice(0, -2), `${path}[${at}]`);
  } else if (Array.isArray(value) && type !== "json") {
    yield unknownName(name, parent, "Proto field is not repeating, cannot start list.");
  } else if (type.startsWith("map:") && isObject(value)) {
    const entries = Object.values(value).entries();
    for (const [at, one] of entries) yield* itemViolations(one, type.slice(4), `${path}[${at}].value`);
  } else yield* itemViolations(value, type, path);
}

function* itemViolations(value: unknown, type: string, path: string): Generator<ShapeViolation> {
  const known = messages[type];
  if (known !== undefined && isObject(value)) yield* messageViolations(value, type, path);
  else if (type === "bytes" && typeof value === "string") {
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) {
      const shown = JSON.stringify(value.slice(0, 60));
      yield { path, message: `Invalid value at '${path}' (TYPE_BYTES), Base64 decoding failed for ${shown}` };
    }
  } else if (known !== undefined || scalars[type]?.fits(value) === false) yield invalidValue(path, type, value);
}

const scalars: Record<string, { proto: string; fits(value: unknown): boolean }> = {
  string: { proto: "TYPE_STRING", fits: (value) => typeof value === "string" },
  boolean: { proto: "TYPE_BOOL", fits: (value) => typeof value === "boolean" },
  number: { proto: "TYPE_FLOAT", fits: (value) => typeof value === "number" },
  integer: { proto: "TYPE_INT32", fits: isInt32 },
  int64: { proto: "TYPE_INT64", fits: (value) => Number.isInteger(value) || /^-?\d+$/.test(String(value)) },
  bytes: { proto: "TYPE_BYTES", fits: (value) => typeof value === "string" },
  struct: { proto: "type.googleapis.com/google.protobuf.Struct", fits: isObject },
};

function isInt32(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31;
}

function unknownName(name: string, path: string, why: string): ShapeViolation {
  const at = path === "" ? "" : ` at '${path}'`;
  return { path, message: `Invalid JSON payload received. Unknown name ${JSON.stringify(name)}${at}: ${why}` };
}

function invalidValue(path: string, type: string, value: unknown): ShapeViolation {
  const proto = scalars[type]?.proto ?? `type.googleapis.com/google.ai.generativelanguage.v1beta.${type}`;
  return { path, message: `Invalid value at '${path}' (${proto}), ${JSON.stringify(value).slice(0, 200)}` };
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
