// A Chat Completions request as a body of `POST /v2/chat`.
import type { JsonObject } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../../src/dialect.ts";
import { Report } from "../report.ts";
import { reportFields } from "./fields.ts";
import { toFormat } from "./format.ts";
import { toMessages } from "./messages.ts";
import { applyRepairs } from "./repair.ts";
import { toSettings } from "./settings.ts";
import { toThinking } from "./thinking.ts";
import { toTools } from "./tools.ts";

export function encode({ request, target, repairs = [] }: Call): Encoded | Refusal {
  const report = new Report(request.strict);
  const { body } = request;
  const tools = toTools(body, report);
  const format = toFormat(body, report);
  const thinking = toThinking(body, report);
  const wire: JsonObject = {
    model: target.model,
    messages: toMessages(body.messages, format.instruction, report),
    ...tools,
    ...(format.member !== undefined && { response_format: format.member }),
    ...(thinking !== undefined && { thinking }),
    ...toSettings(body, report),
    ...(request.stream && { stream: true }),
  };
  reportFields(body, report);
  applyRepairs(wire, repairs, report);
  if (report.refusal !== undefined) return report.refusal;
  return {
    kind: "encoded",
    wire: { path: "/v2/chat", headers: {}, body: JSON.stringify(wire) },
    // No caller speaks this dialect, so there is never an answer to pass on as it is.
    relay: false,
    warnings: report.warnings,
  };
}
