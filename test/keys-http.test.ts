// Callers' keys over real sockets: who may call what, what an OpenAI SDK makes of it, and who may make keys.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import type { Config } from "../src/config.ts";
import { startTestRouter, type TestRouter, type TestRouterOptions } from "./support/router.ts";

const ADMIN = "adm-canary-4711";
const API = "sk-sb-api-canary-0815";
const ASK = { model: "gpt-6-luna", messages: [{ role: "user" as const, content: "Hi" }] };

interface Made {
  id: string;
  secret: string;
}

/** A router that can be administered. */
async function start(options: TestRouterOptions = {}) {
  const router = await startTestRouter({ ...options, env: { SIGNALBOX_ADMIN_KEY: ADMIN, ...options.env } });
  const admin = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${router.url}/admin${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const make = async (settings: Record<string, unknown> = {}): Promise<Made> => {
    const { status, json } = await admin("POST", "/keys", { name: "ann", ...settings });
    if (status !== 201) throw new Error(JSON.stringify(json));
    return json as unknown as Made;
  };
  const sdk = (apiKey: string) => new OpenAI({ baseURL: `${router.url}/v1`, apiKey, maxRetries: 0 });
  const post = (secret: string, body: unknown = ASK, headers: Record<string, string> = {}) =>
    router.post(body, {
      headers: { "content-type": "application/json", authorization: `Bearer ${secret}`, ...headers },
    });
  return { ...router, admin, make, sdk, post };
}

/** What the SDK throws. */
async function thrown(promise: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OpenAI.APIError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a key of one's own", () => {
  test("serves the unchanged SDK, and the ledger's row has its name", async () => {
    const { make, sdk, ledger } = await start();
    const { secret } = await make();
    const answer = await sdk(secret).chat.completions.create(ASK);
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect((await ledger()).requests).toMatchObject([{ caller_key: "ann", status: 200 }]);
  });

  test("works as x-api-key too", async () => {
    const { make, url } = await start();
    const { secret } = await make();
    const response = await fetch(`${url}/v1/models`, { headers: { "x-api-key": secret } });
    expect(response.status).toBe(200);
  });

  test("until the first key everybody is served, from then on nobody without one", async () => {
    const { make, post, url } = await start();
    expect((await post("anything")).status).toBe(200);
    const { secret } = await make();
    expect((await post("anything")).status).toBe(401);
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
    expect((await post(secret)).status).toBe(200);
  });

  test("SIGNALBOX_API_KEY stays valid beside it, as the caller default", async () => {
    const { make, post, ledger } = await start({ env: { SIGNALBOX_API_KEY: API } });
    const { secret } = await make();
    expect((await post(API)).status).toBe(200);
    expect((await post(secret)).status).toBe(200);
    const { requests } = await ledger();
    expect(requests.map((row) => row.caller_key)).toEqual(["default", "ann"]);
  });

  test("unknown, revoked and expired keys are told apart, and the SDK shows why", async () => {
    const { make, sdk, admin } = await start();
    const { id, secret } = await make();
    const unknown = await thrown(sdk("sk-sb-nobody").models.list());
    expect(unknown).toBeInstanceOf(OpenAI.AuthenticationError);
    expect([unknown.status, unknown.code]).toEqual([401, "invalid_api_key"]);
    await admin("DELETE", `/keys/${id}`);
    const revoked = await thrown(sdk(secret).chat.completions.create(ASK));
    expect(revoked).toBeInstanceOf(OpenAI.AuthenticationError);
    expect([revoked.status, revoked.code]).toEqual([401, "api_key_revoked"]);
    expect(revoked.message).toMatch(/^401 The API key sk-sb-.{4}… \("ann"\) was revoked at 20/);
    const rotated = await make();
    await admin("POST", `/keys/${rotated.id}/rotate`, { grace: "0s" });
    const replaced = await thrown(sdk(rotated.secret).chat.completions.create(ASK));
    expect([replaced.status, replaced.code]).toEqual([401, "api_key_expired"]);
    expect(replaced.message).toContain("was replaced by a new secret");
  });

  test("a rotated secret and the new one both work during the grace", async () => {
    const { make, post, admin } = await start();
    const { id, secret } = await make();
    const { json } = await admin("POST", `/keys/${id}/rotate`);
    expect(json.secret).not.toBe(secret);
    expect((await post(secret)).status).toBe(200);
    expect((await post(String(json.secret))).status).toBe(200);
  });

  test("an endpoint it may not use is 403, and asking about itself is always allowed", async () => {
    const { make, sdk, url } = await start();
    const { secret } = await make({ endpoints: ["/v1/models*"] });
    const refused = await thrown(sdk(secret).chat.completions.create(ASK));
    expect(refused).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect([refused.code, refused.message]).toEqual([
      "endpoint_not_allowed",
      expect.stringMatching(/may not use \/v1\/chat\/completions\. It may use \/v1\/models\*\.$/),
    ]);
    expect((await sdk(secret).models.list()).data.length).toBeGreaterThan(0);
    const about = await fetch(`${url}/v1/key`, { headers: { authorization: `Bearer ${secret}` } });
    expect(about.status).toBe(200);
  });
});

