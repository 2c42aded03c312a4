import { afterEach, describe, expect, test, vi } from "vitest";
import { parseScript, simulatorHelp } from "../src/simulator/script.ts";
import { startSimulator } from "../src/simulator/server.ts";
import { ask, type Name, names, post, smallest, useSimulator } from "./simulator-clients.ts";

const clients = useSimulator();
const terminal = { openai: "data: [DONE]", anthropic: "event: message_stop", google: '"finishReason"' };

afterEach(() => {
  vi.useRealTimers();
});

/** Everything a stream delivers, and whether it ended properly. */
async function drain(response: Response): Promise<{ text: string; dropped: boolean }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  } catch {
    return { text, dropped: true };
  }
  return { text, dropped: false };
}

/** The answer's text, wherever the provider puts it. */
function said(body: unknown): string {
  const found: string[] = [];
  JSON.stringify(body, (key, value: unknown) => {
    if ((key === "text" || key === "content") && typeof value === "string") found.push(value);
    return value;
  });
  return found.join("");
}

/** The first words of the default answer are there, in pieces of whatever size. */
function hasContent(stream: string): boolean {
  return /"This( is a|")/.test(stream);
}

/** Resolves when the simulator has read the next request; the request's own directives still decide. */
function arrival(): Promise<void> {
  return new Promise((resolve) => {
    clients.simulator.setScript(() => {
      resolve();
      return undefined;
    });
  });
}

