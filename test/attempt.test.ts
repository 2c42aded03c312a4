// What a failed call was worth: whether output had begun, and what is paid for it all the same.
import { describe, expect, test } from "vitest";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import type { ProviderError } from "../src/chat.ts";
import type { EnabledProvider, Target } from "../src/dialect.ts";
import { type AttemptDeps, type AttemptInput, callOnce } from "../src/gateway/attempt.ts";
import type { Opened, Unanswered } from "../src/upstream.ts";

const RATES = { input: 1_000_000, output: 2_000_000 };
const provider = {
  id: "p",
  baseUrl: "http://p.example/v1",
  key: undefined,
  dialect: openaiChat(),
  authorize: () => ({}),
} as unknown as EnabledProvider;
const target: Target = { provider, model: "m", entry: { id: "m", rates: RATES } };

const CUT: ProviderError = { kind: "network", subkind: "broken", message: "cut" };

/** An answer with this status whose body is this text, or breaks. */
function answers(status: number, body: string | ProviderError): Opened {
  const nothing = () => {};
  return {
    kind: "opened",
    status,
    headers: {},
    async *chunks() {
      if (typeof body !== "string") return body;
      yield Buffer.from(body);
      return undefined;
    },
    text: async () => (typeof body === "string" ? { text: body } : { error: body }),
    progress: nothing,
    drain: nothing,
    close: nothing,
  };
}

async function failedWith(sent: Opened | Unanswered, stream = false) {
  const nothing = () => {};
  const deps: AttemptDeps = {
    upstream: { send: async () => sent, close: async () => {} },
    ledger: { openAttempt: nothing, settleAttempt: nothing, keepRates: nothing } as unknown as AttemptDeps["ledger"],
    nowMs: () => 1_700_000_000_000,
    newId: (prefix) => `${prefix}x`,
    memory: { remember: nothing, recall: () => undefined },
    rateKey: () => "",
    observe: nothing,
    download: async () => ({ error: CUT }),
  };
  const input: AttemptInput = {
    requestId: "r",
    numbered: (open) => {
      open(1);
      return 1;
    },
    caller: { key: "k" },
    request: {
      dialect: "openai-chat",
      body: { model: "m", messages: [{ role: "user", content: "Hello" }], stream },
      stream,
      includeUsage: false,
      includeCost: false,
      strict: false,
    },
    target,
    ruleName: "",
    affinity: { id: undefined, ttlMs: undefined },
    repairs: [],
    continuation: undefined,
    catalogVersion: "c",
    money: { reservedNanoUsd: undefined, estimateNanoUsd: () => undefined, settle: nothing, cancel: nothing },
    drainMs: undefined,
    lease: { account: undefined, heard: nothing, answers: nothing, counted: nothing, end: nothing, cancel: nothing },
    signal: new AbortController().signal,
    clocks: { firstByteMs: 1_000, idleMs: 1_000, contentIdleMs: 1_000, totalMs: 1_000 },
    inView: (error) => error,
    unfit: () => undefined,
    onStreamEnd: nothing,
  };
  const result = await callOnce(deps, input);
  if (result.kind !== "failed") throw new Error(`it did not fail: ${result.kind}`);
  return result.lost;
}

const WITH_USAGE = JSON.stringify({
  error: { message: "it broke", type: "server_error" },
  usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
});

describe("a failed call", () => {
  const CASES: [name: string, sent: Opened | Unanswered, lost: object][] = [
    ["that was refused cost nothing", answers(500, "{}"), { hadOutput: false, costNanoUsd: 0 }],
    [
      "that never arrived cost nothing",
      { kind: "error", error: { ...CUT, subkind: "connect" }, wasSent: false },
      { hadOutput: false, costNanoUsd: 0 },
    ],
    [
      "that was heard and never answered cost nobody knows what",
      { kind: "error", error: CUT, wasSent: true },
      { hadOutput: false, costNanoUsd: undefined },
    ],
    ["whose answer broke had output", answers(200, CUT), { hadOutput: true, costNanoUsd: undefined }],
    ["whose answer is not readable had output", answers(200, '{"choi'), { hadOutput: true, costNanoUsd: undefined }],
    ["that answers an error under 200 had none", answers(200, WITH_USAGE), { hadOutput: false }],
  ];
  test.each(CASES)("%s", async (_, sent, lost) => {
    expect(await failedWith(sent)).toMatchObject(lost);
  });

  test("of a stream that breaks before the first content had none", async () => {
    expect(await failedWith(answers(200, CUT), true)).toEqual({ hadOutput: false, costNanoUsd: undefined });
  });
});