describe("the models a key may use", () => {
  const RULES = `version: 1
aliases:
  mixed: [openai/gpt-6-luna, anthropic/claude-haiku-5-5]
rules:
  - name: all-else
    model: "nothing-*"
    from: [anthropic/claude-haiku-5-5]
`;

  test("others are 403 naming those it may use, whatever rule or list of models leads to them", async () => {
    const { make, sdk, post, simulator } = await start({ rules: RULES });
    const { secret } = await make({ models: ["gpt-*"] });
    const refused = await thrown(sdk(secret).chat.completions.create({ ...ASK, model: "claude-haiku-5-5" }));
    expect(refused).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect([refused.code, refused.param]).toEqual(["model_not_allowed", "model"]);
    expect(refused.message).toBe("403 This API key may not use the model 'claude-haiku-5-5'. It may use gpt-*.");
    expect((await post(secret, { ...ASK, model: "nothing-at-all" })).status).toBe(403);
    expect((await post(secret, { ...ASK, model: "anthropic/claude-haiku-5-5" })).status).toBe(403);
    expect(simulator.requests).toEqual([]);
    const fallback = await post(secret, { ...ASK, models: ["claude-haiku-5-5", "gpt-6-luna"] });
    expect(fallback.headers.get("x-signalbox-model")).toBe("gpt-6-luna");
  });

  test("explain says which target is out because of the key", async () => {
    const { make, url } = await start({ rules: RULES });
    const { secret } = await make({ models: ["openai/*"] });
    const response = await fetch(`${url}/v1/route/explain`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${secret}` },
      body: JSON.stringify({ ...ASK, model: "mixed" }),
    });
    const { plan, targets } = (await response.json()) as { plan: string[]; targets: Record<string, unknown>[] };
    expect(plan).toEqual(["openai/gpt-6-luna"]);
    expect(targets.find(({ target }) => target === "anthropic/claude-haiku-5-5")?.excluded_by).toEqual([
      { code: "allowed_models", detail: "the key allows only openai/*" },
    ]);
  });

  test("an alias it may ask for brings all its targets, and only under that name", async () => {
    const { make, post } = await start({ rules: RULES });
    const { secret } = await make({ models: ["mixed"] });
    const both = await post(secret, { ...ASK, model: "mixed", provider: { only: ["anthropic"] } });
    expect([both.status, both.headers.get("x-signalbox-model")]).toEqual([200, "claude-haiku-5-5"]);
    expect((await post(secret, { ...ASK, model: "claude-haiku-5-5" })).status).toBe(403);
  });

  test("/v1/models lists what it may use and nothing else", async () => {
    const { make, sdk } = await start({ rules: RULES });
    const { secret } = await make({ models: ["anthropic/claude-haiku-*"] });
    const { data } = await sdk(secret).models.list();
    expect(data[0]?.id).toBe("mixed");
    expect(data.length).toBeGreaterThan(1);
    for (const { id } of data.slice(1)) expect(id).toMatch(/^anthropic\/claude-haiku-/);
    expect((await sdk(secret).models.retrieve("claude-haiku-5-5")).id).toBe("claude-haiku-5-5");
    expect((await thrown(sdk(secret).models.retrieve("gpt-6-luna"))).status).toBe(403);
    expect((await thrown(sdk(secret).models.retrieve("gpt-6-lunar"))).status).toBe(404);
  });
});

describe("limits of a key", () => {
  test("every answer tells what is left, and a 429 when to come back", async () => {
    const { make, sdk, post } = await start();
    const { secret } = await make({ rpm: 2, tpm: 100_000 });
    const first = await post(secret);
    expect(Object.fromEntries([...first.headers].filter(([name]) => name.startsWith("x-ratelimit-")))).toEqual({
      "x-ratelimit-limit-requests": "2",
      "x-ratelimit-remaining-requests": "1",
      "x-ratelimit-reset-requests": expect.stringMatching(/^(\d+(\.\d+)?s|\d+ms)$/),
      "x-ratelimit-limit-tokens": "100000",
      "x-ratelimit-remaining-tokens": expect.stringMatching(/^99\d\d\d$/),
      "x-ratelimit-reset-tokens": expect.stringMatching(/^(\d+(\.\d+)?s|\d+ms)$/),
    });
    const stream = await post(secret, { ...ASK, stream: true });
    expect(stream.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    await stream.text();
    const refused = await thrown(sdk(secret).chat.completions.create(ASK));
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    expect([refused.code, refused.type, refused.param]).toEqual([
      "rate_limit_exceeded",
      "rate_limit_error",
      "requests",
    ]);
    expect(refused.message).toMatch(
      /^429 Rate limit reached for this API key: 2 requests per minute\. Please try again in/,
    );
    const afterMs = Number(refused.headers?.get("retry-after-ms"));
    expect(afterMs).toBeGreaterThan(0);
    expect(refused.headers?.get("retry-after")).toBe(String(Math.ceil(afterMs / 1000)));
    expect(refused.headers?.get("x-ratelimit-remaining-requests")).toBe("0");
  });

  test("a key without limits gets no such headers", async () => {
    const { make, post } = await start();
    const { secret } = await make();
    const { headers } = await post(secret);
    expect([...headers.keys()].filter((name) => name.startsWith("x-ratelimit-"))).toEqual([]);
  });

  test("a place is taken while an answer runs, and free when it ends or its caller leaves", async () => {
    const { make, post, url, simulator } = await start();
    const { secret } = await make({ concurrency: 1 });
    simulator.setScript(() => ({ hang: "stream" }));
    const leave = new AbortController();
    const hanging = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${secret}` },
      body: JSON.stringify({ ...ASK, stream: true }),
      signal: leave.signal,
    });
    expect(hanging.status).toBe(200);
    simulator.setScript(undefined);
    const refused = await post(secret);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(await refused.json()).toMatchObject({ error: { code: "rate_limit_exceeded", param: "concurrency" } });
    leave.abort();
    await expect.poll(async () => (await post(secret)).status).toBe(200);
    for (let call = 0; call < 3; call += 1) expect((await post(secret, { ...ASK, model: "no-such" })).status).toBe(404);
    for (let call = 0; call < 3; call += 1) expect((await post(secret)).status).toBe(200);
    for (let call = 0; call < 3; call += 1) {
      const stream = await post(secret, { ...ASK, stream: true });
      expect(stream.status).toBe(200);
      await stream.text();
    }
  });

  test("requests that the router refuses itself do not count", async () => {
    const { make, post } = await start();
    const { secret } = await make({ rpm: 1 });
    for (let call = 0; call < 5; call += 1) expect((await post(secret, { ...ASK, model: "no-such" })).status).toBe(404);
    expect((await post(secret)).status).toBe(200);
    expect((await post(secret)).status).toBe(429);
  });

  test("a change of the limits holds for the next request", async () => {
    const { make, post, admin } = await start();
    const { id, secret } = await make({ rpm: 1 });
    expect((await post(secret)).status).toBe(200);
    expect((await post(secret)).status).toBe(429);
    await admin("PATCH", `/keys/${id}`, { rpm: null });
    expect((await post(secret)).status).toBe(200);
  });
});

