// `stream_failover: continue`: a provider fails in the middle of a plain text, and the next one goes on with it.
import { describe, expect, test } from "vitest";
import {
  chunk,
  DONE,
  type FakeCall,
  type FakeProvider,
  startFakeProvider,
  usageChunk,
} from "./support/fake-provider.ts";
import { startTestRouter, type TestRouter } from "./support/router.ts";

const ASK = {
  model: "house",
  stream: true,
  stream_options: { include_usage: true },
  messages: [{ role: "user", content: "Tell me." }],
};
const LUNA = "openai/gpt-6-luna";
const SOL = "openai/gpt-6-sol";
/** Goes on with the beginning of its own answer; the later model refuses that. */
const PREFILLING = "anthropic/claude-haiku-4-5";
const REFUSING = "anthropic/claude-haiku-5-5";

async function start(first: string, second: string, more = ""): Promise<{ router: TestRouter; fake: FakeProvider }> {
  const fake = await startFakeProvider();
  const rules = `
version: 1
rules:
  - { name: go on, model: house, pick: order, from: [${first}], fallback: [${second}], stream_failover: continue${more} }
`;
  return { router: await startTestRouter({ env: fake.env, rules }), fake };
}

interface Chunk {
  id: string;
  model: string;
  choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
  error?: { code: string };
  signalbox_metadata?: Record<string, unknown>;
}

/** The chunks of a stream, and whether it ended as a whole one does. */
function read(text: string): { chunks: Chunk[]; said: string; isDone: boolean; ends: number } {
  const data = text.split("\n\n").filter((part) => part.startsWith("data: "));
  const chunks = data.filter((part) => part !== "data: [DONE]").map((part) => JSON.parse(part.slice(6)) as Chunk);
  const said = chunks.map(({ choices }) => choices?.[0]?.delta.content ?? "").join("");
  const dones = data.filter((part) => part === "data: [DONE]").length;
  const ends = dones + chunks.filter(({ error }) => error !== undefined).length;
  return { chunks, said, isDone: data.at(-1) === "data: [DONE]", ends };
}

const MESSAGE = { id: "msg_2", type: "message", role: "assistant", model: "claude", content: [], stop_reason: null };

/** A text as Anthropic streams it, up to its end or only so far. */
function anthropicText(texts: string[], isWhole = true): object[] {
  return [
    { type: "message_start", message: { ...MESSAGE, usage: { input_tokens: 20, output_tokens: 1 } } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    ...texts.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
    ...(isWhole
      ? [
          { type: "content_block_stop", index: 0 },
          { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 5 } },
          { type: "message_stop" },
        ]
      : []),
  ];
}

function openaiText(texts: string[]): (object | string)[] {
  const [first = "", ...others] = texts;
  return [
    chunk({ role: "assistant", content: first }, null, "chatcmpl-second"),
    ...others.map((content) => chunk({ content }, null, "chatcmpl-second")),
    chunk({}, "stop", "chatcmpl-second"),
    usageChunk(30, 6),
    DONE,
  ];
}

function finishWith(call: FakeCall, events: (object | string)[]): void {
  call.send(...events);
  call.end();
}

