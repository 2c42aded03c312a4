// Who calls: the bearer token against the configured key.
import { hash as digest, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { Secret } from "../dialect.ts";
import { callerError, type Env, errorResponse } from "./context.ts";

/** Without a key everybody is `local` (the server then listens on loopback only). Wrong and missing keys get 401. */
export function authenticate(apiKey: Secret | undefined): MiddlewareHandler<Env> {
  const expected = apiKey === undefined ? undefined : hash(apiKey.reveal());
  return async (context, next) => {
    const given = bearer(context.req.header("authorization")) ?? context.req.header("x-api-key");
    if (expected === undefined) {
      context.set("caller", { key: "local" });
      return next();
    }
    if (given === undefined) {
      const message = "No API key was given. Send the router's key as 'Authorization: Bearer <SIGNALBOX_API_KEY>'.";
      return errorResponse(context, callerError(401, message, "missing_api_key"), CHALLENGE);
    }
    // Hashes have one length, so the comparison takes the same time whatever was sent.
    if (!timingSafeEqual(hash(given), expected)) {
      const message = "The API key is not this router's key (SIGNALBOX_API_KEY). Provider keys are not accepted here.";
      return errorResponse(context, callerError(401, message, "invalid_api_key"), CHALLENGE);
    }
    context.set("caller", { key: "default" });
    return next();
  };
}

const CHALLENGE = { "www-authenticate": "Bearer" };

function bearer(header: string | undefined): string | undefined {
  return /^Bearer\s+(\S.*)$/i.exec(header ?? "")?.[1]?.trim();
}

function hash(text: string): Buffer {
  return digest("sha256", text, "buffer");
}