describe("what a caller says of itself", () => {
  test("no header or field of it that is the router's own reaches a provider", async () => {
    const { make, post, simulator } = await start();
    const { secret } = await make();
    const body = { ...ASK, user: "u-1", metadata: { team: "m-1" }, session_id: "session-canary" };
    const headers = {
      "x-signalbox-tags": "tag-canary",
      "x-title": "title-canary",
      "http-referer": "https://referer-canary.example/page",
      "x-session-id": "header-canary",
    };
    expect((await post(secret, body, headers)).status).toBe(200);
    const sent = JSON.stringify(simulator.requests);
    expect(sent).toContain("u-1");
    expect(sent).not.toContain("canary-");
    for (const canary of ["tag-canary", "title-canary", "referer-canary", "session-canary", "header-canary", secret]) {
      expect(sent).not.toContain(canary);
    }
  });

  test.each<[string, string, RegExp]>([
    ["a space", "good, not good", /'not good' is not allowed; expected 1 to 64 characters/],
    ["65 characters", "x".repeat(65), /is not allowed/],
    ["eleven tags", Array.from({ length: 11 }, (_, at) => `t${at}`).join(","), /at most 10 tags are taken; found 11/],
  ])("tags with %s are refused by name", async (_, tags, message) => {
    const { post } = await start();
    const response = await post("x", ASK, { "x-signalbox-tags": tags });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string; param: string } };
    expect(error.param).toBe("x-signalbox-tags");
    expect(error.message).toMatch(message);
  });

  test("tags of a request do not pass for tags of the key where a rule looks", async () => {
    const rules = `version: 1
rules:
  - name: gold
    when: "'gold' in key.tags"
    from: [anthropic/claude-haiku-5-5]
`;
    const { make, post } = await start({ rules });
    const plain = await make();
    const gold = await make({ name: "bob", tags: ["gold"] });
    const decided = async (secret: string) =>
      (await post(secret, ASK, { "x-signalbox-tags": "gold" })).headers.get("x-signalbox-decision");
    expect(await decided(plain.secret)).not.toContain("rule=gold");
    expect(await decided(gold.secret)).toContain("rule=gold");
  });
});

