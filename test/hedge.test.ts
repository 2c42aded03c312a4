// `hedge`: a call that is slow to answer gets a rival; the first that answers is heard, the other is cut and paid.
import { describe, expect, test } from "vitest";
import { leavingCaller } from "./support/caller.ts";
import {
  chunk,
  DONE,
  type FakeCall,
  type FakeProvider,
  startFakeProvider,
  usageChunk,
} from "./support/fake-provider.ts";
import { startTestRouter, type TestRouter } from "./support/router.ts";

const LUNA = "openai/gpt-6-luna";
const HAIKU = "anthropic/claude-haiku-5-5";
const SOL = "openai/gpt-6-sol";
const ASK = { model: "house", stream: true, messages: [{ role: "user", content: "Hello there" }] };
const WHOLE = { ...ASK, stream: false };

interface World {
  router: TestRouter;
  fake: FakeProvider;
}

interface Setting {
  targets?: string[];
  /** Further keys of the rule. */
  more?: string;
  hedge?: string;
  config?: string;
}

/** The first target, those after it one by one, and a rival after a millisecond in every request. */
async function start({ targets = [LUNA, HAIKU], more = "", hedge, config = "" }: Setting = {}): Promise<World> {
  const fake = await startFakeProvider();
  const [first = "", ...others] = targets;
  const keys = `pick: order, from: [${first}], fallback: [${others.map((one) => `[${one}]`).join(", ")}]`;
  const when = hedge ?? "{ after: 1ms, max: 100% }";
  const rules = `version: 1\nrules:\n  - { name: hasty, model: house, ${keys}, hedge: ${when}${more} }\n`;
  return { router: await startTestRouter({ env: fake.env, rules, config }), fake };
}

/** Both calls of a request whose first target is slow. */
async function bothCalls({ fake }: World): Promise<[FakeCall, FakeCall]> {
  const first = await fake.next();
  return [first, await fake.next()];
}

const MESSAGE = { id: "msg_1", type: "message", role: "assistant", model: "claude-haiku-5-5", content: [] };

function sayAsHaiku(call: FakeCall, text: string): void {
  call.send(
    { type: "message_start", message: { ...MESSAGE, stop_reason: null, usage: { input_tokens: 9, output_tokens: 1 } } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 5 } },
    { type: "message_stop" },
  );
  call.end();
}

function sayAsLuna(call: FakeCall, text: string): void {
  call.send(chunk({ role: "assistant", content: text }), chunk({}, "stop"), usageChunk(7, 3), DONE);
  call.end();
}