describe.each(names)("%s", (name: Name) => {
  const json = async (model: string) =>
    (await ask(clients.simulator, name, model)).json() as Promise<Record<string, never>>;
  const stream = async (model: string) => drain(await ask(clients.simulator, name, model, { stream: true }));

  test("cut drops the connection after some content and without an end", async () => {
    const { text, dropped } = await stream("sim+cut");
    expect(dropped).toBe(true);
    expect(hasContent(text)).toBe(true);
    expect(text).not.toContain(terminal[name]);
    const buffered = await drain(await ask(clients.simulator, name, "sim+cut"));
    expect(buffered).toMatchObject({ dropped: true, text: expect.stringMatching(/^\{/) });
  });

  test("refuse drops the connection before any byte", async () => {
    await expect(ask(clients.simulator, name, "sim+refuse")).rejects.toThrow("fetch failed");
  });

  test("hang=headers never answers, and the record tells when the client gave up", async () => {
    const controller = new AbortController();
    const arrived = arrival();
    const asked = ask(clients.simulator, name, "sim+hang=headers", { signal: controller.signal }).catch(() => "gone");
    await arrived;
    controller.abort();
    expect(await asked).toBe("gone");
    const client = clients.simulator.requests[0]?.client;
    expect(await client?.closed).toEqual(expect.any(Number));
    expect(client?.closedByClient).toBe(true);
  });

  test.each(["preamble", "stream"])("hang=%s falls silent in mid-stream", async (where) => {
    const controller = new AbortController();
    const options = { stream: true, signal: controller.signal };
    const response = await ask(clients.simulator, name, `sim+hang=${where}`, options);
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    // Gemini has no preamble: nothing but the status arrives.
    const first = where === "preamble" && name === "google" ? undefined : await reader?.read();
    const text = new TextDecoder().decode(first?.value);
    expect(hasContent(text)).toBe(where === "stream");
    expect(text).not.toContain(terminal[name]);
    controller.abort();
    expect(await clients.simulator.requests[0]?.client.closed).toEqual(expect.any(Number));
  });

  test.each(["preamble", "stream"])("error=%s ends the stream with the provider's own error event", async (where) => {
    const { text, dropped } = await stream(`sim+error=${where}`);
    expect(dropped).toBe(false);
    expect(hasContent(text)).toBe(where === "stream");
    expect(text).not.toContain(terminal[name]);
    const endings = {
      openai: /data: \{"error":\{"message":"The server had an error[^\n]*\n\n$/,
      anthropic:
        /event: error\ndata: \{"type":"error","error":\{"type":"overloaded_error","message":"Overloaded"\}\}\n\n$/,
      google: /(^|\n)\{\n {2}"error": \{\n {4}"code": 503,(.|\n)*\}\n\}\n$/,
    };
    expect(text).toMatch(endings[name]);
    const buffered = await ask(clients.simulator, name, `sim+error=${where}`);
    expect(buffered.status).toBe(500);
  });

  test("malformed answers 200 with JSON that does not parse", async () => {
    const buffered = await ask(clients.simulator, name, "sim+malformed");
    expect(buffered.status).toBe(200);
    await expect(buffered.json()).rejects.toThrow();
    const { text } = await stream("sim+malformed");
    const last = /data: (.*)\r?\n\r?\n$/.exec(text)?.[1] ?? "{}";
    expect(() => JSON.parse(last)).toThrow();
  });

  test("empty answers 200 with an end and no content", async () => {
    const body = await json("sim+empty");
    expect(said(body)).toBe("");
    const { text } = await stream("sim+empty");
    expect(text).toContain(terminal[name]);
    expect(hasContent(text)).toBe(false);
  });

  test.each([
    ["stop", { openai: "stop", anthropic: "end_turn", google: "STOP" }],
    ["length", { openai: "length", anthropic: "max_tokens", google: "MAX_TOKENS" }],
    ["tool", { openai: "tool_calls", anthropic: "tool_use", google: "STOP" }],
    ["filter", { openai: "content_filter", anthropic: "refusal", google: "SAFETY" }],
  ])("finish=%s ends in the provider's own words", async (finish, reasons) => {
    const body = JSON.stringify(await json(`sim+finish=${finish}`));
    const { text } = await stream(`sim+finish=${finish}`);
    const reason = `:"${reasons[name]}"`;
    expect(body).toContain(reason);
    expect(text).toContain(reason);
    expect(body.includes("simulated_tool")).toBe(finish === "tool");
  });

  test("text, tokens, cached and reasoning shape the answer and its usage", async () => {
    expect(said(await json("sim+text=Dzie%C5%84%20dobry%2B"))).toBe("Dzień dobry+");
    const body = await json("sim+tokens=300+cached=7+reasoning=20");
    expect(said(body)).toHaveLength(1200);
    const usages = {
      openai: {
        prompt_tokens: 7,
        completion_tokens: 320,
        total_tokens: 327,
        prompt_tokens_details: { cached_tokens: 7 },
        completion_tokens_details: { reasoning_tokens: 20 },
      },
      anthropic: {
        input_tokens: 0,
        cache_read_input_tokens: 7,
        output_tokens: 320,
        output_tokens_details: { thinking_tokens: 20 },
      },
      google: {
        promptTokenCount: 7,
        cachedContentTokenCount: 7,
        candidatesTokenCount: 300,
        thoughtsTokenCount: 20,
        totalTokenCount: 327,
      },
    };
    expect(body.usage ?? body.usageMetadata).toMatchObject(usages[name]);
  });

  test("retry-after is told where the provider tells it, and not at all unless scripted", async () => {
    const told = await ask(clients.simulator, name, "sim+status=429+retry-after=2");
    const untold = await ask(clients.simulator, name, "sim+status=429");
    expect([told.status, untold.status]).toEqual([429, 429]);
    expect(told.headers.get("retry-after")).toBe(name === "google" ? null : "2");
    expect(untold.headers.get("retry-after")).toBe(null);
    expect((await told.text()).includes('"retryDelay":"2s"')).toBe(name === "google");
    expect(await untold.text()).not.toContain("retryDelay");
  });

  test("ttft holds back everything, even the status line", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const arrived = arrival();
    let answered = false;
    const asked = ask(clients.simulator, name, "sim+ttft=90s", { stream: true }).then((response) => {
      answered = true;
      return response;
    });
    await arrived;
    await vi.advanceTimersByTimeAsync(89_999);
    expect(answered).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect((await drain(await asked)).text).toContain(terminal[name]);
  });

  test("a bad directive is a 400 in the provider's shape that names it and lists what there is", async () => {
    const answer = await ask(clients.simulator, name, "sim+status=200");
    expect(answer.status).toBe(400);
    const { error } = (await answer.json()) as { error: { message: string } };
    expect(error.message).toContain('simulator directive "status=200" is not valid; use status=400|401|');
    const unknown = await (await ask(clients.simulator, name, "sim+speed=9")).text();
    expect(unknown).toContain('speed=9\\" is unknown; use one of: ttft=');
  });
});

test("tps lets one token out per interval", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  const response = await ask(clients.simulator, "openai", "sim+text=onetwo3+tokens=3+tps=1", { stream: true });
  const reader = response.body?.getReader();
  const next = async () => /"content":"([^"]+)"/.exec(new TextDecoder().decode((await reader?.read())?.value))?.[1];
  const seen = [await next()];
  for (let second = 0; second < 2; second += 1) {
    await vi.advanceTimersByTimeAsync(1000);
    seen.push(await next());
  }
  expect(seen).toEqual(["onet", "wo3 ", "onet"]);
});

