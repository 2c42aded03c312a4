// Who calls: the bearer token against SIGNALBOX_API_KEY and the callers' keys; and who may administer.
import { timingSafeEqual } from "node:crypto";
import { hashOf } from "../api-keys.ts";
import type { CallerError, Secret } from "../dialect.ts";
import type { FoundKey, KeyRing } from "../key-ring.ts";
import type { Caller } from "../routing/plan.ts";
import { type AppContext, callerError, errorResponse } from "./context.ts";

export interface Doors {
  /** SIGNALBOX_API_KEY: valid without any limit, as the caller "default". */
  apiKey: Secret | undefined;
  /** SIGNALBOX_ADMIN_KEY: the only one that opens /admin, and nothing else. */
  adminKey: Secret | undefined;
  keys: KeyRing;
  /** Only this machine can reach the router: while there is no key at all, everybody is "local". */
  isLoopback: boolean;
}

export type Role = "anyone" | "caller" | "admin";

/** The refusal, or `undefined`: then the caller may go on. */
export type Guard = (context: AppContext) => Response | undefined;

export function guardsOf(doors: Doors): Record<Role, Guard> {
  return { anyone: () => undefined, caller: authenticate(doors), admin: authenticateAdmin(doors.adminKey) };
}

function authenticate({ apiKey, keys, isLoopback }: Doors): Guard {
  const expected = apiKey === undefined ? undefined : hashOf(apiKey.reveal());
  return (context) => {
    const given = secretIn(context);
    if (expected === undefined && isLoopback && keys.isEmpty) {
      context.set("caller", { key: "local" });
      return undefined;
    }
    if (given === undefined) return refuse(context, MISSING);
    const hash = hashOf(given);
    // Hashes have one length, so the comparison takes the same time whatever was sent.
    if (expected !== undefined && timingSafeEqual(hash, expected)) {
      context.set("caller", { key: "default" });
      return undefined;
    }
    // Found by the whole hash: how far a guess is right cannot be measured.
    const admitted = admit(keys.find(hash), context.req.path);
    if ("status" in admitted) return refuse(context, admitted);
    context.set("caller", admitted);
    return undefined;
  };
}

/** Asking about oneself is always allowed. */
const ALWAYS_ALLOWED = "/v1/key";

function admit(found: FoundKey | undefined, path: string): Caller | CallerError {
  if (found === undefined) return UNKNOWN;
  const { key } = found;
  const whose = `The API key ${key.display} ("${key.name}")`;
  if (found.kind === "caller") {
    if (path === ALWAYS_ALLOWED || found.mayUseEndpoint(path)) return found.caller;
    const message = `${whose} may not use ${path.slice(0, 200)}. It may use ${key.endpoints?.join(", ")}.`;
    return { ...callerError(403, message, "endpoint_not_allowed"), type: "permission_error" };
  }
  const at = new Date(found.atMs).toISOString();
  if (found.kind === "revoked") return callerError(401, `${whose} was revoked at ${at}.`, "api_key_revoked");
  const why = found.kind === "expired" ? `expired at ${at}` : `was replaced by a new secret; this one ended at ${at}`;
  return callerError(401, `${whose} ${why}.`, "api_key_expired");
}

const MISSING = callerError(
  401,
  "No API key was given. Send the router's key (SIGNALBOX_API_KEY) or one of your own as 'Authorization: Bearer <key>'.",
  "missing_api_key",
);
const UNKNOWN = callerError(
  401,
  "The API key is not one of this router's: neither SIGNALBOX_API_KEY nor a key it made. Provider keys are not accepted here.",
  "invalid_api_key",
);

function authenticateAdmin(adminKey: Secret | undefined): Guard {
  const expected = adminKey === undefined ? undefined : hashOf(adminKey.reveal());
  return (context) => {
    if (expected === undefined) return refuse(context, CLOSED);
    const given = secretIn(context);
    if (given !== undefined && timingSafeEqual(hashOf(given), expected)) {
      context.header("cache-control", "no-store");
      return undefined;
    }
    return refuse(context, NOT_ADMIN);
  };
}

const CLOSED: CallerError = {
  ...callerError(403, "Administration is switched off: set SIGNALBOX_ADMIN_KEY and start again.", "admin_disabled"),
  type: "permission_error",
};
const NOT_ADMIN = callerError(
  401,
  "Only the key in SIGNALBOX_ADMIN_KEY opens /admin; keys of callers do not. Send it as 'Authorization: Bearer <key>'.",
  "invalid_admin_key",
);

function refuse(context: AppContext, error: CallerError): Response {
  return errorResponse(context, error, error.status === 401 ? { "www-authenticate": "Bearer" } : {});
}

function secretIn(context: AppContext): string | undefined {
  const header = context.req.header("authorization") ?? "";
  return /^Bearer\s+(\S.*)$/i.exec(header)?.[1]?.trim() ?? context.req.header("x-api-key");
}
