// Gemini on Google Cloud: where it is called, how it is told who calls, and what the start says about a bad key file.
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { googleGenerate } from "../providers/dialects/google-generate.ts";
import { providers as known } from "../providers/index.ts";
import { vertex } from "../providers/vertex.ts";
import { buildConfig, type Environment } from "../src/config.ts";
import { type EnabledProvider, Secret } from "../src/dialect.ts";
import { type AttemptDeps, type AttemptInput, callOnce } from "../src/gateway/attempt.ts";
import { type AccessTokens, createAccessTokens, readServiceAccount, type ServiceAccount } from "../src/google-auth.ts";
import { readSettings, StartError } from "../src/settings.ts";
import type { UpstreamRequest } from "../src/upstream.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const CANARY = "ya29.canary-token";
const NOW_MS = Date.UTC(2026, 9, 7, 12);

function keyFile(changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    type: "service_account",
    client_email: "router@p.iam.gserviceaccount.com",
    private_key_id: "kid-1",
    private_key: PEM,
    token_uri: "https://oauth2.googleapis.com/token",
    ...changes,
  });
}

describe("the address", () => {
  const enabled = (env: Environment, yaml = "") => {
    const catalog = () => new Map();
    const built = buildConfig({ flags: {}, env, known, dialects: {}, catalog }, { file: "signalbox.yaml", text: yaml });
    if ("errors" in built) throw new Error(built.errors.map(({ message }) => message).join("\n"));
    const provider = built.providers.get("vertex");
    return provider === undefined ? built.disabled.get("vertex") : provider;
  };
  const cloud = (location: string) => ({
    GOOGLE_APPLICATION_CREDENTIALS: "/key.json",
    GOOGLE_VERTEX_PROJECT: "p",
    GOOGLE_VERTEX_LOCATION: location,
  });

  test.each([
    ["europe-west4", "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"],
    ["global", "https://aiplatform.googleapis.com/v1/projects/p/locations/global"],
    ["eu", "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"],
    ["us", "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us"],
  ])("of %s is %s", (location, baseUrl) => {
    expect(enabled(cloud(location))).toMatchObject({ baseUrl, key: undefined, credentialsFile: "/key.json" });
  });

  test("of express mode needs nothing but a key, which goes before a file", () => {
    const provider = enabled({ ...cloud("eu"), GOOGLE_VERTEX_API_KEY: "k" }) as EnabledProvider;
    expect(provider.baseUrl).toBe("https://aiplatform.googleapis.com/v1");
    expect(provider.credentialsFile).toBeUndefined();
    expect(provider.authorize("k")).toEqual({ "x-goog-api-key": "k" });
  });

  test("may be the operator's own", () => {
    const env = {
      GOOGLE_APPLICATION_CREDENTIALS: "/key.json",
      GOOGLE_VERTEX_BASE_URL: "https://gateway.example/v1/projects/p",
    };
    expect(enabled(env)).toMatchObject({
      baseUrl: "https://gateway.example/v1/projects/p",
      credentialsFile: "/key.json",
    });
  });

  test("that is not complete turns the provider off with a word on what it lacks", () => {
    expect(enabled({})).toBe("set GOOGLE_VERTEX_API_KEY or GOOGLE_APPLICATION_CREDENTIALS");
    expect(enabled({ GOOGLE_APPLICATION_CREDENTIALS: "/key.json" })).toBe("set GOOGLE_VERTEX_PROJECT");
    expect(enabled({ ...cloud(""), GOOGLE_VERTEX_LOCATION: "" })).toMatch(/^set GOOGLE_VERTEX_LOCATION/);
    expect(enabled(cloud("evil.example/"))).toMatch(/GOOGLE_VERTEX_LOCATION is not a location/);
    expect(() =>
      enabled({ GOOGLE_APPLICATION_CREDENTIALS: "/key.json" }, "providers: { vertex: { enabled: true } }"),
    ).toThrow("providers.vertex: set GOOGLE_VERTEX_PROJECT.");
  });
});

