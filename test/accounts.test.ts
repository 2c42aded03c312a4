// Several keys of one provider: how calls are balanced over them, and what becomes of a request when one is refused.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables in signalbox.yaml.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { explainPast } from "../src/cli/explain-past.ts";
import { type Account, Secret, type Target } from "../src/dialect.ts";
import { createLimits, type Need, type PoolConfig } from "../src/limits.ts";
import { chunk, DONE, type FakeCall, type FakeProvider, startFakeProvider } from "./support/fake-provider.ts";
import { startTestRouter, type TestRouter } from "./support/router.ts";

describe("balancing", () => {
  const NEED: Need = { inputTokens: 100, cachedTokens: 0, outputTokens: 50, maxOutputTokens: 1_000, expectedMs: 1_000 };
  const TARGET: Target = {
    provider: {
      ...{ id: "p", name: "p", docs: "", baseUrl: "http://127.0.0.1", baseUrlEnv: [], keyEnv: [], enabledBy: "key" },
      ...{ dialect: openaiChat(), authorize: () => ({}), key: undefined, models: new Map() },
    },
    model: "m",
    entry: undefined,
  };

  /** A pool with an account for each of these limits. */
  function setUp(...allowances: NonNullable<PoolConfig["accounts"]>[number]["allowance"][]) {
    const clock = { nowMs: 1_700_000_000_000 };
    const draws = { next: [] as number[] };
    const accounts = allowances.map((allowance, at) => {
      return { name: `pool#${at + 1}`, key: new Secret(`sk-${at + 1}`), allowance };
    });
    const limits = createLimits({
      nowMs: () => clock.nowMs,
      schedule: () => () => {},
      draw: () => draws.next.shift() ?? 0,
      pools: [{ name: "pool", matches: (target) => target === "p/m", accounts }],
    });
    const first = () => limits.accountsOf(TARGET)[0] as Account;
    const take = (account: Account) => limits.take("ann", { target: TARGET, account, need: NEED });
    return { clock, draws, limits, first, take };
  }

  test("keys of unlike limits get calls in proportion to them", () => {
    const { clock, first, take } = setUp({ requests: 60 }, { requests: 540 });
    const counts: Record<string, number> = {};
    for (let call = 0; call < 600; call += 1) {
      const account = first();
      counts[account.name] = (counts[account.name] ?? 0) + 1;
      take(account).settle(undefined, true);
      clock.nowMs += 110;
    }
    expect(counts["pool#1"]).toBeGreaterThan(50);
    expect(counts["pool#1"]).toBeLessThan(72);
  });

  test("of keys about whose limits nothing is known the one with the fewest calls under way is next; a tie is drawn", () => {
    const { draws, first, take } = setUp({}, {}, {});
    draws.next = [0.9, 0.4, 0.1];
    const third = first();
    expect(third.name).toBe("pool#3");
    const running = take(third);
    draws.next = [0.9, 0.4, 0.1];
    expect(first().name).toBe("pool#2");
    running.settle(undefined, true);
    draws.next = [0.9, 0.4, 0.1];
    expect(first().name).toBe("pool#3");
  });

  test("a 429 parks the key that got it and no other, and all are told of", () => {
    const { clock, limits, first, take } = setUp({ requests: 60 }, { requests: 60 });
    const refused = take(first());
    refused.refuse({ waitMs: 30_000, reaction: "lower" });
    refused.settle(undefined, false);
    for (let call = 0; call < 5; call += 1) {
      expect(first().name).toBe("pool#2");
      take(first());
    }
    const known = limits.status().pools.map(({ name, in_flight, scale, blocked_until }) => {
      return [name, in_flight, scale, blocked_until === null];
    });
    expect(known).toEqual([
      ["pool#1", 0, 0.85, false],
      ["pool#2", 5, 1, true],
    ]);
    clock.nowMs += 31_000;
    expect(limits.status().pools[0]?.blocked_until).toBeNull();
  });

  test("a target that no pool with keys matches has no accounts, and draws nothing", () => {
    const { draws, limits } = setUp({}, {});
    draws.next = [0.3];
    expect(limits.accountsOf({ ...TARGET, model: "other" })).toEqual([]);
    expect(draws.next).toEqual([0.3]);
  });
});

