// A request as the body of `countTokens`, and what it answers.
import type { Call, Refusal } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { translationOf } from "./context.ts";
import { pathOf, toBody } from "./encode.ts";
import type { GoogleProfile } from "./profile.ts";

/** What is sent to count a request; reports of the translation have no meaning here. */
export function countTokensCall(call: Call, profile: GoogleProfile): { path: string; body: string } | Refusal {
  const context = translationOf(call, profile);
  const path = pathOf(call.target.model, profile, context.report);
  const { contents, systemInstruction, tools, toolConfig, generationConfig, cachedContent } = toBody(call, context);
  if (context.report.refusal !== undefined) return context.report.refusal;
  const counted = { contents, systemInstruction, tools, generationConfig };
  const body = profile.wrapsCountedRequest
    ? { generateContentRequest: { model: decodeURIComponent(path.slice(1)), ...counted, toolConfig, cachedContent } }
    : counted;
  return { path: `${path}:countTokens`, body: JSON.stringify(body) };
}

/** `undefined` when the answer does not say. Google's JSON leaves a zero out, but no request has no tokens. */
export function countedTokens(answer: unknown): number | undefined {
  const total = isObject(answer) ? answer.totalTokens : undefined;
  return Number.isInteger(total) && Number(total) >= 0 ? Number(total) : undefined;
}
