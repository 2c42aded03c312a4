// Why nothing can answer, in OpenRouter's words, so that callers can act on it: what was excluded by what.
import type { CallerError } from "../dialect.ts";
import { nearest } from "../nearest.ts";
import type { Asked } from "./facts.ts";
import type { ModelMatcher } from "./key-models.ts";
import type { Trace } from "./plan.ts";
import { listed } from "./requirements.ts";
import type { Rule } from "./rules.ts";
import { knownNames, type Snapshot } from "./snapshot.ts";

const SHOWN_MAX = 10;

export function ruleDenial({ status, message }: { status: number; message: string }): CallerError {
  const type = status === 403 ? "permission_error" : status === 429 ? "rate_limit_error" : "invalid_request_error";
  return { status, message, type, code: "denied_by_rule", param: null };
}

/** No target: the name is unknown, its providers are off, or every one of them is excluded by a reason. */
export function denied(snapshot: Snapshot, asked: Asked, rule: Rule | undefined, trace: Trace): CallerError {
  const model = asked.request.body.model;
  const out = trace.targets.filter(({ reasons }) => reasons.length > 0);
  const { models } = asked.caller;
  const isForbidden = ({ reasons }: Trace["targets"][number]) => reasons.some(({ code }) => code === "allowed_models");
  if (models !== undefined && out.length > 0 && out.every(isForbidden)) return notAllowed(model, models);
  if (out.length > 0) return constrained(model, trace, out);
  if (trace.missing.length > 0) return notEnabled(model, trace);
  const where = rule === undefined ? "" : ` (rule "${rule.name}")`;
  // The name itself may be known and yet lead nowhere (a rule over models of providers that are not enabled).
  const others = new Set(knownNames(snapshot)).difference(new Set([model]));
  const close = nearest(model.slice(0, 100), others, 3);
  const hint =
    close.length === 0 ? "See GET /v1/models." : `Did you mean ${close.map((name) => `'${name}'`).join(", ")}?`;
  const message = `The model '${model}' does not exist here, or no enabled provider serves it${where}. ${hint}`;
  return unavailable(404, message, "model_not_found", "model", { code: "model_not_found", requested_models: [model] });
}

/** The model exists; this key may not use it. */
export function notAllowed(model: string, { patterns }: ModelMatcher): CallerError {
  const message = `This API key may not use the model '${model}'. It may use ${listed(patterns)}.`;
  const availability = { code: "constraint_filtered", requested_models: [model], excluded_by: ["allowed_models"] };
  return {
    ...unavailable(403, message, "model_not_allowed", "model", availability),
    type: "permission_error",
    metadata: { availability, allowed_models: patterns.slice(0, 100) },
  };
}

function notEnabled(model: string, trace: Trace): CallerError {
  const reasons = trace.missing.map(({ target, reason }) => `${target}: ${reason}`);
  const message = `No target for the model '${model}' can be used. ${reasons.slice(0, SHOWN_MAX).join("; ")}.`;
  const availability = { code: "no_endpoints", requested_models: [model], excluded_by: ["not_enabled"] };
  return {
    ...unavailable(404, message, "model_not_found", "model", availability),
    metadata: { availability, excluded: reasons.slice(0, 50) },
  };
}

function constrained(model: string, trace: Trace, out: Trace["targets"]): CallerError {
  const lines = out.map(({ name, reasons }) => `${name}: ${reasons.map(({ detail }) => detail).join(", ")}`);
  const codes = [...new Set(out.flatMap(({ reasons }) => reasons.map(({ code }) => code)))];
  const onlyTooLong = codes.length === 1 && codes[0] === "context_length";
  const message = `Every target for the model '${model}' is excluded. ${lines.slice(0, SHOWN_MAX).join("; ")}.`;
  const availability = {
    code: "constraint_filtered",
    retryable: false,
    requested_models: [model],
    affected_providers: [...new Set(out.map(({ name }) => name.slice(0, name.indexOf("/"))))],
    excluded_by: codes,
  };
  const status = onlyTooLong || codes.includes("require_parameters") ? 400 : 404;
  const code = onlyTooLong ? "context_length_exceeded" : "no_endpoints";
  const excluded = [...lines, ...trace.missing.map(({ target, reason }) => `${target}: ${reason}`)].slice(0, 50);
  return {
    ...unavailable(status, message, code, onlyTooLong ? "messages" : "model", availability),
    metadata: { availability, excluded },
  };
}

function unavailable(status: number, message: string, code: string, param: string, availability: object): CallerError {
  return { status, message, type: "invalid_request_error", code, param, metadata: { availability } };
}