describe("a call", () => {
  const encoded = (model: string, fields: object = {}) => {
    const provider = { ...vertex, baseUrl: "", key: undefined, models: new Map() };
    const body = { model, messages: [{ role: "user", content: "q" }], ...fields };
    const request = {
      dialect: "openai-chat" as const,
      body,
      stream: false,
      includeUsage: false,
      includeCost: false,
      strict: false,
    };
    const result = vertex.dialect.encode({
      request,
      target: { provider, model, entry: undefined },
      nowMs: 0,
      newId: String,
    });
    if (result.kind === "refusal") throw new Error(result.error.message);
    return { ...result, body: JSON.parse(result.wire.body) };
  };

  test("names a model of Google, or whatever the path says", () => {
    expect(encoded("gemini-2.5-flash").wire.path).toBe("/publishers/google/models/gemini-2.5-flash:generateContent");
    expect(encoded("endpoints/123").wire.path).toBe("/endpoints/123:generateContent");
  });

  test("names the service tier in a header", () => {
    expect(encoded("gemini-3.8-flash", { service_tier: "flex" })).toMatchObject({
      wire: { headers: { "x-vertex-ai-llm-shared-request-type": "flex" } },
      body: { contents: [{}] },
    });
    expect(encoded("gemini-3.8-flash", { service_tier: "standard" }).wire.headers).toEqual({});
    expect(encoded("gemini-3.8-flash", { service_tier: "flex" }).body.serviceTier).toBeUndefined();
  });

  test("asks for no more output than there is, and for log-probabilities where they are told", () => {
    const { body, warnings } = encoded("gemini-2.5-flash", {
      max_tokens: 70_000,
      logprobs: true,
      google: { labels: { a: "b" } },
    });
    expect(body).toMatchObject({
      generationConfig: { maxOutputTokens: 65_536, responseLogprobs: true },
      labels: { a: "b" },
    });
    expect(warnings).toEqual(["clamped:max_tokens=70000->65536"]);
  });

  test("does not ask for parts of Google's own tools, which Vertex does not know", () => {
    const tools = [{ type: "google_search" }, { type: "function", function: { name: "f" } }];
    expect(encoded("gemini-3.8-flash", { tools }).body.toolConfig).toEqual({
      functionCallingConfig: { mode: "VALIDATED" },
    });
  });

  test("that meets a full quota without a word on when to come back leaves the wait to the router", () => {
    const text =
      '{"error":{"code":429,"message":"Resource exhausted. Please try again later.","status":"RESOURCE_EXHAUSTED"}}';
    const refused = { status: 429, headers: {}, text, nowMs: 0 };
    expect(vertex.dialect.decodeError(refused)).toMatchObject({ kind: "rate_limited", retryAfterMs: undefined });
    expect(googleGenerate.decodeError(refused)).toMatchObject({ kind: "rate_limited", retryAfterMs: 15_000 });
  });
});

interface Asked {
  assertion: string;
  grantType: string;
}

/** A token endpoint on loopback. `answer` says what the next call gets. */
async function tokenEndpoint(answer: () => { status?: number; body: unknown }) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams(await textOf(request));
    asked.push({ assertion: form.get("assertion") ?? "", grantType: form.get("grant_type") ?? "" });
    const { status = 200, body } = answer();
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, asked };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request) text += part;
  return text;
}

function account(tokenUrl: string): ServiceAccount {
  const read = readServiceAccount(keyFile({ token_uri: tokenUrl }), {
    isAllowed: ({ hostname }) => hostname === "127.0.0.1",
  });
  if ("problem" in read) throw new Error(read.problem);
  return read;
}

async function revealed(tokens: AccessTokens): Promise<string> {
  const token = await tokens();
  return "error" in token ? `error: ${token.error.kind}: ${token.error.message}` : token.reveal();
}

