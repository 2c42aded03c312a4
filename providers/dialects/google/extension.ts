// The extension object `google: {…}` (or `extra_body.google`, as Google's own endpoint spells it): fields OpenAI lacks.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import type { Translation } from "./context.ts";

/** Members of the request, ready to be laid over the translated ones. */
export interface Extension {
  top: JsonObject;
  generationConfig: JsonObject;
  tools: JsonObject[];
  retrievalConfig?: JsonObject;
  /** The caller wants to see what has no place in OpenAI's answer. */
  includeMetadata: boolean;
}

/** Unknown fields are a 400 upstream, so only these go through, and here each goes to its place. */
const TOP = new Set(["safetySettings", "cachedContent", "labels"]);
const GENERATION = new Set(["thinkingConfig", "responseModalities", "imageConfig", "speechConfig", "mediaResolution"]);

export function extensionOf({ body, profile, report }: Pick<Translation, "body" | "profile" | "report">): Extension {
  const extension: Extension = { top: {}, generationConfig: {}, tools: [], includeMetadata: false };
  const { google, ...others }: JsonObject = isObject(body.extra_body) ? body.extra_body : {};
  for (const name of Object.keys(others)) report.note("dropped", `extra_body.${name}`);
  for (const [path, holder] of [["extra_body.google", google] as const, ["google", body.google] as const]) {
    if (holder == null) continue;
    if (isObject(holder)) addMembers(extension, holder, path, { profile, report });
    else report.refuse("invalid_type", path, "Expected an object.");
  }
  if (extension.top.modelArmorConfig !== undefined && extension.top.safetySettings !== undefined) {
    const message = "'model_armor_config' and 'safety_settings' exclude each other.";
    report.refuse("invalid_value", "google.model_armor_config", message);
  }
  return extension;
}

function addMembers(
  extension: Extension,
  holder: JsonObject,
  path: string,
  { profile, report }: Pick<Translation, "profile" | "report">,
): void {
  for (const [key, value] of Object.entries(holder)) {
    if (value == null) continue;
    const name = camelCase(key);
    // Labels are the caller's own keys.
    if (TOP.has(name) || profile.extraTop.includes(name))
      extension.top[name] = name === "labels" ? value : camelCased(value);
    else if (GENERATION.has(name) || profile.extraGeneration.includes(name))
      extension.generationConfig[name] = camelCased(value);
    else if (name === "tools") extension.tools.push(...objectsIn(value).map(withCamelCasedNames));
    else if (name === "toolConfig" && isObject(value)) addRetrieval(extension, value, `${path}.${key}`, report);
    else if (name === "includeMetadata" && typeof value === "boolean") extension.includeMetadata = value;
    else report.refuse("unknown_parameter", `${path}.${key}`, `Unknown parameter: '${path}.${key}'.`);
  }
}

function addRetrieval(extension: Extension, toolConfig: JsonObject, path: string, report: Report): void {
  for (const [key, value] of Object.entries(toolConfig)) {
    if (camelCase(key) === "retrievalConfig" && isObject(value))
      extension.retrievalConfig = camelCased(value) as JsonObject;
    else report.refuse("unknown_parameter", `${path}.${key}`, `Unknown parameter: '${path}.${key}'.`);
  }
}

function camelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function camelCased(value: unknown, depth = 0): unknown {
  // Nothing that belongs here nests deeply.
  if (depth > 8) return value;
  if (Array.isArray(value)) return value.map((member) => camelCased(member, depth + 1));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, member]) => [camelCase(key), camelCased(member, depth + 1)]);
  return Object.fromEntries(entries);
}

/** Only the names of the tools: below them are schemas with the caller's own keys. */
function withCamelCasedNames(tool: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(tool).map(([name, settings]) => [camelCase(name), settings]));
}
