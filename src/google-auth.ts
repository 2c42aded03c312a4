// Access tokens for Google Cloud from the key file of a service account: signed, fetched, kept until shortly before they
// expire. Neither the key nor a token is ever part of an error.
import { createPrivateKey, sign } from "node:crypto";
import { Agent } from "undici";
import type { JsonObject, ProviderError } from "./chat.ts";
import { Secret } from "./dialect.ts";
import { firstText, isObject, parseJson } from "./json.ts";

export interface ServiceAccount {
  email: string;
  keyId: string;
  /** PEM. */
  privateKey: Secret;
  tokenUrl: string;
}

export interface ReadOptions {
  /** For tests: which token endpoints may be called. */
  isAllowed?(url: URL): boolean;
}

const TOKEN_URL = "https://oauth2.googleapis.com/token";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const LIFETIME_S = 3_600;
/** A token that is about to expire could do so on its way. */
const MARGIN_MS = 300_000;
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;

/** The key file as Google Cloud hands it out, or what is wrong with it, in words that hold nothing of it. */
export function readServiceAccount(
  text: string,
  { isAllowed = isGoogles }: ReadOptions = {},
): ServiceAccount | { problem: string } {
  const file = parseJson(text);
  if (!isObject(file)) return { problem: "it is not a JSON object" };
  if (file.type !== "service_account") return { problem: `its "type" must be "service_account"` };
  const email = firstText(file.client_email);
  const pem = firstText(file.private_key);
  if (email === "" || pem === "") return { problem: `it lacks "${email === "" ? "client_email" : "private_key"}"` };
  if (!isRsaKey(pem)) return { problem: `its "private_key" is not an RSA key in PEM form` };
  const tokenUrl = URL.parse(firstText(file.token_uri, TOKEN_URL));
  if (tokenUrl === null || !isAllowed(tokenUrl))
    return { problem: `its "token_uri" is not an https address of Google` };
  return { email, keyId: firstText(file.private_key_id), privateKey: new Secret(pem), tokenUrl: tokenUrl.href };
}

function isRsaKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === "rsa";
  } catch {
    return false;
  }
}

/** A signature made with the key must not go to whoever wrote the file. */
function isGoogles({ protocol, hostname, username, password }: URL): boolean {
  const isHost = hostname === "accounts.google.com" || hostname.endsWith(".googleapis.com");
  return protocol === "https:" && isHost && username === "" && password === "";
}

export type AccessTokens = () => Promise<Secret | { error: ProviderError }>;

interface Token {
  secret: Secret;
  expiresAtMs: number;
}

/** Hands out tokens; callers who come while one is being fetched wait for the same one. */
export function createAccessTokens(account: ServiceAccount, nowMs: () => number): AccessTokens {
  const agent = new Agent({ connections: 1, connect: { timeout: TIMEOUT_MS }, allowH2: false });
  let known: Token | undefined;
  let running: Promise<Token | { error: ProviderError }> | undefined;
  return async () => {
    if (known !== undefined && nowMs() < known.expiresAtMs - MARGIN_MS) return known.secret;
    running ??= fetchToken(agent, account, nowMs).finally(() => {
      running = undefined;
    });
    const fetched = await running;
    if (!("error" in fetched)) {
      known = fetched;
      return fetched.secret;
    }
    // Google may be away for a moment, and the old token lives for some more.
    return known !== undefined && nowMs() < known.expiresAtMs ? known.secret : fetched;
  };
}

async function fetchToken(
  agent: Agent,
  account: ServiceAccount,
  nowMs: () => number,
): Promise<Token | { error: ProviderError }> {
  const askedAtMs = nowMs();
  const { origin, pathname, search } = new URL(account.tokenUrl);
  const form = { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: assertion(account, askedAtMs) };
  try {
    const response = await agent.request({
      origin,
      path: pathname + search,
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
      body: new URLSearchParams(form).toString(),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = parseJson(await readText(response.body));
    return toToken(response.statusCode, isObject(answer) ? answer : {}, askedAtMs);
  } catch {
    return { error: { kind: "network", message: "The token endpoint of Google could not be reached." } };
  }
}

/** A statement about the account, signed with its key (RFC 7523). */
function assertion({ email, keyId, privateKey, tokenUrl }: ServiceAccount, nowMs: number): string {
  const issuedAtS = Math.floor(nowMs / 1000);
  const header = { alg: "RS256", typ: "JWT", ...(keyId !== "" && { kid: keyId }) };
  const claims = { iss: email, scope: SCOPE, aud: tokenUrl, iat: issuedAtS, exp: issuedAtS + LIFETIME_S };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  const signature = sign("RSA-SHA256", Buffer.from(signed), privateKey.reveal());
  return `${signed}.${signature.toString("base64url")}`;
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) return "";
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function toToken(status: number, answer: JsonObject, askedAtMs: number): Token | { error: ProviderError } {
  const { access_token: token, expires_in: lifetimeS } = answer;
  if (status === 200 && typeof token === "string" && token !== "") {
    const lifetimeMs = (typeof lifetimeS === "number" && lifetimeS > 0 ? lifetimeS : LIFETIME_S) * 1000;
    return { secret: new Secret(token), expiresAtMs: askedAtMs + lifetimeMs };
  }
  // `invalid_grant` and the like; the description beside it may quote what was sent.
  const reason = /^\w{1,40}$/.exec(firstText(answer.error))?.[0] ?? `status ${status}`;
  const message = `Google issued no access token (${reason}).`;
  return { error: { kind: status >= 400 && status < 500 && status !== 429 ? "auth" : "server", message, status } };
}
