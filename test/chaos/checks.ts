// What a caller is owed, whatever happens behind the router.
import { expect } from "vitest";
import type { JsonObject } from "../../src/chat.ts";
import { isObject } from "../../src/json.ts";
import { readBody, readStream } from "../conformance/answers-read.ts";
import type { LedgerRows } from "../support/router.ts";
import type { Received } from "./caller.ts";
import type { Case, Result } from "./rounds.ts";
import { type DialectId, WIRES } from "./wires.ts";

type Rows = LedgerRows["attempts"];

/** Rows of one request. */
export interface Booked {
  request: Record<string, unknown>;
  attempts: Rows;
}

/** The whole answer, or one typed error; called as often as booked; in the order of the plan. */
export function checkCase(one: Case, { received, called }: Result, { request, attempts }: Booked): void {
  const { owed, scene, seats, stream } = one;
  const kinds = attempts.map((row) => row.error_kind);
  const answeredBy = isPoison(one, kinds) ? undefined : seats[owed.what === "answer" ? 0 : scene.faulty]?.dialect;
  if (owed.what === "breaks") {
    checkBreak(one, received, owed.kinds);
    expect(attempts).toMatchObject([{ end_reason: "truncated" }]);
    expect(owed.kinds).toContain(kinds[0]);
  } else if (owed.what === "answer" || (owed.what === "fails" && answeredBy !== undefined)) {
    checkAnswer(received, stream, answeredBy as DialectId);
    const failed = owed.what === "fails" ? scene.faulty : 0;
    expect(attempts.map((row) => row.end_reason)).toEqual([...Array(failed).fill("failed"), "complete"]);
    if (owed.what === "fails") for (const kind of kinds.slice(0, -1)) expect(owed.kinds).toContain(kind);
    expect(request).toMatchObject({ status: 200, error_kind: null });
  } else {
    const kind = checkRefusal(received, owed.kinds);
    for (const row of attempts) expect(row.end_reason).toBe("failed");
    for (const booked of kinds) expect(owed.kinds).toContain(booked);
    expect(request).toMatchObject({ status: received.status, error_kind: kind });
    if (owed.what === "stops") expect(attempts).toHaveLength(1);
  }
  checkCalls(one, called, attempts);
  expect(request.attempts).toBe(attempts.length);
  if (owed.what !== "breaks") expect(received.headers["x-signalbox-attempts"]).toBe(String(attempts.length));
}

const BREAKDOWN = /^answers 500|^sends an error event before any content|^answers 200 with the JSON of an error/;

/** Two providers broke down over the same request: it is taken for the request's fault, and no third is asked. */
function isPoison({ fault, scene, owed }: Case, kinds: unknown[]): boolean {
  const isTwice = kinds.length === 2 && kinds.every((kind) => kind === "server");
  return owed.what === "fails" && scene.faulty >= 2 && BREAKDOWN.test(fault.name) && isTwice;
}

/** The fakes were called as often as the ledger says and in its order, which is the plan's: each candidate until it is given up. */
function checkCalls({ seats, owed }: Case, called: DialectId[], attempts: Rows): void {
  const booked = attempts.map(({ provider }) => String(provider).replace(/^s\d+-/, ""));
  expect(booked.filter((name) => !name.endsWith("-gone"))).toEqual(called);
  const inTurn = booked.filter((name, at) => name !== booked[at - 1]);
  const planned = seats.map(({ dialect, isGone }) => dialect + (isGone ? "-gone" : ""));
  const reached = owed.what === "fails" ? inTurn.length : 1;
  expect(inTurn).toEqual(planned.slice(0, reached));
  expect(booked.length).toBeLessThanOrEqual(4);
}

function checkAnswer(received: Received, stream: boolean, by: DialectId): void {
  expect(received, received.text).toMatchObject({ status: 200, isComplete: true });
  if (!stream) {
    const answer = readBody(JSON.parse(received.text) as JsonObject, []);
    expect(answer).toMatchObject({ text: WIRES[by].text, finish: "stop" });
    return;
  }
  const { text, finish, error, isDone } = readStream(terminated(received.text), []);
  expect({ text, finish, error, isDone }).toEqual({
    text: WIRES[by].text,
    finish: "stop",
    error: undefined,
    isDone: true,
  });
}

/** A part of the answer, then one error, then nothing. */
function checkBreak({ fault, seats }: Case, received: Received, kinds: string[]): void {
  const by = seats[0]?.dialect as DialectId;
  expect(received, received.text).toMatchObject({ status: 200, isComplete: true });
  const { text, error, isDone, finish } = readStream(terminated(received.text), []);
  const { pieces } = WIRES[by];
  const begun = fault.isEndless
    ? [(pieces[0] as string).repeat(text.length / (pieces[0] as string).length)]
    : pieces.map((_, count) => pieces.slice(0, count + 1).join(""));
  expect(begun).toContain(text);
  expect({ isDone, finish }).toEqual({ isDone: false, finish: undefined });
  checkError(error);
  expect(kinds.map((kind) => CODES[kind] ?? "")).toContain(error?.code);
}

const CODES: Readonly<Record<string, string>> = {
  truncated: "upstream_stream_truncated",
  malformed: "upstream_malformed",
  timeout: "timeout",
  server: "upstream_error",
};

/** The one error body of a request that no candidate answered; its kind. */
function checkRefusal(received: Received, kinds: string[]): string {
  expect(received.isComplete).toBe(true);
  expect(received.status).toBeGreaterThanOrEqual(400);
  expect(received.headers["content-type"]).toBe("application/json");
  const { error } = JSON.parse(received.text) as { error: JsonObject };
  checkError(error);
  const kind = isObject(error.metadata) ? String(error.metadata.error_type) : "";
  expect(kinds, received.text).toContain(kind);
  return kind;
}

function checkError(error: JsonObject | undefined): void {
  expect(error).toMatchObject({ message: expect.stringMatching(/./), type: expect.stringMatching(/_error$/) });
  expect(Object.keys(error ?? {})).toEqual(expect.arrayContaining(["message", "type", "param", "code"]));
}

/** The text of a stream that has exactly one terminal event and nothing after it. */
function terminated(text: string): string {
  expect(text.endsWith("\n\n"), text.slice(-200)).toBe(true);
  const payloads = text.split("\n\n").flatMap((block) => block.split("\n").filter((line) => line.startsWith("data:")));
  const isTerminal = (line: string) => line === "data: [DONE]" || line.startsWith('data: {"error"');
  const terminals = payloads.filter(isTerminal);
  expect(terminals, text.slice(-500)).toHaveLength(1);
  expect(payloads.at(-1)).toBe(terminals[0]);
  return text;
}