test("a client that reads slowly gets a long answer whole", async () => {
  const response = await ask(clients.simulator, "openai", "sim+tokens=20000", { stream: true });
  const { text, dropped } = await drain(response);
  expect(dropped).toBe(false);
  expect(text.match(/"content":"[^"]+"/g)).toHaveLength(20_000);
});

test("the script function decides before the header, and the header before the model name", async () => {
  const { simulator } = clients;
  const headers = { "x-simulate": "status=503; retry-after=1" };
  expect((await ask(simulator, "openai", "sim+status=403")).status).toBe(403);
  expect((await ask(simulator, "openai", "sim+status=403", { headers })).status).toBe(503);
  simulator.setScript(({ model, provider, serial }) => ({ text: `${provider} ${model} ${serial > 0}` }));
  const answer = await ask(simulator, "openai", "sim+status=403", { headers });
  expect(said(await answer.json())).toBe("openai sim true");
});

test("directives work in a percent-encoded Gemini path as in a plain one", async () => {
  for (const model of ["gemini-x+tokens=2+finish=length", "gemini-x%2Btokens%3D2%2Bfinish%3Dlength"]) {
    const body = await (await ask(clients.simulator, "google", model)).json();
    expect(body).toMatchObject({
      candidates: [{ finishReason: "MAX_TOKENS" }],
      usageMetadata: { candidatesTokenCount: 2 },
    });
  }
});

test("what is recorded has no credentials, and the model name is echoed without directives", async () => {
  const body = smallest("openai", "gpt-4o+tokens=1");
  const answer = await post(clients.simulator, "openai", "", body, { headers: { "x-trace": "7" } });
  expect(await answer.json()).toMatchObject({ model: "gpt-4o" });
  const [request] = clients.simulator.requests;
  expect(request).toMatchObject({
    method: "POST",
    path: "/openai/v1/chat/completions",
    body,
    headers: { "x-trace": "7" },
  });
  expect(JSON.stringify(request)).not.toContain("sk-test");
  expect(await request?.client.closed).toBe(undefined);
  expect(request?.client.closedByClient).toBe(false);
});

test("bare paths work like prefixed ones, and unknown ones are a 404", async () => {
  const { url } = clients.simulator;
  const status = async (path: string, init: RequestInit) => (await fetch(url + path, init)).status;
  const anthropic = { "x-api-key": "k", "anthropic-version": "2023-06-01" };
  const body = JSON.stringify(smallest("anthropic", "sim"));
  expect(await status("/v1/messages", { method: "POST", headers: anthropic, body })).toBe(200);
  expect(await status("/v1/models", { headers: { authorization: "Bearer k" } })).toBe(200);
  expect(await (await fetch(`${url}/v1/models`, { headers: anthropic })).json()).toHaveProperty("first_id");
  expect(await status("/v1beta/models", { headers: { "x-goog-api-key": "k" } })).toBe(200);
  expect(await status("/openai/v1/embeddings", { method: "POST", headers: { authorization: "Bearer k" } })).toBe(404);
});

test("two runs of the same requests give the same bytes, apart from times", async () => {
  const transcript = async () => {
    const simulator = await startSimulator();
    const texts = await Promise.all(["a", "b"].map(async (model) => (await ask(simulator, "google", model)).text()));
    await simulator.close();
    return texts.map((text) => text.replace(/"responseId":"\w+"/, "")).sort();
  };
  expect(await transcript()).toEqual(await transcript());
});

test("help and parser speak of the same directives", () => {
  const shown = [...simulatorHelp.matchAll(/^ {2}([a-z-]+)(=\S.*)?$/gm)].map((match) => match[1]);
  expect(shown).toContain("ttft");
  expect(shown).toContain("cut");
  for (const name of shown)
    expect(parseScript([`${name}=?`])).toMatchObject({ kind: name === "text" ? "script" : "bad" });
});

test("a body that is no JSON is refused in the provider's words", async () => {
  for (const name of names) expect((await post(clients.simulator, name, "sim", "{")).status).toBe(400);
});