describe("access tokens", () => {
  let issued = 0;
  const fresh = () => {
    issued += 1;
    return { body: { access_token: `${CANARY}-${issued}`, expires_in: 3_600, token_type: "Bearer" } };
  };
  beforeAll(() => {
    issued = 0;
  });

  test("are asked for with a statement that the key of the account signed", async () => {
    const { url, asked } = await tokenEndpoint(fresh);
    await createAccessTokens(account(url), () => NOW_MS)();
    const [header = "", claims = "", signature = ""] = asked[0]!.assertion.split(".");
    const parsed = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
    expect(asked[0]!.grantType).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer");
    expect(parsed(header)).toEqual({ alg: "RS256", typ: "JWT", kid: "kid-1" });
    expect(parsed(claims)).toEqual({
      iss: "router@p.iam.gserviceaccount.com",
      scope: "https://www.googleapis.com/auth/cloud-platform",
      aud: url,
      iat: NOW_MS / 1000,
      exp: NOW_MS / 1000 + 3_600,
    });
    const spki = createPublicKey(publicKey.export({ type: "spki", format: "pem" }));
    const isSigned = verify(
      "RSA-SHA256",
      Buffer.from(`${header}.${claims}`),
      spki,
      Buffer.from(signature, "base64url"),
    );
    expect(isSigned).toBe(true);
  });

  test("are kept until five minutes before they expire, and fetched once for all who wait", async () => {
    const { url, asked } = await tokenEndpoint(fresh);
    let nowMs = NOW_MS;
    const tokens = createAccessTokens(account(url), () => nowMs);
    const together = await Promise.all([revealed(tokens), revealed(tokens), revealed(tokens)]);
    expect(new Set(together).size).toBe(1);
    expect(asked).toHaveLength(1);
    nowMs += 3_600_000 - 300_001;
    expect(await revealed(tokens)).toBe(together[0]);
    nowMs += 1;
    expect(await revealed(tokens)).not.toBe(together[0]);
    expect(asked).toHaveLength(2);
  });

  test("that cannot be renewed are used until they expire, and then the reason is told", async () => {
    let isAway = false;
    const { url } = await tokenEndpoint(() => (isAway ? { status: 503, body: "down" } : fresh()));
    let nowMs = NOW_MS;
    const tokens = createAccessTokens(account(url), () => nowMs);
    const first = await revealed(tokens);
    isAway = true;
    nowMs += 3_400_000;
    expect(await revealed(tokens)).toBe(first);
    nowMs += 200_000;
    expect(await revealed(tokens)).toBe("error: server: Google issued no access token (status 503).");
  });

  test.each<[what: string, status: number, body: unknown, expected: string]>([
    [
      "a key that was withdrawn",
      400,
      { error: "invalid_grant", error_description: `bad ${PEM}` },
      "error: auth: Google issued no access token (invalid_grant).",
    ],
    [
      "an answer without a token",
      200,
      { expires_in: 3_600 },
      "error: server: Google issued no access token (status 200).",
    ],
    [
      "an answer without end",
      200,
      `{"access_token":"${"x".repeat(70_000)}"}`,
      "error: server: Google issued no access token (status 200).",
    ],
    ["too many calls", 429, {}, "error: server: Google issued no access token (status 429)."],
    [
      "an error that is no word",
      401,
      { error: { token: CANARY } },
      "error: auth: Google issued no access token (status 401).",
    ],
  ])("are not had from %s, and the error is a value without a secret", async (_, status, body, expected) => {
    const { url } = await tokenEndpoint(() => ({ status, body }));
    expect(await revealed(createAccessTokens(account(url), () => NOW_MS))).toBe(expected);
  });

  test("are not had from an endpoint that is not there", async () => {
    const tokens = createAccessTokens(account("http://127.0.0.1:1/token"), () => NOW_MS);
    expect(await revealed(tokens)).toBe("error: network: The token endpoint of Google could not be reached.");
  });
});

