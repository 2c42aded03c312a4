// GET /v1/models: OpenAI's list with OpenRouter's members (context, prices, modalities, parameters).
import type { JsonObject, RateCard } from "../chat.ts";
import type { EnabledProvider, ModelEntry } from "../dialect.ts";
import { nearest } from "../nearest.ts";
import { pricesAt } from "../pricing.ts";
import { notAllowed } from "../routing/denials.ts";
import type { ModelMatcher } from "../routing/key-models.ts";
import { knownNames, resolve, type Snapshot } from "../routing/snapshot.ts";
import { type AppContext, callerError, errorResponse } from "./context.ts";

/** What there is, as far as the caller may use it. */
export function listModels(snapshot: Snapshot, nowMs: number, mayUse?: ModelMatcher): JsonObject {
  const data: JsonObject[] = [];
  for (const alias of snapshot.rules.aliases.keys()) {
    if (isForbidden(snapshot, alias, mayUse)) continue;
    data.push(describeAlias(snapshot, alias, nowMs));
  }
  for (const provider of snapshot.providers.values()) {
    for (const entry of provider.models.values()) {
      if (mayUse?.allowsTarget({ provider, model: entry.id, entry }) === false) continue;
      data.push(describeModel(provider, entry, nowMs));
    }
  }
  return { object: "list", data, total_count: data.length };
}

export function modelRoute(context: AppContext, snapshot: Snapshot, nowMs: number): Response {
  const id = decoded(context.req.path.slice("/v1/models/".length));
  const mayUse = context.get("caller").models;
  if (mayUse !== undefined && isForbidden(snapshot, id, mayUse)) return errorResponse(context, notAllowed(id, mayUse));
  if (snapshot.rules.aliases.has(id)) return context.json(describeAlias(snapshot, id, nowMs));
  const target = resolve(snapshot, id).targets[0];
  if (target?.entry !== undefined) return context.json({ ...describeModel(target.provider, target.entry, nowMs), id });
  const close = nearest(id.slice(0, 100), knownNames(snapshot), 3);
  const hint = close.length === 0 ? "" : ` Did you mean ${close.map((name) => `'${name}'`).join(", ")}?`;
  return errorResponse(
    context,
    callerError(404, `The model '${id}' does not exist here.${hint}`, "model_not_found", "model"),
  );
}

/** The name leads somewhere, and nowhere that the key may go. */
function isForbidden(snapshot: Snapshot, name: string, mayUse: ModelMatcher | undefined): boolean {
  if (mayUse === undefined) return false;
  if (snapshot.rules.aliases.has(name) && mayUse.allowsAlias(name)) return false;
  const { targets } = resolve(snapshot, name, "caller");
  return targets.length > 0 && !targets.some((target) => mayUse.allowsTarget(target));
}

/** A path that is not valid percent-encoding names itself: it is then unknown, not an error. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function describeAlias(snapshot: Snapshot, alias: string, nowMs: number): JsonObject {
  const { targets } = resolve(snapshot, alias);
  const first = targets[0];
  const described = first?.entry === undefined ? {} : describeModel(first.provider, first.entry, nowMs);
  return { ...described, id: alias, object: "model", created: 0, owned_by: "signalbox", name: `Alias ${alias}` };
}

function describeModel(provider: EnabledProvider, entry: ModelEntry, nowMs: number): JsonObject {
  const input = entry.input ?? ["text"];
  const output = entry.output ?? ["text"];
  return {
    id: `${provider.standsInFor ?? provider.id}/${entry.id}`,
    object: "model",
    // Nobody publishes a reliable date; OpenAI's clients only need an integer.
    created: 0,
    owned_by: provider.id,
    name: entry.name ?? entry.id,
    context_length: entry.contextTokens ?? null,
    architecture: {
      modality: `${input.join("+")}->${output.join("+")}`,
      input_modalities: input,
      output_modalities: output,
    },
    pricing: entry.rates === undefined ? null : pricing(pricesAt(entry.rates, nowMs)),
    top_provider: {
      context_length: entry.contextTokens ?? null,
      max_completion_tokens: entry.maxOutputTokens ?? null,
    },
    supported_parameters: supportedParameters(entry),
  };
}

/** Dollars per token, request or search as decimal strings, OpenRouter's unit. */
function pricing(rates: RateCard): JsonObject {
  const prices: Record<string, number | undefined> = {
    prompt: rates.input,
    completion: rates.output,
    input_cache_read: rates.cacheRead,
    input_cache_write: rates.cacheWrite,
    input_cache_write_1h: rates.cacheWrite1h,
    audio: rates.audioInput,
    audio_output: rates.audioOutput,
    image_token: rates.imageInput,
    image_output: rates.imageOutput,
    internal_reasoning: rates.reasoningOutput,
    request: rates.request,
    web_search: rates.search,
  };
  const told = Object.entries(prices).filter(([, price]) => price !== undefined);
  return Object.fromEntries(told.map(([name, price]) => [name, usdPerToken(price as number)]));
}

/** Micro-dollars per million tokens are picodollars per token: the decimal point moves twelve places. */
function usdPerToken(microUsdPerMTok: number): string {
  const digits = microUsdPerMTok.toString().padStart(13, "0");
  const fraction = digits.slice(-12).replace(/0+$/, "");
  return `${digits.slice(0, -12)}${fraction === "" ? "" : `.${fraction}`}`;
}

function supportedParameters(entry: ModelEntry): string[] {
  const parameters = ["max_tokens", "max_completion_tokens", "stop", "stream", "temperature", "top_p"];
  if (entry.tools === true) parameters.push("tools", "tool_choice");
  if (entry.structuredOutputs === true) parameters.push("response_format", "structured_outputs");
  if (entry.reasoning === true) parameters.push("reasoning_effort", "reasoning");
  return parameters;
}
