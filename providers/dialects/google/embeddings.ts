// OpenAI's embeddings as calls of Google's three methods, and their answers as OpenAI's list.
import type { JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Refusal } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import { malformed } from "./finish.ts";

/** How a model is asked. `inputsMax`: texts in one call. */
export interface EmbeddingMethod {
  name: "batchEmbedContents" | "embedContent" | "predict";
  inputsMax: number;
}

/** The Developer API. Every text is a content of its own: newer models fuse the parts of one into a single vector. */
const BATCH: EmbeddingMethod = { name: "batchEmbedContents", inputsMax: 100 };
/** Vertex from gemini-embedding-2 on, where `predict` is a 400 (vercel/ai#16238). */
const CONTENT: EmbeddingMethod = { name: "embedContent", inputsMax: 1 };
/** Vertex before it: five in every region but one; gemini-embedding-001 takes one. */
const PREDICT: EmbeddingMethod = { name: "predict", inputsMax: 5 };

export function embeddingMethod(model: string, platform: "developer" | "vertex"): EmbeddingMethod {
  if (platform === "developer") return BATCH;
  const id = model.replace(/^.*\//, "");
  if (/^gemini-embedding-(?!001)/.test(id)) return CONTENT;
  return id.startsWith("gemini-embedding-") ? { ...PREDICT, inputsMax: 1 } : PREDICT;
}

export interface EmbeddingCalls {
  kind: "calls";
  /** Bodies of the calls, in the order of the inputs. */
  bodies: JsonObject[];
}

/** `body` is OpenAI's request; beyond it `task_type` (or `input_type`), `title` and `auto_truncate` are understood. */
export function toEmbeddingCalls(body: JsonObject, model: string, method: EmbeddingMethod): EmbeddingCalls | Refusal {
  const inputs = inputsOf(body.input);
  if (!Array.isArray(inputs)) return inputs;
  const { dimensions } = body;
  if (dimensions != null && !(Number.isInteger(dimensions) && Number(dimensions) > 0))
    return refusal("dimensions", "invalid_value", "Invalid value for 'dimensions': expected a positive integer.");
  const chunks = Array.from({ length: Math.ceil(inputs.length / method.inputsMax) }, (_, i) =>
    inputs.slice(i * method.inputsMax, (i + 1) * method.inputsMax),
  );
  return { kind: "calls", bodies: chunks.map((texts) => callBody(texts, body, model, method)) };
}

function inputsOf(input: unknown): string[] | Refusal {
  const list: unknown[] = Array.isArray(input) ? input : [input];
  const isTokens = list.some((one) => typeof one === "number" || Array.isArray(one));
  if (isTokens) return refusal("input", "unsupported_value", "This model takes text, not lists of tokens.");
  const texts = list.filter((one) => typeof one === "string");
  if (texts.length === 0 || texts.length < list.length)
    return refusal("input", "invalid_type", "Invalid type for 'input': expected a string or a list of strings.");
  if (texts.includes("")) return refusal("input", "invalid_value", "'input' must not hold an empty string.");
  return texts;
}

function refusal(param: string, code: string, message: string): Refusal {
  const kind = code === "unsupported_value" ? "unsupported" : "invalid_request";
  return { kind: "refusal", error: { kind, message, code, param } };
}

function callBody(texts: string[], body: JsonObject, model: string, method: EmbeddingMethod): JsonObject {
  const task = firstText(body.task_type, body.input_type).toUpperCase();
  const title = firstText(body.title);
  const size = body.dimensions == null ? {} : { outputDimensionality: body.dimensions };
  const about = { ...(task !== "" && { taskType: task }), ...(title !== "" && { title }) };
  const truncation = typeof body.auto_truncate === "boolean" ? { autoTruncate: body.auto_truncate } : {};
  const contentOf = (text = "") => ({ parts: [{ text }] });
  if (method.name === "batchEmbedContents") {
    const name = model.includes("/") ? model : `models/${model}`;
    return { requests: texts.map((text) => ({ model: name, content: contentOf(text), ...size, ...about })) };
  }
  if (method.name === "embedContent") {
    const settings = { ...size, ...about, ...truncation };
    return { content: contentOf(texts[0]), ...(Object.keys(settings).length > 0 && { embedContentConfig: settings }) };
  }
  const instances = texts.map((content) => ({
    content,
    ...(task !== "" && { task_type: task }),
    ...(title !== "" && { title }),
  }));
  const parameters = { ...size, ...truncation };
  return { instances, ...(Object.keys(parameters).length > 0 && { parameters }) };
}

/** OpenAI's `data`, and the tokens of the prompt when every answer told them. */
export interface EmbeddingList {
  kind: "list";
  data: JsonObject[];
  promptTokens: number | undefined;
}

/** `answers` are the parsed bodies, in the order of the calls. */
export function toEmbeddingList(
  answers: unknown[],
  body: JsonObject,
): EmbeddingList | { kind: "error"; error: ProviderError } {
  const read = answers.map(readAnswer);
  const vectors = read.flatMap((answer) => answer.vectors);
  const expected = Array.isArray(body.input) ? body.input.length : 1;
  if (vectors.length !== expected) {
    const message = `The provider answered with ${vectors.length} embeddings for ${expected} inputs.`;
    return { kind: "error", error: malformed("invalid_response", message) };
  }
  const isShortened = body.dimensions != null;
  const data = vectors.map((vector, index) => {
    const values = isShortened ? normalised(vector) : vector;
    return { object: "embedding", index, embedding: body.encoding_format === "base64" ? base64(values) : values };
  });
  return { kind: "list", data, promptTokens: sum(read.map((answer) => answer.tokens)) };
}

interface Read {
  vectors: number[][];
  tokens: number | undefined;
}

function readAnswer(answer: unknown): Read {
  const { embeddings, embedding, predictions, usageMetadata }: JsonObject = isObject(answer) ? answer : {};
  const predicted = objectsIn(predictions).map((one) => (isObject(one.embeddings) ? one.embeddings : {}));
  const held = [...objectsIn(embeddings), ...(isObject(embedding) ? [embedding] : []), ...predicted];
  const vectors = held.map(({ values }) => values).filter(isVector);
  const told = isObject(usageMetadata) ? [usageMetadata.promptTokenCount] : predicted.map(tokenCount);
  const counts = told.map((count) => (Number.isInteger(count) ? Number(count) : undefined));
  return { vectors, tokens: sum(counts) };
}

function tokenCount({ statistics }: JsonObject): unknown {
  return isObject(statistics) ? statistics.token_count : undefined;
}

function isVector(values: unknown): values is number[] {
  return Array.isArray(values) && values.length > 0 && values.every((value) => typeof value === "number");
}

/** Unknown is not zero. */
function sum(counts: (number | undefined)[]): number | undefined {
  if (counts.length === 0) return undefined;
  return counts.reduce((total, count) => (total === undefined || count === undefined ? undefined : total + count), 0);
}

/** Shortened vectors come as they were cut; a second time does no harm. */
function normalised(vector: number[]): number[] {
  const length = Math.sqrt(vector.reduce((total, value) => total + value * value, 0));
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** 32-bit floats, little endian: what OpenAI's Node SDK asks for by default. */
function base64(vector: number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, i) => {
    bytes.writeFloatLE(value, i * 4);
  });
  return bytes.toString("base64");
}