function answerAsLuna(call: FakeCall, content: string): void {
  const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
  const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
  call.answer(200, { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m", choices, usage });
}

function answerAsHaiku(call: FakeCall, text: string): void {
  // Long answers are fetched from Anthropic as streams, whatever the caller wants.
  if (call.body.stream === true) {
    sayAsHaiku(call, text);
    return;
  }
  const usage = { input_tokens: 9, output_tokens: 5 };
  call.answer(200, { ...MESSAGE, content: [{ type: "text", text }], stop_reason: "end_turn", usage });
}

function textOf(sse: string): string {
  return [...sse.matchAll(/"content":"([^"]*)"/g)].map(([, text]) => text).join("");
}

/** Everything that was held for calls has been given back, and no breaker has heard of a failure. */
async function expectAtRest({ router }: World): Promise<void> {
  const health = (await (await fetch(`${router.url}/health`)).json()) as {
    limits: { queued: number; pools: { in_flight: number }[] };
    breakers: unknown[];
    budgets: { reserved_nano_usd: number }[];
  };
  expect(health.limits.queued).toBe(0);
  expect(health.limits.pools.map(({ in_flight }) => in_flight).filter((count) => count > 0)).toEqual([]);
  expect(health.breakers).toEqual([]);
  expect(health.budgets.map(({ reserved_nano_usd }) => reserved_nano_usd).filter((held) => held > 0)).toEqual([]);
}

const LOST = { state: "settled", end_reason: "cancelled", error_kind: "hedge_lost" };
const WON = { state: "settled", end_reason: "complete", error_kind: null };
const BUDGET = "budgets:\n  - { everything: true, limit: $5/day }\n";

describe("of a stream", () => {
  test("the rival answers first: the caller hears the rival alone, the first call is cut", async () => {
    const world = await start({ config: BUDGET });
    const answer = world.router.post(ASK, { headers: { "x-signalbox-metadata": "enabled" } });
    const [first, rival] = await bothCalls(world);
    // What is no content decides nothing.
    first.send(chunk({ role: "assistant", content: "" }));
    sayAsHaiku(rival, "from the rival");
    const response = await answer;
    expect(response.headers.get("x-signalbox-provider")).toBe("anthropic");
    expect(response.headers.get("x-signalbox-attempts")).toBe("2");
    const text = await response.text();
    expect(textOf(text)).toBe("from the rival");
    expect(text).not.toContain("chatcmpl-fake1");
    expect(text).toContain('"status":0,"error":"hedge_lost"');
    expect(await first.over).toBe("cut");
    await expectAtRest(world);
    const { attempts, requests } = await world.router.ledger();
    expect(attempts).toMatchObject([
      { attempt: 1, provider: "openai", ...LOST, price_status: "unknown", cost_nano_usd: null },
      { attempt: 2, provider: "anthropic", ...WON, input_tokens: 9, output_tokens: 5 },
    ]);
    // Nobody tells what the lost call cost: a bound of it is kept beside.
    expect(attempts[0]?.estimated_nano_usd).toBeGreaterThan(0);
    expect(requests).toMatchObject([{ status: 200, error_kind: null, attempts: 2 }]);
  });

  test("the first call answers all the same: the rival is cut", async () => {
    const world = await start({ config: BUDGET });
    const answer = world.router.post(ASK);
    const [first, rival] = await bothCalls(world);
    first.send(chunk({ role: "assistant", content: "from the first" }));
    const response = await answer;
    expect(response.headers.get("x-signalbox-provider")).toBe("openai");
    expect(await rival.over).toBe("cut");
    first.send(chunk({}, "stop"), usageChunk(7, 3), DONE);
    first.end();
    expect(textOf(await response.text())).toBe("from the first");
    await expectAtRest(world);
    const { attempts, requests } = await world.router.ledger();
    expect(attempts).toMatchObject([
      { attempt: 1, provider: "openai", ...WON },
      { attempt: 2, provider: "anthropic", ...LOST },
    ]);
    expect(requests).toMatchObject([{ status: 200, attempts: 2 }]);
  });

  test("the answer is looked up under the target that gave it, whoever was called last", async () => {
    const world = await start();
    const answer = world.router.post(ASK);
    const [first] = await bothCalls(world);
    sayAsLuna(first, "from the first");
    const response = await answer;
    await response.text();
    const id = response.headers.get("x-request-id");
    const looked = await fetch(`${world.router.url}/v1/generation?id=${id}`);
    expect(((await looked.json()) as { data: object }).data).toMatchObject({ model: LUNA, finish_reason: "stop" });
  });
});

describe("of a whole answer", () => {
  test("the rival answers first", async () => {
    const world = await start({ config: BUDGET });
    const answer = world.router.post(WHOLE);
    const [first, rival] = await bothCalls(world);
    answerAsHaiku(rival, "from the rival");
    expect(await (await answer).text()).toContain("from the rival");
    expect(await first.over).toBe("cut");
    await expectAtRest(world);
    const { attempts } = await world.router.ledger();
    expect(attempts).toMatchObject([
      { attempt: 1, ...LOST },
      { attempt: 2, ...WON },
    ]);
  });

  test("the first call answers all the same", async () => {
    const world = await start({ config: BUDGET });
    const answer = world.router.post(WHOLE);
    const [first, rival] = await bothCalls(world);
    answerAsLuna(first, "from the first");
    expect(await (await answer).text()).toContain("from the first");
    expect(await rival.over).toBe("cut");
    await expectAtRest(world);
    const { attempts } = await world.router.ledger();
    expect(attempts).toMatchObject([
      { attempt: 1, ...WON },
      { attempt: 2, ...LOST },
    ]);
  });
});

describe("a call that lost is cut at once, whatever the rule says of callers that leave", () => {
  const DRAIN = ", on_client_abort: { drain: 20s }";

  test.each([true, false])("stream: %s", async (stream) => {
    const world = await start({ more: DRAIN });
    const answer = world.router.post({ ...ASK, stream });
    const [first, rival] = await bothCalls(world);
    if (stream) sayAsHaiku(rival, "from the rival");
    else answerAsHaiku(rival, "from the rival");
    expect(await (await answer).text()).toContain("from the rival");
    expect(await first.over).toBe("cut");
    const { attempts } = await world.router.ledger();
    expect(attempts).toMatchObject([LOST, WON]);
  });

  test("of a caller that leaves while both are asked one answer is read on", async () => {
    const world = await start({ more: DRAIN });
    const caller = leavingCaller();
    const answer = world.router.post(ASK, { signal: caller.signal }).catch(() => undefined);
    const [first, rival] = await bothCalls(world);
    await caller.leave();
    await answer;
    expect(await rival.over).toBe("cut");
    sayAsLuna(first, "for nobody");
    expect(await first.over).toBe("whole");
    await expect.poll(async () => (await fetch(`${world.router.url}/health`)).text()).not.toContain('"in_flight":1');
    const { attempts, requests } = await world.router.ledger();
    expect(attempts).toMatchObject([
      { attempt: 1, end_reason: "cancelled", error_kind: "cancelled", input_tokens: 7, output_tokens: 3 },
      { attempt: 2, ...LOST },
    ]);
    expect(requests).toMatchObject([{ status: 499, error_kind: "cancelled", attempts: 2 }]);
  });

  test("of a caller that leaves where nothing is read on both are cut", async () => {
    const world = await start();
    const caller = leavingCaller();
    const answer = world.router.post(ASK, { signal: caller.signal }).catch(() => undefined);
    const [first, rival] = await bothCalls(world);
    await caller.leave();
    await answer;
    expect([await first.over, await rival.over]).toEqual(["cut", "cut"]);
    const { requests } = await world.router.ledger();
    expect(requests).toMatchObject([{ status: 499, error_kind: "cancelled", attempts: 2 }]);
  });
});

describe("a call that fails leaves the other one to answer", () => {
  const BROKEN = { error: { message: "broken" } };

  test("the first fails, the rival answers", async () => {
    const world = await start();
    const answer = world.router.post(ASK);
    const [first, rival] = await bothCalls(world);
    first.answer(500, BROKEN);
    await first.over;
    sayAsHaiku(rival, "from the rival");
    expect(textOf(await (await answer).text())).toBe("from the rival");
    const { attempts } = await world.router.ledger();
    expect(attempts).toMatchObject([{ end_reason: "failed", error_kind: "server" }, WON]);
  });

  test("the rival fails, the first answers", async () => {
    const world = await start();
    const answer = world.router.post(ASK);
    const [first, rival] = await bothCalls(world);
    rival.answer(529, { type: "error", error: { type: "overloaded_error", message: "busy" } });
    await rival.over;
    sayAsLuna(first, "from the first");
    expect(textOf(await (await answer).text())).toBe("from the first");
    const { attempts } = await world.router.ledger();
    expect(attempts).toMatchObject([WON, { end_reason: "failed", error_kind: "overloaded" }]);
  });

  test("both fail: the next target is asked, and both failures are told", async () => {
    const world = await start({ targets: [LUNA, HAIKU, SOL] });
    const answer = world.router.post(WHOLE);
    const [first, rival] = await bothCalls(world);
    first.answer(503, BROKEN);
    await first.over;
    rival.answer(529, { type: "error", error: { type: "overloaded_error", message: "busy" } });
    const third = await world.fake.next();
    expect(third.body.model).toBe("gpt-6-sol");
    third.answer(400, { error: { message: "no", code: "invalid_value", type: "invalid_request_error" } });
    const response = await answer;
    const { error } = (await response.json()) as { error: { metadata: { previous_errors: object[] } } };
    expect(error.metadata.previous_errors).toMatchObject([
      { target: LUNA, code: "overloaded" },
      { target: HAIKU, code: "overloaded" },
    ]);
    const { attempts, requests } = await world.router.ledger();
    expect(attempts.map(({ attempt, error_kind }) => [attempt, error_kind])).toEqual([
      [1, "overloaded"],
      [2, "overloaded"],
      [3, "invalid_request"],
    ]);
    expect(requests).toMatchObject([{ attempts: 3 }]);
  });

  test("a rival is one of the attempts", async () => {
    const world = await start({ targets: [LUNA, HAIKU, SOL], more: ", attempts: 2" });
    const answer = world.router.post(WHOLE);
    const [first, rival] = await bothCalls(world);
    rival.answer(529, { type: "error", error: { type: "overloaded_error", message: "busy" } });
    await rival.over;
    first.answer(503, BROKEN);
    expect((await answer).status).toBe(503);
    expect(world.fake.calls).toHaveLength(2);
  });

  test("after a failure that would be the same everywhere nobody waits for the other", async () => {
    const world = await start();
    const answer = world.router.post(WHOLE);
    const [first, rival] = await bothCalls(world);
    first.answer(400, { error: { message: "Your question is wrong.", type: "invalid_request_error" } });
    expect((await answer).status).toBe(400);
    expect(await rival.over).toBe("cut");
    const { attempts } = await world.router.ledger();
    expect(attempts).toMatchObject([{ error_kind: "invalid_request" }, LOST]);
  });
});

test("a stream that a rival won goes on elsewhere when its provider fails, told as what it was", async () => {
  const world = await start({ targets: [LUNA, HAIKU, SOL], more: ", stream_failover: continue" });
  const answer = world.router.post(ASK, { headers: { "x-signalbox-metadata": "enabled" } });
  const [first, rival] = await bothCalls(world);
  first.send(chunk({ role: "assistant", content: "Once" }));
  expect(await rival.over).toBe("cut");
  first.drop();
  const third = await world.fake.next();
  sayAsHaikuOrSol(third, " more.");
  const text = await (await answer).text();
  expect(textOf(text)).toBe("Once more.");
  const { attempts, requests } = await world.router.ledger();
  expect(attempts.map(({ attempt, error_kind }) => [attempt, error_kind])).toEqual([
    [1, "truncated"],
    [2, "hedge_lost"],
    [3, null],
  ]);
  expect(requests).toMatchObject([{ status: 200, attempts: 3 }]);
});

function sayAsHaikuOrSol(call: FakeCall, text: string): void {
  if (call.path.startsWith("/anthropic")) sayAsHaiku(call, text);
  else sayAsLuna(call, text);
}
