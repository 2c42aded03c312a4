// A caller that leaves: the provider hears of it at once wherever the request is, unless the rule wants the exact usage.
import { describe, expect, test } from "vitest";
import { leavingCaller } from "./support/caller.ts";
import { chunk, DONE, type FakeProvider, startFakeProvider, usageChunk } from "./support/fake-provider.ts";
import { startTestRouter, type TestRouter } from "./support/router.ts";

const ASK = { model: "house", stream: true, messages: [{ role: "user", content: "Hi" }] };

/** One place only, so that whoever comes next knows that the call before has been settled. */
const CONFIG = "pools: { luna: { targets: [openai/gpt-6-luna], concurrency: 1 } }\n";

function rulesWith(more: string, target = "openai/gpt-6-luna"): string {
  return `version: 1\nrules:\n  - { name: one, model: house, from: [${target}]${more} }\n`;
}

async function start(more = "", target?: string): Promise<{ router: TestRouter; fake: FakeProvider }> {
  const fake = await startFakeProvider();
  const router = await startTestRouter({ env: fake.env, config: CONFIG, rules: rulesWith(more, target) });
  return { router, fake };
}

/** Asks, and has somebody to leave. What `fetch` says about its own abort is of no interest. */
function ask({ router }: { router: TestRouter }, body: object = ASK) {
  const caller = leavingCaller();
  const answer = router.post(body, { signal: caller.signal });
  const text = answer.then((response) => response.text()).catch(() => "");
  return { answer: answer.catch(() => undefined), text, leave: caller.leave };
}

describe("the provider sees at once that the caller has left", () => {
  test("before the head of its answer", async () => {
    const world = await start();
    const { leave } = ask(world);
    const call = await world.fake.next();
    await leave();
    expect(await call.over).toBe("cut");
    await expectCancelled(world.router);
  });

  test("in the preamble, before any content", async () => {
    const world = await start();
    const { leave } = ask(world);
    const call = await world.fake.next();
    call.send(chunk({ role: "assistant", content: "" }));
    await leave();
    expect(await call.over).toBe("cut");
    await expectCancelled(world.router);
  });

  test("in the middle of the stream", async () => {
    const world = await start();
    const { answer, leave } = ask(world);
    const call = await world.fake.next();
    call.send(chunk({ role: "assistant", content: "Hel" }));
    await answer;
    await leave();
    expect(await call.over).toBe("cut");
    await expectCancelled(world.router);
  });

  test("while a whole answer is awaited", async () => {
    const world = await start();
    const { leave } = ask(world, { ...ASK, stream: false });
    const call = await world.fake.next();
    await leave();
    expect(await call.over).toBe("cut");
    await expectCancelled(world.router);
  });

  async function expectCancelled(router: TestRouter) {
    const { requests, attempts } = await router.ledger();
    expect(attempts).toHaveLength(1);
    expect(attempts[0]).toMatchObject({ end_reason: "cancelled", error_kind: "cancelled", state: "settled" });
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ status: 499, error_kind: "cancelled", attempts: 1 });
  }
});

describe("no call is made any more for a caller that left", () => {
  test("while it waited for its turn", async () => {
    const world = await start();
    const first = ask(world);
    const call = await world.fake.next();
    const second = ask(world);
    await expect.poll(() => queued(world.router)).toBe(1);
    await second.leave();
    call.send(chunk({ role: "assistant", content: "Hello" }), chunk({}, "stop"), DONE);
    call.end();
    expect(await first.text).toContain("[DONE]");
    const { requests, attempts } = await world.router.ledger();
    expect(attempts).toHaveLength(1);
    expect(requests.map(({ status, attempts: made }) => [status, made])).toEqual(
      expect.arrayContaining([
        [200, 1],
        [499, 0],
      ]),
    );
    expect(world.fake.calls).toHaveLength(1);
  });

  test("while the router slept before another try", async () => {
    const world = await start();
    const { leave, text } = ask(world);
    const call = await world.fake.next();
    call.answer(503, { error: { message: "busy" } }, { "retry-after": "15" });
    // The place is free once the call is settled: from then on the router sleeps.
    const next = ask(world);
    (await world.fake.next()).answer(400, { error: { message: "enough" } });
    await next.text;
    await leave();
    await text;
    // It does not sleep on: the ledger is closed only after the request has ended.
    const { requests, attempts } = await world.router.ledger();
    expect(attempts.map(({ error_kind }) => error_kind).sort()).toEqual(["invalid_request", "overloaded"]);
    expect(requests.map(({ status }) => status).sort()).toEqual([400, 499]);
    expect(world.fake.calls).toHaveLength(2);
  });
});

