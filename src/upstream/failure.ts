// What goes wrong on the way to a provider and back, in the router's words.
import { errors } from "undici";
import { HEDGE_LOST, type ProviderError } from "../chat.ts";

export const CALLER_LEFT: ProviderError = { kind: "cancelled", message: "The caller closed the connection." };

/** Why the signal of a call was aborted. */
export function reasonOf({ reason }: AbortSignal): ProviderError {
  return reason === HEDGE_LOST ? HEDGE_LOST : CALLER_LEFT;
}

const CONNECT_FAILURES = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);
/** OpenSSL's words by way of Node: expired, self-signed, of an unknown issuer, for another name. */
const CERTIFICATE_FAILURES =
  /^(CERT_|ERR_TLS_CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY)|HOSTNAME_MISMATCH)/;

export function isConnectFailure(cause: unknown): boolean {
  const code = errorCode(cause) ?? "";
  return cause instanceof errors.ConnectTimeoutError || CONNECT_FAILURES.has(code) || CERTIFICATE_FAILURES.test(code);
}

export function tooLarge(maxBytes: number): ProviderError {
  return { kind: "malformed", message: `The provider's answer is larger than ${maxBytes} bytes.` };
}

/** What a socket or TLS failure means for the loop. Names the failure, never the address or a header. */
export function explain(cause: unknown): ProviderError {
  if (cause instanceof errors.ConnectTimeoutError) {
    const message = "The provider did not accept a connection in time.";
    return { kind: "timeout", subkind: "connect", message, code: "timeout" };
  }
  const code = errorCode(cause);
  if (code !== undefined && CERTIFICATE_FAILURES.test(code)) {
    const message = `The provider's certificate is not valid (${code}).`;
    return { kind: "network", subkind: "certificate", message, code: "upstream_unreachable" };
  }
  return {
    kind: "network",
    ...(isConnectFailure(cause) && { subkind: "connect" as const }),
    message: `The connection to the provider failed${code === undefined ? "" : ` (${code})`}.`,
    code: "upstream_unreachable",
  };
}

function errorCode(cause: unknown): string | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
  }
  return undefined;
}
