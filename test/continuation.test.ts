// Answers that a provider gives in several calls.
import { expect, test } from "vitest";
import type { ChatEvent, ProviderError } from "../src/chat.ts";
import { type Batch, batchOf } from "../src/gateway/answer-reader.ts";
import type { AttemptResult } from "../src/gateway/attempt.ts";
import { continueStream } from "../src/gateway/continuation.ts";
import { LedgerUnavailable } from "../src/store/rows.ts";

type Stream = Extract<AttemptResult, { kind: "stream" }>;

/** A stream that says `text` and pauses. */
function paused(text: string): Stream {
  const events: ChatEvent[] = [
    { type: "text_delta", index: 0, text },
    { type: "continue", state: {} },
  ];
  async function* batches(): AsyncGenerator<Batch, void, undefined> {
    yield batchOf([{ events, frame: undefined }]);
  }
  const bill = () => ({ usage: { outputTokens: 3 }, costNanoUsd: 30 });
  return { kind: "stream", batches: batches(), bill } as unknown as Stream;
}

async function eventsOf({ batches }: Stream): Promise<ChatEvent[]> {
  const events: ChatEvent[] = [];
  for await (const { pieces } of batches) events.push(...pieces.flatMap((piece) => piece.events));
  return events;
}

test("a stream whose next call cannot be recorded ends with an error that says so, not with a broken connection", async () => {
  const failures: ProviderError[] = [];
  const again = () => Promise.reject(new LedgerUnavailable("the disk is full"));
  const stream = continueStream(paused("Two "), again, (error) => failures.push(error));
  const events = await eventsOf(stream);
  expect(events.map(({ type }) => type)).toEqual(["text_delta", "error"]);
  expect(failures).toEqual([expect.objectContaining({ kind: "overloaded", code: "ledger_unavailable" })]);
  expect(stream.bill()).toEqual({ usage: { outputTokens: 3 }, costNanoUsd: 30 });
});

test("a bug in the next call stays one", async () => {
  const stream = continueStream(
    paused("Two "),
    () => Promise.reject(new TypeError("x is not a function")),
    () => {},
  );
  await expect(eventsOf(stream)).rejects.toThrow("x is not a function");
});
