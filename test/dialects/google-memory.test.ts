// Agents of several turns: signatures and Google's own parts arrive where they came from, whatever the client keeps.
import { describe, expect, test } from "vitest";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { type ChatBody, type ChatEvent, type ChatMessage, fold, type JsonObject } from "../../src/chat.ts";
import { callOf, decodeText, encodeBody, type Memory, memory, sseOf, wireBody } from "./google-harness.ts";

const MODEL = "gemini-3.8-flash";
const weather = { type: "function", function: { name: "weather" } };
const ask: ChatMessage = { role: "user", content: "q" };

/** How a client keeps an answer until the next request. */
type Client = (answer: ChatMessage) => ChatMessage;

const keepsAll: Client = (answer) => structuredClone(answer);
/** Typed SDKs and frameworks: only OpenAI's own fields survive, and arguments are written anew. */
const dropsUnknown: Client = ({ role, content, tool_calls }) => ({
  role,
  content: content ?? null,
  ...(tool_calls && {
    tool_calls: tool_calls.map(({ id, type, function: made }) => ({
      ...(id !== undefined && { id }),
      ...(type !== undefined && { type }),
      function: { name: made?.name ?? "", arguments: JSON.stringify(JSON.parse(String(made?.arguments)), null, 1) },
    })),
  }),
});

/** The message as the router renders it. */
function rendered(events: ChatEvent[]): ChatMessage {
  const head = { createdS: 0, model: MODEL, includeUsage: false, usageExtras: () => undefined };
  const body = openaiChatInbound.renderBody(fold(events), head) as { choices: { message: ChatMessage }[] };
  return body.choices[0]!.message;
}

const call = (id: string | undefined, args: JsonObject, thoughtSignature?: string) => ({
  functionCall: { ...(id !== undefined && { id }), name: "weather", args },
  ...(thoughtSignature !== undefined && { thoughtSignature }),
});

/** Two steps with calls, the first in parallel; Gemini signs the first call of each. */
const steps = [
  [{ text: "Let me see." }, call("fc1", { city: "SF", unit: "C" }, "U0lH/+=="), call("fc2", { city: "NY" })],
  [call("fc3", {}, "Wm9l")],
];

interface Conversation {
  body: ChatBody;
  store: Memory;
}

/** Runs the agent; the conversation holds everything the client would send next. */
function converse(answers: JsonObject[][], client: Client, tools: JsonObject[], isStream: boolean): Conversation {
  const store = memory();
  const body: ChatBody = { model: MODEL, messages: [ask], tools: tools as ChatBody["tools"] & object };
  for (const parts of answers) {
    const asked = callOf(body, { stream: isStream, recall: store.recall });
    const payload = (some: JsonObject[], finish: JsonObject) => ({
      candidates: [{ content: { parts: some }, ...finish }],
    });
    const stop = { finishReason: "STOP" };
    const events = isStream
      ? decodeText(sseOf([...parts.map((part) => payload([part], {})), payload([{ text: "" }], stop)]), asked)
      : googleGenerate.decodeBody(payload(parts, stop), asked);
    store.observe(events);
    const answer = client(rendered(events));
    const results = (answer.tool_calls ?? []).map(
      ({ id }): ChatMessage => ({ role: "tool", tool_call_id: id ?? "", content: "ok" }),
    );
    body.messages = [...body.messages, answer, ...results];
  }
  return { body, store };
}

function modelParts({ body, store }: Conversation, recall = store.recall): JsonObject[][] {
  const { contents } = wireBody(body, { recall }) as { contents: { role: string; parts: JsonObject[] }[] };
  return contents.filter(({ role }) => role === "model").map(({ parts }) => parts);
}

const SENTINEL = "skip_thought_signature_validator";

describe.each([
  ["a client that keeps every field", keepsAll],
  ["a client that drops the fields it does not know", dropsUnknown],
])("%s", (_, client) => {
  test.each([
    ["buffered", false],
    ["streamed", true],
  ])("returns every signature unchanged on the part it came with (%s)", (_, isStream) => {
    expect(modelParts(converse(steps, client, [weather], isStream))).toEqual(steps);
  });
});

