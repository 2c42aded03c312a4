import fc from "fast-check";
import { expect, test } from "vitest";
import type { ChatBody, ChatRequest } from "../src/chat.ts";
import { affinityId } from "../src/routing/affinity-id.ts";

const SYSTEM = { role: "system", content: "You are terse." };
const FIRST = { role: "user", content: "What is a signal box?" };
const TURNS = [
  SYSTEM,
  FIRST,
  { role: "assistant", content: "A hut by the railway." },
  { role: "user", content: "Why?" },
];
const TOOL = {
  type: "function",
  function: { name: "look", description: "Looks.", parameters: { properties: { at: {} } } },
};

interface Asked extends Partial<ChatBody> {
  key?: string;
  headers?: Record<string, string>;
}

function idOf({ key = "team-a", headers = {}, ...body }: Asked = {}): string | undefined {
  const request = { body: { model: "m", messages: TURNS.slice(0, 2), ...body } } as unknown as ChatRequest;
  return affinityId({ request, key, header: (name) => headers[name] });
}

test("all turns of a conversation have one id, of 12 characters", () => {
  expect(idOf()).toMatch(/^[\w-]{12}$/);
  expect(idOf({ messages: TURNS })).toBe(idOf());
  expect(idOf({ messages: TURNS, temperature: 1, stream: true })).toBe(idOf());
});

const session = { "x-session-id": "s" };
test.each<[string, Asked, Asked]>([
  ["the caller's key", {}, { key: "team-b" }],
  ["the model", {}, { model: "other" }],
  ["the instructions", {}, { messages: [{ role: "system", content: "You are verbose." }, FIRST] }],
  ["who gives the instructions", {}, { messages: [{ ...SYSTEM, role: "developer" }, FIRST] }],
  ["no instructions", {}, { messages: [FIRST] }],
  ["the first message", {}, { messages: [SYSTEM, { role: "user", content: "What is a router?" }] }],
  ["an image in the first message", {}, { messages: [SYSTEM, imageMessage("https://a/1.png")] }],
  ["another image", { messages: [imageMessage("https://a/1.png")] }, { messages: [imageMessage("https://a/2.png")] }],
  ["tools", {}, { tools: [TOOL] }],
  ["other tools", { tools: [TOOL] }, { tools: [{ ...TOOL, function: { name: "hear" } }] }],
  ["where one text ends and the next begins", { key: "a", model: "bc" }, { key: "ab", model: "c" }],
  ["the session", { headers: session }, { headers: { "x-session-id": "t" } }],
  ["the caller's key, though the session has the same name", { headers: session }, { headers: session, key: "team-b" }],
  ["the model within a session, since caches are not shared", { headers: session }, { headers: session, model: "n" }],
  ["an early word of a long text", { messages: [long("a", "")] }, { messages: [long("b", "")] }],
  ["a late word of a long text", { messages: [long("", "a")] }, { messages: [long("", "b")] }],
  ["the length of a long text", { messages: [long("", "", 99_999)] }, { messages: [long("", "", 99_998)] }],
])("ids differ by %s", (_, one, other) => {
  expect(idOf(one)).not.toBe(idOf(other));
});

function imageMessage(url: string) {
  return {
    role: "user",
    content: [
      { type: "text", text: "Look." },
      { type: "image_url", image_url: { url } },
    ],
  };
}

function long(first: string, last: string, chars = 100_000) {
  return { role: "user", content: first.padEnd(chars, "x") + last };
}

test("what the caller names the session counts before the beginning, and headers before fields", () => {
  const elsewhere = { messages: [FIRST], tools: [TOOL] };
  const named = idOf({ headers: session });
  expect(idOf({ headers: session, ...elsewhere })).toBe(named);
  expect(idOf({ session_id: "s" })).toBe(named);
  expect(idOf({ prompt_cache_key: "s", session_id: "t" })).toBe(named);
  expect(idOf({ headers: session, prompt_cache_key: "t" })).toBe(named);
  expect(idOf({ headers: { "x-signalbox-session": "s", "x-session-id": "t" } })).toBe(named);
  expect(idOf({ headers: { "x-session-id": "" }, session_id: 5, prompt_cache_key: null })).toBe(idOf());
});

test("a request without a beginning belongs to no conversation", () => {
  expect(idOf({ messages: [] })).toBeUndefined();
  expect(idOf({ messages: [{ role: "assistant", content: "Hm." }] })).toBeUndefined();
});

test("whatever the body holds, an id comes out, and the same each time", () => {
  const odd = fc.anything() as fc.Arbitrary<never>;
  const message = fc.record({ role: fc.oneof(fc.constant("user"), odd), content: fc.oneof(fc.array(odd), odd) });
  fc.assert(
    fc.property(fc.array(fc.oneof(message, odd)), odd, odd, (messages, tools, prompt_cache_key) => {
      const ask = () => idOf({ messages, tools, prompt_cache_key });
      expect(ask()).toBe(ask());
    }),
  );
});