describe("a call with a token", () => {
  const called = async (provider: Partial<EnabledProvider>) => {
    const sent: UpstreamRequest[] = [];
    const settled: { priceStatus: string }[] = [];
    const deps = {
      upstream: {
        async send(request: UpstreamRequest) {
          sent.push(request);
          return { kind: "error", wasSent: false, error: { kind: "network", message: "not reached" } };
        },
      },
      ledger: { openAttempt() {}, settleAttempt: (row: { priceStatus: string }) => settled.push(row) },
      memory: { remember() {}, recall: () => undefined },
      nowMs: () => NOW_MS,
      newId: String,
      observe() {},
    };
    const target = {
      provider: { ...vertex, baseUrl: "https://v", key: undefined, models: new Map(), ...provider },
      model: "m",
      entry: undefined,
    };
    const request = {
      dialect: "openai-chat",
      body: { model: "m", messages: [{ role: "user", content: "q" }] },
      stream: false,
      strict: false,
    };
    const input = {
      requestId: "r",
      numbered(open: (attempt: number) => void) {
        open(1);
        return 1;
      },
      caller: { key: "c" },
      request,
      target,
      repairs: [],
      lease: { heard() {}, counted() {}, end() {}, cancel() {} },
      money: { reservedNanoUsd: undefined, estimateNanoUsd() {}, settle() {}, cancel() {} },
      inView: (error: unknown) => error,
      unfit() {},
      signal: new AbortController().signal,
    };
    const result = await callOnce(deps as unknown as AttemptDeps, input as unknown as AttemptInput);
    return { sent, settled, result };
  };

  test("carries it as a bearer token, and no key", async () => {
    const { sent } = await called({ accessToken: async () => new Secret(CANARY), key: new Secret("k") });
    expect(sent[0]?.headers).toMatchObject({ authorization: `Bearer ${CANARY}` });
    expect(sent[0]?.headers["x-goog-api-key"]).toBeUndefined();
  });

  test("that could not be had is not made, costs nothing, and says why", async () => {
    const error = { kind: "auth" as const, message: "Google issued no access token (invalid_grant)." };
    const { sent, settled, result } = await called({ accessToken: async () => ({ error }) });
    expect(sent).toEqual([]);
    expect(result).toMatchObject({ kind: "failed", error });
    expect(settled).toMatchObject([{ priceStatus: "unmetered" }]);
  });
});

describe("a key file", () => {
  const files: [what: string, text: string, problem: RegExp][] = [
    ["no JSON", "-----BEGIN", /not a JSON object/],
    ["a user's login", keyFile({ type: "authorized_user" }), /"type" must be "service_account"/],
    ["no address", keyFile({ client_email: "" }), /lacks "client_email"/],
    ["no key", keyFile({ private_key: undefined }), /lacks "private_key"/],
    ["half a key", keyFile({ private_key: PEM.slice(0, 200) }), /not an RSA key/],
    ["a stranger's token endpoint", keyFile({ token_uri: "https://evil.example/token" }), /"token_uri"/],
    ["a name that only looks like Google's", keyFile({ token_uri: "https://evilgoogleapis.com/token" }), /"token_uri"/],
    ["a token endpoint without TLS", keyFile({ token_uri: "http://oauth2.googleapis.com/token" }), /"token_uri"/],
  ];

  test.each(files)("with %s says so and shows nothing of itself", (_, text, problem) => {
    const read = readServiceAccount(text);
    expect(read).toMatchObject({ problem: expect.stringMatching(problem) });
    expect(JSON.stringify(read)).not.toContain(PEM.slice(60, 100));
  });

  test("that is good prints without its key", () => {
    const read = readServiceAccount(keyFile());
    expect(read).toMatchObject({
      email: "router@p.iam.gserviceaccount.com",
      tokenUrl: "https://oauth2.googleapis.com/token",
    });
    expect(JSON.stringify(read) + inspect(read, { depth: 9 })).not.toContain("PRIVATE KEY");
  });

  test.each<[what: string, text: string | undefined, message: RegExp]>([
    ["is missing", undefined, /The credentials file .*key\.json of vertex cannot be read \(ENOENT\)\./],
    ["is wrong", "{}", /The credentials file .*key\.json of vertex cannot be used: its "type" must be/],
  ])("that %s stops the start", (_, text, message) => {
    const dir = mkdtempSync(join(tmpdir(), "signalbox-vertex-"));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const file = join(dir, "key.json");
    if (text !== undefined) writeFileSync(file, text);
    const config = join(dir, "signalbox.yaml");
    writeFileSync(config, "");
    const env = { GOOGLE_APPLICATION_CREDENTIALS: file, GOOGLE_VERTEX_PROJECT: "p", GOOGLE_VERTEX_LOCATION: "eu" };
    const start = () => readSettings({ flags: { config }, env });
    expect(start).toThrow(StartError);
    expect(start).toThrow(message);
    if (text === undefined) return;
    writeFileSync(file, keyFile());
    expect(start().config.providers.get("vertex")?.accessToken).toBeTypeOf("function");
  });
});