test("without the store, a client that drops fields gets the stand-in on the first call of each step", () => {
  const conversation = converse(steps, dropsUnknown, [weather], false);
  const signatures = modelParts(conversation, () => undefined).map((parts) =>
    parts.map((part) => part.thoughtSignature),
  );
  expect(signatures).toEqual([[undefined, SENTINEL, undefined], [SENTINEL]]);
});

test("what the client sends goes before what the store holds", () => {
  const { body, store } = converse(steps.slice(1), keepsAll, [weather], false);
  const [made] = body.messages[1]?.tool_calls ?? [];
  made!.extra_content = { google: { thought_signature: "T1RIRVI=" } };
  expect(modelParts({ body, store })).toMatchObject([[{ thoughtSignature: "T1RIRVI=" }]]);
});

test("an id that comes back with another call gets nothing from the store", () => {
  const { body, store } = converse(steps.slice(1), dropsUnknown, [weather], false);
  body.messages[1]!.tool_calls![0]!.function!.arguments = '{"city":"LA"}';
  expect(modelParts({ body, store })).toMatchObject([[{ thoughtSignature: SENTINEL }]]);
});

test("a call without an id of its own is kept under the one the caller was given", () => {
  const conversation = converse([[call(undefined, { a: 1 }, "U0lH")]], dropsUnknown, [weather], false);
  expect(conversation.store.keys()).toEqual([conversation.body.messages[1]?.tool_calls?.[0]?.id]);
  expect(modelParts(conversation)).toMatchObject([[{ thoughtSignature: "U0lH" }]]);
});

describe("Google's own tools beside functions", () => {
  const tools = [weather, { type: "google_search" }];
  const answer = [
    { toolCall: { id: "s1", toolType: "GOOGLE_SEARCH_WEB", args: { queries: ["q"] } }, thoughtSignature: "UzE=" },
    { toolResponse: { id: "s1", toolType: "GOOGLE_SEARCH_WEB", response: { a: [1] } }, thoughtSignature: "UzI=" },
    { text: "hm", thought: true },
    { text: "So." },
    call("fc1", { city: "SF" }, "UzM="),
  ];
  const sentBack = answer.filter((part) => !("thought" in part));

  test("are offered where the model allows both, and their parts are asked for", () => {
    expect(wireBody({ model: MODEL, messages: [ask], tools })).toMatchObject({
      tools: [{ functionDeclarations: [{ name: "weather" }] }, { googleSearch: {} }],
      toolConfig: { functionCallingConfig: { mode: "VALIDATED" }, includeServerSideToolInvocations: true },
    });
    expect(
      encodeBody({
        model: "gemini-2.5-flash",
        messages: [ask],
        google: { tools: [{ google_search: {} }] },
        tools: [weather],
      }),
    ).toMatchObject({
      kind: "refusal",
      error: { code: "unsupported_tool" },
    });
  });

  test.each([
    ["buffered", false],
    ["streamed", true],
  ])("their calls and results go back word for word (%s)", (_, isStream) => {
    expect(modelParts(converse([answer], dropsUnknown, tools, isStream))).toEqual([sentBack]);
  });

  test("a message whose text was changed goes back as it now is", () => {
    const { body, store } = converse([answer], dropsUnknown, tools, false);
    body.messages[1]!.content = "Well.";
    expect(modelParts({ body, store })).toEqual([[{ text: "Well." }, call("fc1", { city: "SF" }, "UzM=")]]);
  });

  test("an answer too large to keep keeps its signature", () => {
    const large = { toolResponse: { id: "s1", response: { page: "x".repeat(70_000) } } };
    const conversation = converse([[large, call("fc1", {}, "UzM=")]], dropsUnknown, tools, false);
    expect(modelParts(conversation)).toEqual([[call("fc1", {}, "UzM=")]]);
  });

  test("without functions nothing is kept", () => {
    expect(converse([answer.slice(0, 4)], dropsUnknown, [{ type: "google_search" }], false).store.keys()).toEqual([]);
  });
});