async function queued({ url }: TestRouter): Promise<number> {
  const health = (await (await fetch(`${url}/health`)).json()) as { limits: { queued: number } };
  return health.limits.queued;
}

describe("an answer whose caller left is settled from what was seen", () => {
  const MESSAGE = { id: "msg_1", type: "message", role: "assistant", model: "claude-haiku-5-5", content: [] };
  const START = {
    type: "message_start",
    message: { ...MESSAGE, stop_reason: null, stop_sequence: null, usage: { input_tokens: 4_321, output_tokens: 1 } },
  };

  test("`cancel`: the prompt that Anthropic counted in its first event", async () => {
    const world = await start("", "anthropic/claude-haiku-5-5");
    const { answer, leave } = ask(world);
    const call = await world.fake.next();
    call.send(START, { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
    call.send({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hello" } });
    await answer;
    await leave();
    expect(await call.over).toBe("cut");
    const { attempts } = await world.router.ledger();
    expect(attempts[0]).toMatchObject({ end_reason: "cancelled", input_tokens: 4_321 });
  });
});

describe("`drain` reads the answer of a caller that left on, for its exact usage", () => {
  const DRAIN = ", on_client_abort: { drain: 20s }";
  const REST = [chunk({ content: "lo" }), chunk({}, "stop"), usageChunk(7, 11), DONE];

  test("in the middle of a stream", async () => {
    const world = await start(DRAIN);
    const { answer, leave } = ask(world);
    const call = await world.fake.next();
    call.send(chunk({ role: "assistant", content: "Hel" }));
    await answer;
    await leave();
    call.send(...REST);
    call.end();
    expect(await call.over).toBe("whole");
    await expectDrained(world);
  });

  test("before any content", async () => {
    const world = await start(DRAIN);
    const { leave } = ask(world);
    const call = await world.fake.next();
    await leave();
    call.send(chunk({ role: "assistant", content: "Hel" }), ...REST);
    call.end();
    expect(await call.over).toBe("whole");
    await expectDrained(world);
  });

  test("of a whole answer", async () => {
    const world = await start(DRAIN);
    const { leave } = ask(world, { ...ASK, stream: false });
    const call = await world.fake.next();
    await leave();
    const choices = [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }];
    const usage = { prompt_tokens: 7, completion_tokens: 11, total_tokens: 18 };
    call.answer(200, { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m", choices, usage });
    expect(await call.over).toBe("whole");
    await expectDrained(world);
  });

  test("and no longer than the rule says", async () => {
    const world = await start(", on_client_abort: { drain: 50ms }");
    const { answer, leave } = ask(world);
    const call = await world.fake.next();
    call.send(chunk({ role: "assistant", content: "Hel" }));
    await answer;
    await leave();
    expect(await call.over).toBe("cut");
    const { attempts } = await world.router.ledger();
    expect(attempts[0]).toMatchObject({ end_reason: "cancelled", price_status: "unknown", cost_nano_usd: null });
  });

  async function expectDrained(world: { router: TestRouter; fake: FakeProvider }) {
    // The only place is free again once the first call is settled.
    const next = ask(world);
    (await world.fake.next()).answer(400, { error: { message: "enough" } });
    await next.text;
    const { requests, attempts } = await world.router.ledger();
    const drained = attempts.find(({ end_reason }) => end_reason === "cancelled");
    expect(drained).toMatchObject({
      error_kind: "cancelled",
      input_tokens: 7,
      output_tokens: 11,
      price_status: "exact",
    });
    expect(drained?.cost_nano_usd).toBeGreaterThan(0);
    expect(requests.map(({ status }) => status).sort()).toEqual([400, 499]);
  }
});