const KEYS = { KEY_A: "sk-canary-aaaa", KEY_B: "sk-canary-bbbb" };
/** So slow to fill again that nothing comes back within a test. */
const LIMITS = "rpm: 6, burst: 60s";
const CONFIG = `pools: { gpt: { targets: [openai/gpt-*], keys: ['\${KEY_A}', '\${KEY_B}'], ${LIMITS} } }\n`;
const RULES = `
version: 1
rules:
  - { name: two, model: house, pick: order, from: [openai/gpt-6-luna], fallback: [anthropic/claude-haiku-5-5] }
`;

interface World {
  router: TestRouter;
  fake: FakeProvider;
  /** Name of the account by the key of a call; "other" for another provider. */
  asked(): string[];
}

interface Setting {
  config?: string;
  rules?: string;
  env?: Record<string, string>;
}

async function start({ config = CONFIG, rules = RULES, env = {} }: Setting = {}): Promise<World> {
  const fake = await startFakeProvider();
  const router = await startTestRouter({ config, rules, env: { ...fake.env, ...KEYS, ...env } });
  const names: Record<string, string> = { [KEYS.KEY_A]: "gpt#1", [KEYS.KEY_B]: "gpt#2" };
  return { router, fake, asked: () => fake.calls.map(({ key }) => names[key] ?? "other") };
}

function good(call: FakeCall, cached = 0): void {
  const message = { role: "assistant", content: "Hello." };
  const usage = { prompt_tokens: 2_000, completion_tokens: 2, prompt_tokens_details: { cached_tokens: cached } };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  call.answer(200, { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "gpt-6-luna", choices, usage });
}

/** The first message tells conversations apart. */
function body(first: string, model = "house") {
  return { model, messages: [{ role: "user", content: first }] };
}

async function answered(router: TestRouter, fake: FakeProvider, first: string): Promise<Response> {
  const answer = router.post(body(first));
  good(await fake.next());
  return answer;
}

async function healthOf(router: TestRouter) {
  const health = await (await fetch(`${router.url}/health`)).json();
  return health as { breakers: { name: string; scope: string }[]; limits: { pools: Record<string, unknown>[] } };
}