describe("GET /v1/key", () => {
  const about = async (router: TestRouter, secret: string) => {
    const response = await fetch(`${router.url}/v1/key`, { headers: { authorization: `Bearer ${secret}` } });
    return (await response.json()) as { data: Record<string, unknown> };
  };

  test("tells a key's limits and what it has spent in OpenRouter's shape", async () => {
    const router = await start();
    const { secret } = await router.make({ rpm: 60, budgets: ["$100/month soft", "$5.25/day"], team: "web" });
    expect((await about(router, secret)).data).toMatchObject({
      label: "ann",
      limit: 5.25,
      limit_reset: "daily",
      limit_remaining: 5.25,
      usage: 0,
      usage_daily: 0,
      usage_weekly: 0,
      usage_monthly: 0,
      is_free_tier: false,
      rate_limit: { requests: 60, interval: "1m" },
      team: "web",
    });
  });

  test("a caller without limits has none", async () => {
    const router = await start();
    expect((await about(router, "x")).data).toMatchObject({
      label: "local",
      limit: null,
      limit_reset: null,
      rate_limit: { requests: -1 },
      budgets: [],
    });
  });
});

describe("/admin", () => {
  const ROUTES: [method: string, path: string, role: "anyone" | "caller" | "admin"][] = [
    ["GET", "/health", "anyone"],
    ["GET", "/health/live", "anyone"],
    ["GET", "/health/ready", "anyone"],
    ["POST", "/v1/chat/completions", "caller"],
    ["POST", "/v1/route/explain", "caller"],
    ["GET", "/v1/models", "caller"],
    ["GET", "/v1/models/gpt-6-luna", "caller"],
    ["GET", "/v1/key", "caller"],
    ["GET", "/v1/generation", "caller"],
    ["GET", "/v1/unknown", "caller"],
    ["DELETE", "/v1/models", "caller"],
    ["GET", "/admin/keys", "admin"],
    ["POST", "/admin/keys", "admin"],
    ["GET", "/admin/keys/key_1", "admin"],
    ["PATCH", "/admin/keys/key_1", "admin"],
    ["DELETE", "/admin/keys/key_1", "admin"],
    ["POST", "/admin/keys/key_1/rotate", "admin"],
    ["GET", "/admin/usage", "admin"],
    ["GET", "/admin/requests", "admin"],
    ["GET", "/admin/openapi.json", "admin"],
    ["GET", "/admin/unknown", "admin"],
    ["PUT", "/admin/keys", "admin"],
    ["GET", "/admin", "admin"],
  ];

  test("every route lets in whom it is for and nobody else: no key, wrong key, caller's key, API key, admin key", async () => {
    const { make, url } = await start({ env: { SIGNALBOX_API_KEY: API } });
    const { secret } = await make();
    const letIn: Record<string, string[]> = {
      anyone: ["", "wrong", secret, API, ADMIN],
      caller: [secret, API],
      admin: [ADMIN],
    };
    for (const [method, path, role] of ROUTES) {
      for (const key of letIn.anyone ?? []) {
        const headers = key === "" ? {} : { authorization: `Bearer ${key}` };
        const { status } = await fetch(url + path, { method, headers });
        const isIn = letIn[role]?.includes(key);
        expect([method, path, key, status === 401]).toEqual([method, path, key, !isIn]);
      }
    }
  });

  test("the routes above are all there are", async () => {
    const { url } = await start();
    const known = ROUTES.map(([method, path]) => `${method} ${path}`);
    let listed = 0;
    for (const area of ["/v1", "/admin"]) {
      const response = await fetch(`${url}${area}/nothing`, { headers: { authorization: `Bearer ${ADMIN}` } });
      expect(response.status).toBe(404);
      const { error } = (await response.json()) as { error: { message: string } };
      for (const [, method, path] of error.message.matchAll(/(\w+) (\/[\w/{}.]+)(?=, |\.( |$))/g)) {
        if (path === `${area}/nothing`) continue;
        listed += 1;
        expect(known).toContain(
          `${method} ${path?.replace("models/{id}", "models/gpt-6-luna").replace("{id}", "key_1")}`,
        );
      }
    }
    // Those of the two areas, and /health with each.
    expect(listed).toBe(6 + 9 + 2);
  });

  test("without SIGNALBOX_ADMIN_KEY it is closed, also to whoever is local", async () => {
    const { url } = await startTestRouter();
    for (const path of ["/admin/keys", "/admin/openapi.json", "/admin/unknown"]) {
      const response = await fetch(url + path, { headers: { authorization: "Bearer " } });
      expect(response.status).toBe(403);
      expect(await response.text()).toContain("set SIGNALBOX_ADMIN_KEY");
    }
  });

  test("keys are made, listed page by page, changed and revoked", async () => {
    const { admin, make } = await start();
    const ids: string[] = [];
    for (const name of ["a", "b", "c"]) ids.push((await make({ name })).id);
    const first = await admin("GET", "/keys?limit=2");
    expect(first.json).toMatchObject({ object: "list", data: [{ name: "a" }, { name: "b" }], next: ids[1] });
    const second = await admin("GET", `/keys?limit=2&after=${ids[1]}`);
    expect(second.json).toMatchObject({ data: [{ name: "c" }], next: null });
    expect(JSON.stringify(first.json)).not.toMatch(/secret"|hash/);
    const changed = await admin("PATCH", `/keys/${ids[0]}`, { rpm: 7, tags: ["x"] });
    expect(changed.json).toMatchObject({ id: ids[0], name: "a", rpm: 7, tags: ["x"], status: "active" });
    expect((await admin("DELETE", `/keys/${ids[0]}`)).json).toMatchObject({ status: "revoked" });
    expect((await admin("GET", `/keys/${ids[0]}`)).json).toMatchObject({ status: "revoked", rpm: 7 });
  });

  test.each<[string, string, string, unknown, number, string]>([
    ["a name that is taken", "POST", "/keys", { name: "ann" }, 409, "name_taken"],
    ["a misspelt setting", "POST", "/keys", { name: "b", rmp: 1 }, 400, "invalid_value"],
    ["a date that has passed", "POST", "/keys", { name: "b", expires: "2020-01-01" }, 400, "invalid_value"],
    ["a budget that is none", "POST", "/keys", { name: "b", budgets: ["5"] }, 400, "invalid_value"],
    ["a list instead of an object", "POST", "/keys", [], 400, "invalid_value"],
    ["a key nobody has", "GET", "/keys/key_nobody", undefined, 404, "key_not_found"],
    ["a cursor nobody gave", "GET", "/keys?after=ann", undefined, 400, "invalid_value"],
    ["a grace of ten years", "POST", "/keys/key_nobody/rotate", { grace: "3650d" }, 400, "invalid_value"],
    ["a body of a megabyte", "POST", "/keys", { name: "x".repeat(1_000_000) }, 413, "request_too_large"],
  ])("%s is refused", async (_, method, path, body, status, code) => {
    const { admin, make } = await start();
    await make();
    const answer = await admin(method, path, body);
    expect([answer.status, (answer.json.error as { code: string }).code]).toEqual([status, code]);
  });

  test("its OpenAPI document describes every admin route, and what it says of bodies is what is checked", async () => {
    const { admin } = await start();
    const { json } = await admin("GET", "/openapi.json");
    expect(json.openapi).toBe("3.1.0");
    const paths = json.paths as Record<string, Record<string, Record<string, unknown>>>;
    const described = Object.entries(paths).flatMap(([path, at]) =>
      Object.keys(at).map((method) => `${method.toUpperCase()} ${path.replace("{id}", "key_1")}`),
    );
    const known = ROUTES.slice(0, -3).filter(([, path, role]) => role === "admin" && path !== "/admin/openapi.json");
    expect(described.sort()).toEqual(known.map(([method, path]) => `${method} ${path}`).sort());
    const body = paths["/admin/keys"]?.post?.requestBody as { content: Record<string, { schema: unknown }> };
    expect(body.content["application/json"]?.schema).toMatchObject({
      type: "object",
      required: ["name"],
      additionalProperties: false,
      properties: { rpm: { anyOf: [{ type: "integer", minimum: 1, maximum: 1_000_000 }, { type: "null" }] } },
    });
    expect(JSON.stringify(json)).toContain("#/components/schemas/Error");
  });

  test("the same key may not open both the API and /admin", async () => {
    const same = startTestRouter({ env: { SIGNALBOX_ADMIN_KEY: API, SIGNALBOX_API_KEY: API } });
    await expect(same).rejects.toThrow(/SIGNALBOX_ADMIN_KEY.*must differ from SIGNALBOX_API_KEY/);
  });
});

test("no secret is in the log, an error, an answer or a file, but in the one that made it", async () => {
  const { make, post, admin, url, logs, router, ledger } = await start({ env: { SIGNALBOX_API_KEY: API } });
  const { id, secret } = await make({ models: ["gpt-*"], rpm: 3 });
  const texts: string[] = [];
  const told = async (response: Response) =>
    texts.push(JSON.stringify([...response.headers]) + (await response.text()));
  await told(await post(secret));
  await told(await post(secret, { ...ASK, stream: true }));
  await told(await post(secret, { ...ASK, model: "claude-haiku-5-5" }));
  await told(await post(`${secret}x`));
  await told(await fetch(`${url}/v1/key`, { headers: { "x-api-key": secret } }));
  await told(await fetch(`${url}/health`));
  const next = String((await admin("POST", `/keys/${id}/rotate`, { grace: "1h" })).json.secret);
  texts.push(JSON.stringify((await admin("GET", "/keys")).json));
  await admin("DELETE", `/keys/${id}`);
  await told(await post(secret));
  await told(await post(next));
  const { config } = router as { config: Config };
  texts.push(JSON.stringify(await ledger()), logs.join("\n"));
  const files = readdirSync(config.dataDir).map((name) => readFileSync(join(config.dataDir, name)));
  expect(files.length).toBeGreaterThan(0);
  for (const whole of [secret, next, API, ADMIN]) {
    for (const text of texts) expect(text).not.toContain(whole.slice(-12));
    for (const bytes of files) expect(bytes.includes(whole.slice(-12))).toBe(false);
  }
});

test("a router with keys may listen beyond loopback, and nobody without one is served there", async () => {
  const { make, router, ledger } = await start();
  await make();
  await ledger();
  const { startRouter } = await import("../src/main.ts");
  const { dataDir, rulesDir } = router.config;
  const flags = { port: "0", host: "0.0.0.0", data: dataDir, ...(rulesDir === undefined ? {} : { rules: rulesDir }) };
  const open = await startRouter({ flags, env: {}, log: () => {} });
  const { status } = await fetch(`${open.url.replace("0.0.0.0", "127.0.0.1")}/v1/models`);
  await open.close();
  expect(status).toBe(401);
});