test("the caller sees one whole answer under one id and one model, and both calls are in the ledger", async () => {
  const { router, fake } = await start(LUNA, PREFILLING);
  const answer = router.post(ASK, { headers: { "x-signalbox-metadata": "enabled" } });
  const first = await fake.next();
  first.send(chunk({ role: "assistant", content: "" }), chunk({ content: "Once upon" }), chunk({ content: " a " }));
  first.drop();
  const second = await fake.next();
  expect(second.path).toBe("/anthropic/v1/messages");
  expect((second.body.messages as unknown[]).at(-1)).toMatchObject({
    role: "assistant",
    content: [{ type: "text", text: "Once upon a" }],
  });
  finishWith(second, anthropicText([" ti", "me."]));
  const { chunks, said, isDone, ends } = read(await (await answer).text());
  expect(said).toBe("Once upon a time.");
  expect([isDone, ends]).toEqual([true, 1]);
  expect(new Set(chunks.map(({ id, model }) => `${id} ${model}`))).toEqual(new Set(["chatcmpl-fake1 gpt-6-luna-2026"]));
  expect(chunks.filter(({ choices }) => choices[0]?.delta.role !== undefined)).toHaveLength(1);
  expect(chunks.filter(({ choices }) => choices[0]?.finish_reason === "stop")).toHaveLength(1);
  // The first call broke before it told its usage: what is known is the second's.
  expect(chunks.filter(({ usage }) => usage != null).map(({ usage }) => usage?.completion_tokens)).toEqual([5]);
  const metadata = chunks.find((item) => item.signalbox_metadata)?.signalbox_metadata;
  const { stream_failover: told, attempts: calls } = (metadata ?? {}) as {
    stream_failover?: object;
    attempts?: object[];
  };
  expect(told).toEqual({
    from: { provider: "openai", model: "gpt-6-luna" },
    to: { provider: "anthropic", model: "claude-haiku-4-5" },
    error: "truncated",
    style: "prefill",
    delivered_chars: 12,
    dropped_chars: 1,
  });
  expect(calls).toMatchObject([{ provider: "openai", error: "truncated" }, { provider: "anthropic" }]);
  const { requests, attempts } = await router.ledger();
  expect(attempts.map(({ provider, end_reason }) => [provider, end_reason])).toEqual([
    ["openai", "truncated"],
    ["anthropic", "complete"],
  ]);
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({ status: 200, attempts: 2, error_kind: null });
  expect(requests[0]?.warnings).toContain("stream_failover:openai/gpt-6-luna->anthropic/claude-haiku-4-5");
});

describe("a model that does not go on with its own answer is asked to by the user", () => {
  test.each([
    [LUNA, SOL],
    [PREFILLING, LUNA],
    [LUNA, REFUSING],
  ])("%s, then %s", async (from, to) => {
    const { router, fake } = await start(from, to);
    const answer = router.post(ASK);
    const first = await fake.next();
    if (from === LUNA) first.send(chunk({ role: "assistant", content: "The quick bro" }));
    else first.send(...anthropicText(["The quick", " bro"], false));
    first.drop();
    const second = await fake.next();
    const messages = second.body.messages as { role: string; content: unknown }[];
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    expect(JSON.stringify(messages.at(-1))).toContain("Go on exactly where it stops");
    const rest = ["brow", "n fox."];
    finishWith(second, to === REFUSING ? anthropicText(rest) : openaiText(rest));
    const { chunks, said, isDone } = read(await (await answer).text());
    expect(said).toBe("The quick brown fox.");
    expect(isDone).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });
});

test("usage is that of both calls as far as it was told, and a cost of which a part is unknown is unknown", async () => {
  const { router, fake } = await start(PREFILLING, LUNA);
  const answer = router.post({ ...ASK, usage: { include: true } });
  const first = await fake.next();
  first.send(...anthropicText(["Once"], false));
  first.drop();
  finishWith(await fake.next(), openaiText([" more."]));
  const { chunks } = read(await (await answer).text());
  const told = chunks.filter((item) => item.usage != null).map(({ usage }) => usage);
  expect(told).toMatchObject([{ prompt_tokens: 20 + 30, completion_tokens: 6, cost: null }]);
  const { attempts } = await router.ledger();
  expect(attempts).toMatchObject([
    { end_reason: "truncated", input_tokens: 20, output_tokens: null, price_status: "unknown" },
    { end_reason: "complete", input_tokens: 30, output_tokens: 6, price_status: "exact" },
  ]);
});

test("what the second model thinks before it goes on is not shown in the middle of the text", async () => {
  const { router, fake } = await start(LUNA, SOL);
  const answer = router.post(ASK);
  const first = await fake.next();
  first.send(chunk({ role: "assistant", content: "Once" }));
  first.drop();
  const second = await fake.next();
  second.send(chunk({ role: "assistant", reasoning_content: "Where was I?" }));
  finishWith(second, openaiText([" more."]));
  const text = await (await answer).text();
  expect(read(text).said).toBe("Once more.");
  expect(text).not.toContain("Where was I?");
});

