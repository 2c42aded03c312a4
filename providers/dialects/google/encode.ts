// A Chat Completions request as a call of `generateContent`.
import type { Content, Part } from "@google/genai";
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../../src/dialect.ts";
import { answerForm, toGenerationConfig } from "./config.ts";
import { type Prompt, toPrompt } from "./contents.ts";
import { type Extension, extensionOf } from "./extension.ts";
import { reportFields } from "./fields.ts";
import { gatesOf } from "./gates.ts";
import { functionNames } from "./names.ts";
import { Report } from "./report.ts";
import { type ToolSettings, toTools } from "./tools.ts";

/** Only these members are ever sent: unknown ones are a 400 ("Unknown name … Cannot find field"). */
interface GenerateContentBody {
  systemInstruction?: { parts: Part[] };
  contents: Content[];
  tools?: JsonObject[];
  toolConfig?: JsonObject;
  generationConfig?: JsonObject;
  safetySettings?: unknown;
  cachedContent?: unknown;
  labels?: unknown;
  serviceTier?: string;
}

export function encode({ request, target }: Call): Encoded | Refusal {
  const report = new Report(request.strict);
  const context = { gates: gatesOf(target.model, target.entry), names: functionNames(request.body), report };
  const path = pathOf(target.model, request.stream, report);
  const extension = extensionOf(request.body, report);
  const form = answerForm(request.body, context);
  const prompt = toPrompt(request.body, form.instruction === undefined ? [] : [form.instruction], context);
  const tools = withExtensionTools(toTools(request.body, context), extension);
  const config = { ...toGenerationConfig(request.body, extension.generationConfig, context), ...form.config };
  reportFields(request.body, report);
  const body: GenerateContentBody = {
    ...(extension.top.cachedContent === undefined ? { ...prompt, ...tools } : uncached(prompt, tools, report)),
    ...(Object.keys(config).length > 0 && { generationConfig: config }),
    ...extension.top,
    ...serviceTier(request.body, report),
  };
  if (report.refusal !== undefined) return report.refusal;
  return {
    kind: "encoded",
    wire: { path, headers: {}, body: JSON.stringify(body) },
    // No caller speaks this dialect, so there is never an answer to pass on as it is.
    relay: false,
    warnings: report.warnings,
  };
}

/** An id with a slash is a resource path of its own (`tunedModels/x`). */
function pathOf(model: string, stream: boolean, report: Report): string {
  const segments = (model.includes("/") ? model : `models/${model}`).split("/");
  if (segments.some((segment) => segment === "" || segment === "." || segment === ".."))
    report.invalid("model", "invalid_value", "The model id is not a valid path.");
  const path = segments.map((segment) => encodeURIComponent(segment.toWellFormed())).join("/");
  // Without `alt=sse` a stream is one JSON array.
  return `/${path}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`;
}

function withExtensionTools(settings: ToolSettings, { tools, retrievalConfig }: Extension): ToolSettings {
  const all = [...(settings.tools ?? []), ...tools];
  const toolConfig = { ...settings.toolConfig, ...(retrievalConfig !== undefined && { retrievalConfig }) };
  return { ...(all.length > 0 && { tools: all }), ...(Object.keys(toolConfig).length > 0 && { toolConfig }) };
}

/** System instruction and tools live in the cache; sending them again is a 400. */
function uncached(
  { systemInstruction, contents }: Prompt,
  { tools, toolConfig }: ToolSettings,
  report: Report,
): Prompt {
  if (systemInstruction !== undefined) report.dropped("messages.system");
  if (tools !== undefined) report.dropped("tools");
  if (toolConfig !== undefined) report.dropped("tool_choice");
  return { contents };
}

function serviceTier(body: ChatBody, report: Report): { serviceTier?: string } {
  const tier = body.service_tier;
  if (tier == null || tier === "auto" || tier === "default") return {};
  if (tier === "flex" || tier === "priority" || tier === "standard") return { serviceTier: tier };
  report.dropped("service_tier");
  return {};
}