describe("over sockets", () => {
  test("calls go to both keys in turn, each call's row says to which, and /health tells of both", async () => {
    const { router, fake, asked } = await start({ env: { SIGNALBOX_ADMIN_KEY: "sk-admin-of-this-test" } });
    for (let call = 0; call < 8; call += 1) expect((await answered(router, fake, `call ${call}`)).status).toBe(200);
    const names = asked();
    for (let call = 1; call < 8; call += 1) expect(names[call]).not.toBe(names[call - 1]);
    const { limits } = await healthOf(router);
    expect(limits.pools.map(({ name }) => name)).toEqual(expect.arrayContaining(["gpt#1", "gpt#2"]));
    const headers = { authorization: "Bearer sk-admin-of-this-test" };
    const listed = async () => {
      const page = (await (await fetch(`${router.url}/admin/requests`, { headers })).json()) as {
        data: { attempts: { account: string }[] }[];
      };
      return page.data.map(({ attempts }) => attempts[0]?.account).toReversed();
    };
    await expect.poll(listed, { timeout: 10_000 }).toEqual(names);
  });

  test("calls at the same time fill the places of both, and the next one waits", async () => {
    const { router, fake, asked } = await start({ config: CONFIG.replace(LIMITS, "concurrency: 2") });
    const answers = Array.from({ length: 5 }, (_, call) => router.post(body(`call ${call}`, "openai/gpt-6-luna")));
    const calls = [await fake.next(), await fake.next(), await fake.next(), await fake.next()];
    expect(asked().sort()).toEqual(["gpt#1", "gpt#1", "gpt#2", "gpt#2"]);
    expect(fake.calls).toHaveLength(4);
    for (const call of calls) good(call);
    good(await fake.next());
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });

  test("a 429 of one key is answered by the other, and hurts neither the target nor the next request", async () => {
    const { router, fake, asked } = await start();
    const answer = router.post(body("first"));
    (await fake.next()).answer(429, { error: { message: "Too many." } }, { "retry-after": "60" });
    good(await fake.next());
    const response = await answer;
    expect([response.status, response.headers.get("x-signalbox-provider")]).toEqual([200, "openai"]);
    expect(response.headers.get("x-signalbox-attempts")).toBe("2");
    expect(new Set(asked())).toEqual(new Set(["gpt#1", "gpt#2"]));
    const [, alive] = asked();
    for (let call = 0; call < 3; call += 1) await answered(router, fake, `later ${call}`);
    expect(asked().slice(2)).toEqual([alive, alive, alive]);
    expect((await healthOf(router)).breakers).toEqual([]);
    const { attempts } = await router.ledger();
    expect(attempts.slice(0, 2).map(({ account, error_kind }) => [account, error_kind])).toEqual([
      [asked()[0], "rate_limited"],
      [alive, null],
    ]);
  });

  test("a stream moves to the other key before its first content", async () => {
    const { router, fake } = await start();
    const answer = router.post({ ...body("first"), stream: true });
    (await fake.next()).answer(429, { error: { message: "Too many." } }, { "retry-after": "60" });
    const call = await fake.next();
    call.send(chunk({ role: "assistant", content: "Hello." }), chunk({}, "stop"), DONE);
    call.end();
    expect(await (await answer).text()).toContain("Hello.");
  });

  test("the other key is asked also where the one that was refused may come back at once, and one attempt is enough", async () => {
    const rules = "version: 1\nrules: [{ name: one, model: house, from: [openai/gpt-6-luna], attempts: 1 }]\n";
    const { router, fake, asked } = await start({ rules });
    const answer = router.post(body("first"));
    (await fake.next()).answer(429, { error: { message: "Too many." } }, { "retry-after": "0" });
    good(await fake.next());
    expect((await answer).status).toBe(200);
    expect(asked().sort()).toEqual(["gpt#1", "gpt#2"]);
  });

  test("a call that is repaired is made again with the key it was made with", async () => {
    const { router, fake, asked } = await start();
    const answer = router.post({ ...body("first"), seed: 7 });
    const error = { message: "Unsupported parameter: 'seed'.", code: "unsupported_parameter", param: "seed" };
    (await fake.next()).answer(400, { error: { ...error, type: "invalid_request_error" } });
    good(await fake.next());
    expect((await answer).status).toBe(200);
    expect(fake.calls[1]?.body).not.toHaveProperty("seed");
    expect(asked()[1]).toBe(asked()[0]);
  });

  test("of many keys that refuse, four are asked before the next provider is", async () => {
    const keys = Array.from({ length: 6 }, (_, at) => `sk-many-${at}`);
    const { router, fake } = await start({ config: `pools: { gpt: { targets: [openai/gpt-*], keys: [${keys}] } }\n` });
    const answer = router.post(body("first"));
    for (const _ of [1, 2, 3, 4]) (await fake.next()).answer(429, { error: { message: "Too many." } });
    (await fake.next()).answer(400, { type: "error", error: { type: "invalid_request_error", message: "No." } });
    expect((await answer).status).toBe(400);
    const asked = fake.calls.map(({ key }) => key);
    expect(new Set(asked.slice(0, 4)).size).toBe(4);
    expect(keys).toEqual(expect.arrayContaining(asked.slice(0, 4)));
    expect(keys).not.toContain(asked[4]);
  });

  test("when every key was refused the next provider is asked", async () => {
    const { router, fake, asked } = await start();
    const answer = router.post(body("first"));
    for (const _ of [1, 2])
      (await fake.next()).answer(429, { error: { message: "Too many." } }, { "retry-after": "60" });
    (await fake.next()).answer(400, { type: "error", error: { type: "invalid_request_error", message: "No." } });
    expect((await answer).status).toBe(400);
    expect(asked().slice(0, 2).sort()).toEqual(["gpt#1", "gpt#2"]);
    expect(asked()[2]).toBe("other");
  });

  test.each([
    [
      401,
      { error: { message: `Incorrect API key provided: ${KEYS.KEY_A}.`, code: "invalid_api_key" } },
      "refuses the router's key",
    ],
    [403, { error: { message: "This key may not." } }, "refuses the router's key"],
    [402, { error: { message: "Pay.", code: "billing" } }, "is out of money"],
  ])("a %i parks the key that got it, says which, and the other answers", async (status, error, said) => {
    const { router, fake, asked } = await start();
    const answer = router.post(body("first"));
    (await fake.next()).answer(status, error);
    good(await fake.next());
    expect((await answer).status).toBe(200);
    const [bad, alive] = asked();
    for (let call = 0; call < 3; call += 1) await answered(router, fake, `later ${call}`);
    expect(asked().slice(2)).toEqual([alive, alive, alive]);
    const { breakers } = await healthOf(router);
    expect(breakers.map(({ scope }) => scope)).toEqual(["account"]);
    expect(breakers[0]?.name).toContain(bad);
    const alerts = router.logs.filter((line) => line.includes(said));
    expect(alerts).toHaveLength(1);
    expect(alerts[0]).toContain(`(${bad})`);
  });

  test.each([503, 529, 500])("a %i is the target's: the next provider is asked, not the next key", async (status) => {
    const { router, fake, asked } = await start();
    const answer = router.post(body("first"));
    (await fake.next()).answer(status, { error: { message: "Overloaded." } });
    (await fake.next()).answer(400, { type: "error", error: { type: "invalid_request_error", message: "No." } });
    await answer;
    expect(asked()[1]).toBe("other");
  });

  test("a conversation stays with the key that has its cache, also when the other has more room, until it has none", async () => {
    const { router, fake, asked } = await start({ config: CONFIG.replace(LIMITS, "rpm: 6, burst: 25s") });
    for (const _ of [1, 2]) {
      const answer = router.post(body("a long story"));
      good(await fake.next(), 1_500);
      await answer;
    }
    const [home] = asked();
    expect(asked()).toEqual([home, home]);
    // Two and a half are allowed at once: a third call would have to wait for seconds.
    const answer = router.post(body("a long story"));
    good(await fake.next(), 0);
    await answer;
    expect(asked()[2]).not.toBe(home);
  });

  test("no key is in a log, an answer, /health, the ledger or what explains it", async () => {
    const { router, fake, asked } = await start();
    const answer = router.post(body("first"));
    const echo = { error: { message: `Incorrect API key provided: ${KEYS.KEY_A} ${KEYS.KEY_B}.` } };
    (await fake.next()).answer(401, echo);
    (await fake.next()).answer(401, echo);
    (await fake.next()).answer(401, { type: "error", error: { type: "authentication_error", message: KEYS.KEY_A } });
    const response = await answer;
    const told = [await response.text(), ...response.headers.values(), JSON.stringify(await healthOf(router))];
    const id = response.headers.get("x-request-id") ?? "";
    await router.ledger();
    const dataDir = join(dirname(router.configPath), "data");
    told.push(explainPast(dataDir, id, true), explainPast(dataDir, id, false), ...router.logs);
    for (const name of readdirSync(dataDir)) told.push(readFileSync(join(dataDir, name), "latin1"));
    expect(told.join("\n")).not.toContain("canary");
    expect(explainPast(dataDir, id, false)).toContain(`openai/gpt-6-luna with ${asked()[0]}: failed (auth 401)`);
  });
});