test("silence in mid-answer is a failure like any other, and the provider that hangs is let go", async () => {
  const { router, fake } = await start(LUNA, SOL, ", timeouts: { idle: 50ms }");
  const answer = router.post(ASK);
  const first = await fake.next();
  first.send(chunk({ role: "assistant", content: "Once" }));
  expect(await first.over).toBe("cut");
  finishWith(await fake.next(), openaiText([" more."]));
  expect(read(await (await answer).text()).said).toBe("Once more.");
});

describe("the stream ends in one error event, as without the rule", () => {
  test("when the second provider fails too: there is one switch", async () => {
    const { router, fake } = await start(LUNA, SOL);
    const answer = router.post(ASK);
    const first = await fake.next();
    first.send(chunk({ role: "assistant", content: "Once" }));
    first.drop();
    const second = await fake.next();
    second.send(chunk({ role: "assistant", content: " more" }));
    second.drop();
    const { said, ends, chunks } = read(await (await answer).text());
    expect(said).toBe("Once more");
    expect(ends).toBe(1);
    expect(chunks.at(-1)?.error?.code).toBe("upstream_stream_truncated");
    const { requests, attempts } = await router.ledger();
    expect(attempts.map(({ end_reason }) => end_reason)).toEqual(["truncated", "truncated"]);
    expect(requests.map(({ attempts: made, error_kind }) => [made, error_kind])).toEqual([[2, "truncated"]]);
    expect(fake.calls).toHaveLength(2);
  });

  test("when the second provider refuses: the error is that of the answer that broke", async () => {
    const { router, fake } = await start(LUNA, SOL);
    const answer = router.post(ASK);
    const first = await fake.next();
    first.send(chunk({ role: "assistant", content: "Once" }));
    first.drop();
    (await fake.next()).answer(500, { error: { message: "no" } });
    const { ends, chunks } = read(await (await answer).text());
    expect(ends).toBe(1);
    expect(chunks.at(-1)?.error?.code).toBe("upstream_stream_truncated");
    const { requests, attempts } = await router.ledger();
    expect(attempts.map(({ end_reason }) => end_reason)).toEqual(["truncated", "failed"]);
    expect(requests.map(({ attempts: made, error_kind }) => [made, error_kind])).toEqual([[2, "truncated"]]);
  });

  test.each<[string, object, object[]]>([
    ["with tools", { tools: [{ type: "function", function: { name: "f", parameters: {} } }] }, [{ content: "Once" }]],
    ["with a JSON format", { response_format: { type: "json_object" } }, [{ content: '{"a' }]],
    ["after reasoning", {}, [{ reasoning_content: "Hm." }, { content: "Once" }]],
  ])("%s", async (_, more, deltas) => {
    const { router, fake } = await start(LUNA, SOL);
    const answer = router.post({ ...ASK, ...more });
    const first = await fake.next();
    first.send(...deltas.map((delta) => chunk({ role: "assistant", ...delta })));
    first.drop();
    const { ends, chunks } = read(await (await answer).text());
    expect(ends).toBe(1);
    expect(chunks.at(-1)?.error?.code).toBe("upstream_stream_truncated");
    const { requests } = await router.ledger();
    expect(requests[0]).toMatchObject({ attempts: 1, error_kind: "truncated" });
    expect(fake.calls).toHaveLength(1);
  });

  test("when no further attempt is allowed", async () => {
    const { router, fake } = await start(LUNA, SOL, ", attempts: 1");
    const answer = router.post(ASK);
    const first = await fake.next();
    first.send(chunk({ role: "assistant", content: "Once" }));
    first.drop();
    expect(read(await (await answer).text()).ends).toBe(1);
    expect(fake.calls).toHaveLength(1);
  });
});

test("a whole answer is passed on as it came", async () => {
  const { router, fake } = await start(LUNA, SOL);
  const answer = router.post(ASK);
  const events = openaiText(["Once", " more."]);
  finishWith(await fake.next(), events);
  const sent = events.map((event) => (typeof event === "string" ? event : `data: ${JSON.stringify(event)}\n\n`));
  expect(await (await answer).text()).toBe(sent.join(""));
  const { requests } = await router.ledger();
  expect(requests).toMatchObject([{ status: 200, attempts: 1, error_kind: null }]);
});
