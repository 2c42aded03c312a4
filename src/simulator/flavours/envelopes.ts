// The shapes in which compatible providers write errors.
import type { JsonObject } from "../../chat.ts";
import type { Fault } from "../face.ts";

export type Envelope = (fault: Fault) => unknown;

/** `{error: {message, type, param, code}}`, OpenAI's own. */
export const openaiError: Envelope = (fault) => ({ error: flatError(fault) });

/** The same without the wrapper. */
export function flatError({ message, type = "invalid_request_error", param = null, code = null }: Fault): JsonObject {
  return { message, type, param, code };
}

export const errorWithId: Envelope = (fault) => ({ id: "simulated", error: flatError(fault) });

export const errorWithObject: Envelope = ({ message, type = "invalid_request_error", code }) => ({
  error: { object: "error", type, code: code ?? type, message },
});

export const messageAndType: Envelope = ({ message, type = "invalid_request_error" }) => ({ error: { message, type } });

export const messageTypeCode: Envelope = ({ message, type = "invalid_request_error", code = null }) => ({
  error: { message, type, code },
});

export const codedByStatus: Envelope = ({ status, message, type = "invalid_request_error" }) => ({
  error: { code: status, message, type },
});

/** Text and nothing else. */
export const bareText: Envelope = ({ message }) => ({ error: message });

export const detailText: Envelope = ({ message }) => ({ detail: message });

export const detailError: Envelope = ({ message }) => ({ detail: { error: message } });

export const codeAndText: Envelope = ({ message, code, type = "invalid-argument" }) => ({
  code: code ?? type,
  error: message,
});

/** What validators that forbid unknown members say. */
export function extraForbidden(loc: readonly (string | number)[]): JsonObject {
  return { type: "extra_forbidden", loc: ["body", ...loc], msg: "Extra inputs are not permitted", input: null };
}
