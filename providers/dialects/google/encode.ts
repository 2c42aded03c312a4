// A Chat Completions request as a call of `generateContent`.
import type { Content, Part } from "@google/genai";
import type { JsonObject } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../../src/dialect.ts";
import { firstText } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { answerForm, toGenerationConfig } from "./config.ts";
import { type Prompt, toPrompt } from "./contents.ts";
import { type Translation, translationOf } from "./context.ts";
import { extensionOf } from "./extension.ts";
import { reportFields } from "./fields.ts";
import { gatesOf } from "./gates.ts";
import { addressesToFetch } from "./media.ts";
import type { GoogleProfile } from "./profile.ts";
import { type ToolSettings, toTools } from "./tools.ts";

/** Only these members are ever sent: unknown ones are a 400 ("Unknown name … Cannot find field"). */
export interface GenerateContentBody {
  systemInstruction?: { parts: Part[] };
  contents: Content[];
  tools?: JsonObject[];
  toolConfig?: JsonObject;
  generationConfig?: JsonObject;
  safetySettings?: unknown;
  cachedContent?: unknown;
  labels?: unknown;
  modelArmorConfig?: unknown;
  serviceTier?: string;
  continuationToken?: string;
}

export function encode(call: Call, profile: GoogleProfile): Encoded | Refusal {
  const context = translationOf(call, profile);
  const { report } = context;
  const path = pathOf(call.target.model, profile, report);
  const body = toBody(call, context);
  const { headers, member } = serviceTier(context);
  if (report.refusal !== undefined) return report.refusal;
  return {
    kind: "encoded",
    wire: {
      // Without `alt=sse` a stream is one JSON array.
      path: `${path}:${call.request.stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
      headers,
      body: JSON.stringify({ ...body, ...member }),
    },
    // No caller speaks this dialect, so there is never an answer to pass on as it is.
    relay: false,
    warnings: report.warnings,
  };
}

/** The whole translation but the service tier; what is wrong with it is in the report of the context. */
export function toBody(call: Call, context: Translation): GenerateContentBody {
  const { body, report } = context;
  const extension = extensionOf(context);
  const form = answerForm(context);
  const prompt = toPrompt(form.instruction === undefined ? [] : [form.instruction], context);
  const tools = toTools(extension, context);
  const config = { ...toGenerationConfig(extension.generationConfig, context), ...form.config };
  reportFields(body, report);
  // The answer goes on where the token says; all else is the same request again.
  const continuationToken = firstText(call.continuation?.token);
  return {
    ...(extension.top.cachedContent === undefined ? { ...prompt, ...tools } : uncached(prompt, tools, report)),
    ...(Object.keys(config).length > 0 && { generationConfig: config }),
    ...extension.top,
    ...(continuationToken !== "" && { continuationToken }),
  };
}

/** Addresses whose contents must be inline, because this model does not fetch them itself. */
export function attachments({ request, target }: Call, profile: GoogleProfile): string[] {
  return addressesToFetch(request.body.messages, gatesOf(target.model, target.entry, profile));
}

/** An id with a slash is a resource path of its own (`tunedModels/x`). */
export function pathOf(model: string, { modelPrefix }: GoogleProfile, report: Report): string {
  const segments = (model.includes("/") ? model : modelPrefix + model).split("/");
  if (segments.some((segment) => segment === "" || segment === "." || segment === ".."))
    report.refuse("invalid_value", "model", "The model id is not a valid path.");
  return `/${segments.map((segment) => encodeURIComponent(segment.toWellFormed())).join("/")}`;
}

/** System instruction and tools live in the cache; sending them again is a 400. */
function uncached(
  { systemInstruction, contents }: Prompt,
  { tools, toolConfig }: ToolSettings,
  report: Report,
): Prompt {
  if (systemInstruction !== undefined) report.note("dropped", "messages.system");
  if (tools !== undefined) report.note("dropped", "tools");
  if (toolConfig !== undefined) report.note("dropped", "tool_choice");
  return { contents };
}

interface ServiceTier {
  headers: Record<string, string>;
  member: { serviceTier?: string };
}

function serviceTier({ body, profile, report }: Translation): ServiceTier {
  const tier = body.service_tier;
  const none = { headers: {}, member: {} };
  if (tier == null || tier === "auto" || tier === "default") return none;
  if (tier !== "flex" && tier !== "priority" && tier !== "standard") {
    report.note("dropped", "service_tier");
    return none;
  }
  const { serviceTierHeader } = profile;
  if (serviceTierHeader === undefined) return { headers: {}, member: { serviceTier: tier } };
  return tier === "standard" ? none : { headers: { [serviceTierHeader]: tier }, member: {} };
}
