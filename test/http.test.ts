// The edge: every mistake a caller can make gets an error in OpenAI's shape that names the problem.
import { request } from "node:http";
import { gzipSync } from "node:zlib";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { startTestRouter, type TestRouter } from "./support/router.ts";

const ASK = { model: "gpt-6-luna", messages: [{ role: "user", content: "Hi" }] };

interface ErrorBody {
  error: { message: string; type: string; code: string | null; param: string | null };
}

async function errorOf(response: Response): Promise<ErrorBody["error"]> {
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
  const { error } = (await response.json()) as ErrorBody;
  expect(Object.keys(error)).toEqual(expect.arrayContaining(["message", "type", "param", "code"]));
  return error;
}

describe("a request that cannot be served is refused with the reason", () => {
  const JSON_TYPE = { "content-type": "application/json" };
  const CASES: { name: string; path?: string; init: RequestInit; status: number; code: string; message: RegExp }[] = [
    { name: "broken JSON", init: { body: '{"model": ' }, status: 400, code: "invalid_json", message: /not valid JSON/ },
    {
      name: "JSON nested so deeply that writing it again would overflow the stack",
      init: {
        body: `{"model":"gpt-6-luna","messages":[],"metadata":{"a":${"[".repeat(99_999)}${"]".repeat(99_999)}}}`,
      },
      status: 400,
      code: "nested_too_deeply",
      message: /more than 256 levels/,
    },
    {
      name: "no JSON object",
      init: { body: "[1]" },
      status: 400,
      code: "invalid_type",
      message: /must be a JSON object/,
    },
    {
      name: "missing messages",
      init: { body: '{"model":"gpt-6-luna"}' },
      status: 400,
      code: "missing_required_parameter",
      message: /'messages'/,
    },
    {
      name: "missing model",
      init: { body: '{"messages":[]}' },
      status: 400,
      code: "missing_required_parameter",
      message: /'model'/,
    },
    {
      name: "an unknown role",
      init: { body: '{"model":"m","messages":[{"role":"robot","content":"x"}]}' },
      status: 400,
      code: "invalid_value",
      message: /'robot'.*'assistant'/,
    },
    {
      name: "an unknown model",
      init: { body: '{"model":"gpt-6-lunar","messages":[{"role":"user","content":"x"}]}' },
      status: 404,
      code: "model_not_found",
      message: /gpt-6-lunar.*Did you mean .*gpt-6-luna/,
    },
    {
      name: "a provider without a key",
      init: { body: '{"model":"groq/llama","messages":[{"role":"user","content":"x"}]}' },
      status: 404,
      code: "model_not_found",
      message: /groq is not enabled: set GROQ_API_KEY/,
    },
    {
      name: "a form instead of JSON",
      init: { body: "a=b", headers: { "content-type": "application/x-www-form-urlencoded" } },
      status: 415,
      code: "unsupported_media_type",
      message: /Content-Type: application\/json/,
    },
    {
      name: "a body over the bound",
      init: { body: "x".repeat(1_100_000) },
      status: 413,
      code: "request_too_large",
      message: /larger than 1048576 bytes/,
    },
    {
      name: "the wrong method",
      path: "/v1/chat/completions",
      init: { method: "GET" },
      status: 405,
      code: "method_not_allowed",
      message: /use POST/,
    },
    {
      name: "a compressed body",
      init: { headers: { ...JSON_TYPE, "content-encoding": "gzip" }, body: gzipSync("{}") },
      status: 415,
      code: "unsupported_media_type",
      message: /must not be compressed: send it without 'Content-Encoding' \(found 'gzip'\)/,
    },
    {
      name: "an unknown path",
      path: "/v1/completions",
      init: {},
      status: 404,
      code: "unknown_url",
      message: /POST \/v1\/chat\/completions/,
    },
    {
      name: "a base URL without /v1",
      path: "/chat/completions",
      init: {},
      status: 404,
      code: "unknown_url",
      message: /ends in \/v1/,
    },
  ];
  test.each(CASES)("$name", async ({ path, init, status, code, message }) => {
    const { url } = await startTestRouter({ config: "server: { max_body: 1MB }" });
    const response = await fetch(url + (path ?? "/v1/chat/completions"), {
      method: "POST",
      headers: JSON_TYPE,
      ...init,
    });
    expect(response.status).toBe(status);
    const error = await errorOf(response);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test("a body over the bound that does not tell its length is cut off, not collected", async () => {
    const { url } = await startTestRouter({ config: "server: { max_body: 1MB }" });
    const part = Buffer.alloc(64 * 1024, "x");
    const status = await new Promise((resolve, reject) => {
      const call = request(`${url}/v1/chat/completions`, { method: "POST", headers: JSON_TYPE }, (response) => {
        resolve(response.statusCode);
        call.destroy();
      });
      call.on("error", reject);
      const send = () => {
        if (!call.destroyed) call.write(part, () => setImmediate(send));
      };
      send();
    });
    expect(status).toBe(413);
  });

  test("the official SDK raises its own error classes", async () => {
    const { openai } = await startTestRouter();
    await expect(openai.chat.completions.create({ ...ASK, model: "nope" } as never)).rejects.toBeInstanceOf(
      OpenAI.NotFoundError,
    );
    await expect(openai.chat.completions.create({ model: "gpt-6-luna" } as never)).rejects.toBeInstanceOf(
      OpenAI.BadRequestError,
    );
  });
});

test("names that cannot be in a header or a path are refused or answered, never a failure inside the router", async () => {
  const { url, post, logs } = await startTestRouter();
  expect((await fetch(`${url}/v1/models/%E0%A4%A`)).status).toBe(404);
  const answer = await post('{"model":"openai/\\ud800ż","messages":[{"role":"user","content":"Hi"}]}');
  expect(answer.status).toBe(200);
  expect(answer.headers.get("x-signalbox-model")).toBe("%EF%BF%BD%C5%BC");
  // That nobody knows its price is told, on one line.
  expect(logs).toEqual([expect.stringMatching(/^ALERT warning unpriced_model: .*$/)]);
});

describe("SIGNALBOX_API_KEY protects the API", () => {
  const env = { SIGNALBOX_API_KEY: "sk-sb-right" };

  test("a missing and a wrong key are refused on every /v1 route, the right one is not", async () => {
    const { url, post } = await startTestRouter({ env });
    for (const path of ["/v1/models", "/v1/models/gpt-6-luna"]) {
      const refused = await fetch(url + path);
      expect(refused.status).toBe(401);
      expect(refused.headers.get("www-authenticate")).toBe("Bearer");
      expect((await errorOf(refused)).message).toContain("SIGNALBOX_API_KEY");
    }
    expect((await post(ASK)).status).toBe(401);
    expect((await post(ASK, { headers: { authorization: "Bearer sk-sb-wrong" } })).status).toBe(401);
    expect((await post(ASK, { headers: { authorization: "Bearer sk-sb-right" } })).status).toBe(200);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test("the official SDK raises AuthenticationError", async () => {
    const { openai } = await startTestRouter({ env });
    await expect(openai.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});

describe("GET /v1/models", () => {
  test("lists aliases and models for the official SDK, with OpenRouter's members", async () => {
    const rules = "version: 1\naliases: { house: [openai/gpt-6-luna] }\n";
    const { openai } = await startTestRouter({ rules });
    const { data } = await openai.models.list();
    const ids = data.map((model) => model.id);
    expect(ids).toEqual(expect.arrayContaining(["house", "openai/gpt-6-luna", "anthropic/claude-haiku-5-5"]));
    const model = data.find(({ id }) => id === "openai/gpt-6-luna");
    expect(model).toMatchObject({
      object: "model",
      owned_by: "openai",
      context_length: expect.any(Number),
      architecture: { input_modalities: expect.arrayContaining(["text"]) },
      pricing: { prompt: "0.0000001" },
      supported_parameters: expect.arrayContaining(["max_tokens", "temperature"]),
    });
  });

  test("one model by qualified or bare name, 404 with the nearest names for others", async () => {
    const { openai, url } = await startTestRouter();
    expect(await openai.models.retrieve("openai/gpt-6-luna")).toMatchObject({
      id: "openai/gpt-6-luna",
      object: "model",
    });
    expect(await openai.models.retrieve("gpt-6-luna")).toMatchObject({ id: "gpt-6-luna" });
    const missing = await fetch(`${url}/v1/models/gpt-6-lunar`);
    expect(missing.status).toBe(404);
    expect((await errorOf(missing)).message).toContain("gpt-6-luna");
  });
});

test("GET /health tells that the router lives and is ready, and which version, rules and catalogue it runs", async () => {
  const { url, router } = await startTestRouter();
  const response = await fetch(`${url}/health`);
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    status: "ok",
    live: true,
    ready: true,
    draining: false,
    snapshot: router.snapshot.id,
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
  });
});

test("x-signalbox-strict refuses what would otherwise be dropped and reported", async () => {
  const { post, simulator } = await startTestRouter();
  const body = { ...ASK, model: "claude-haiku-5-5", seed: 7 };
  const lenient = await post(body);
  expect(lenient.status).toBe(200);
  expect(lenient.headers.get("x-signalbox-warnings")).toContain("dropped:seed");
  const strict = await post(body, { headers: { "x-signalbox-strict": "true" } });
  expect(strict.status).toBe(400);
  expect((await errorOf(strict)).param).toBe("seed");
  expect(simulator.requests).toHaveLength(1);
});

test("no secret reaches logs, errors, headers, the ledger or health, whatever happens", async () => {
  const secrets = ["sk-test-openai-canary", "sk-ant-test-canary", "AIza-test-canary", "sk-sb-canary-key"];
  const router = await startTestRouter({ env: { SIGNALBOX_API_KEY: "sk-sb-canary-key" } });
  const seen: string[] = [];
  for (const model of ["gpt-6-luna", "claude-haiku-5-5", "gemini-3.8-flash", "nope"]) {
    for (const status of [undefined, 400, 401, 429, 500]) {
      router.simulator.setScript(() => (status === undefined ? undefined : { status }));
      seen.push(await everything(router, model));
    }
  }
  seen.push(JSON.stringify(router.router.config), JSON.stringify([...router.router.snapshot.providers.values()]));
  const { requests, attempts } = await router.ledger();
  seen.push(JSON.stringify({ requests, attempts }), router.logs.join("\n"));
  for (const secret of secrets) expect(seen.join("\n")).not.toContain(secret);
});

async function everything({ url, post }: TestRouter, model: string): Promise<string> {
  // Nobody waits for a limit to pass.
  const headers = { authorization: "Bearer sk-sb-canary-key", "x-request-timeout-ms": "900" };
  const response = await post({ ...ASK, model }, { headers });
  const health = await fetch(`${url}/health`);
  return [await response.text(), JSON.stringify([...response.headers]), await health.text()].join("\n");
}

describe("how an answer came about, for those who ask with a header", () => {
  interface Metadata {
    requested: string;
    strategy: string;
    endpoints: {
      total: number;
      available: { provider: string; model: string; selected: boolean; excluded_by?: unknown[] }[];
    };
    attempts: { provider: string; model: string; status: number; error?: string }[];
  }
  const rules = `
version: 1
rules:
  - name: two sources
    model: house
    pick: order
    from: [openai/gpt-6-luna, anthropic/claude-haiku-5-5]
    fallback: [google/gemini-3.8-flash]
`;
  const ask = { model: "house", messages: [{ role: "user", content: "Hi" }] };

  test("is beside a buffered answer, in the last chunk of a stream and in an error, and nowhere unasked", async () => {
    const { post, simulator } = await startTestRouter({ rules });
    simulator.setScript(({ provider }) => (provider === "openai" ? { status: 500 } : undefined));
    const headers = { "x-signalbox-metadata": "enabled" };
    const buffered = (await (await post(ask, { headers })).json()) as { signalbox_metadata: Metadata };
    expect(buffered.signalbox_metadata).toMatchObject({
      requested: "house",
      strategy: "order",
      rule: "two sources",
      attempt: 2,
      endpoints: {
        total: 3,
        available: [
          { provider: "openai", model: "gpt-6-luna", selected: false },
          { provider: "anthropic", model: "claude-haiku-5-5", selected: true },
          { provider: "google", model: "gemini-3.8-flash", selected: false },
        ],
      },
      attempts: [
        { provider: "openai", model: "gpt-6-luna", status: 500, error: "server" },
        { provider: "anthropic", model: "claude-haiku-5-5", status: 200 },
      ],
    });
    const text = await (
      await post({ ...ask, stream: true }, { headers: { "x-openrouter-metadata": "enabled" } })
    ).text();
    const chunks = text.split("\n\n").filter((line) => line !== "");
    expect(chunks.at(-1)).toBe("data: [DONE]");
    const last = JSON.parse(chunks.at(-2)?.slice(6) ?? "") as { openrouter_metadata: Metadata; choices: unknown[] };
    expect(last.openrouter_metadata.attempts).toHaveLength(2);
    expect(last.choices).toEqual([]);
    simulator.setScript(() => ({ status: 503 }));
    const failed = (await (await post(ask, { headers })).json()) as {
      error: { metadata: { signalbox_metadata: Metadata } };
    };
    expect(failed.error.metadata.signalbox_metadata.attempts.map(({ provider }) => provider)).toEqual([
      "openai",
      "anthropic",
      "google",
    ]);
    simulator.setScript(undefined);
    expect(await (await post(ask)).text()).not.toContain("_metadata");
  });

  test("leaves a relayed stream as it is but for the one chunk", async () => {
    const { post } = await startTestRouter({ rules });
    const body = { ...ask, model: "gpt-6-luna", stream: true };
    const plain = await (await post(body)).text();
    const told = await (await post(body, { headers: { "x-signalbox-metadata": "enabled" } })).text();
    const withoutIds = (text: string) => text.replaceAll(/"(id|created|obfuscation)":("[^"]*"|\d+)/g, '"$1":0');
    const chunks = withoutIds(told).split("\n\n");
    expect(chunks.filter((chunk) => !chunk.includes("signalbox_metadata")).join("\n\n")).toBe(withoutIds(plain));
  });
});
