// Conversations: what is said reaches the model in its own form, and what it says comes back as OpenAI's clients expect.
import { expect } from "vitest";
import type { JsonObject } from "../../src/chat.ts";
import { readArrived, type Turn } from "./arrived.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Scene } from "./harness.ts";

export const user = (content: unknown): JsonObject => ({ role: "user", content });
export const HELLO = [user("Hello there")];

export const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
export const TIME = {
  type: "function",
  function: {
    name: "get_time",
    description: "The time",
    parameters: { type: "object", properties: { zone: { type: "string" } } },
  },
};

/** One pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export function arrivedIn(scene: Scene): ReturnType<typeof readArrived> {
  return readArrived(scene.member.provider.dialect.id, scene.latest);
}

const spoken = (role: Turn["role"], text: string): Turn => ({ role, text, calls: [] });

export const CONVERSATIONS: Behaviour[] = [
  {
    column: "text",
    title: "a question is answered with text, a finish reason and usage",
    async run(scene) {
      const answer = await scene.ask({ messages: HELLO });
      expect(answer.text).toContain("Hello there");
      expect(answer).toMatchObject({ finish: "stop", calls: [], warnings: [] });
      expect(answer.usage?.prompt).toBeGreaterThan(0);
      expect(answer.usage?.completion).toBeGreaterThan(0);
      expect(arrivedIn(scene).turns).toEqual([spoken("user", "Hello there")]);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "text",
    title: "the key travels in one header, and the router names itself",
    async run(scene) {
      await scene.ask({ messages: HELLO });
      expect(JSON.stringify(scene.requests)).not.toContain("sk-test-");
      expect(scene.requests[0]?.headers["user-agent"]).toBe("signalbox");
    },
  },
  {
    column: "system prompt",
    title: "a system prompt arrives as one",
    async run(scene) {
      await scene.ask({ messages: [{ role: "system", content: "Be brief." }, ...HELLO] });
      expect(arrivedIn(scene)).toMatchObject({ system: "Be brief.", turns: [spoken("user", "Hello there")] });
    },
  },
  {
    column: "system prompt",
    title: "a developer message arrives as a system prompt",
    async run(scene) {
      await scene.ask({ messages: [{ role: "developer", content: "Be brief." }, ...HELLO] });
      expect(arrivedIn(scene).system).toBe("Be brief.");
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "system prompt",
    title: "a system message in mid-conversation is not lost",
    async run(scene) {
      const messages = [
        user("One"),
        { role: "assistant", content: "Two" },
        { role: "system", content: "Rhyme." },
        user("Three"),
      ];
      const answer = await scene.ask({ messages });
      expect(answer.text).toContain("Three");
      expect(JSON.stringify(scene.arrived)).toContain("Rhyme.");
    },
  },
  {
    column: "multi-turn",
    title: "a conversation arrives turn by turn, content arrays included",
    async run(scene) {
      const parts = [
        { type: "text", text: "Three" },
        { type: "text", text: "Four" },
      ];
      await scene.ask({ messages: [user("One"), { role: "assistant", content: "Two" }, user(parts)] });
      const { turns } = arrivedIn(scene);
      expect(turns).toEqual([spoken("user", "One"), spoken("assistant", "Two"), spoken("user", "Three\nFour")]);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "multi-turn",
    title: "two messages of the user in a row reach the model",
    async run(scene) {
      await scene.ask({ messages: [user("One"), user("Two")] });
      const said = arrivedIn(scene).turns.map(({ text }) => text);
      expect(said.join("\n\n").replaceAll(/\n+/g, " ")).toBe("One Two");
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "stream",
    title: "a stream tells the same text as a plain call, one finish reason, and [DONE]",
    async run(scene) {
      const whole = await scene.ask({ messages: HELLO });
      const streamed = await scene.stream({ messages: HELLO });
      expect(streamed).toMatchObject({ text: whole.text, finish: "stop", isDone: true, warnings: [] });
      expect(streamed.error).toBeUndefined();
    },
  },
  {
    column: "stream",
    title: "the usage chunk comes to those who ask, and to nobody else",
    async run(scene) {
      const asked = await scene.stream({ messages: HELLO, stream_options: { include_usage: true } });
      expect(asked.usage?.completion).toBeGreaterThan(0);
      const unasked = await scene.post({ messages: HELLO, stream: true });
      const chunks = (await unasked.text()).split("\n\n").filter((line) => line.startsWith("data: {"));
      const lone = chunks.filter((line) => /"choices":\s*\[\]/.test(line) && /"usage":\s*\{/.test(line));
      expect(lone).toEqual([]);
    },
  },
  {
    column: "tools",
    title: "a tool is called, whole and streamed",
    async run(scene) {
      for (const how of ["ask", "stream"] as const) {
        const answer = await scene[how]({ messages: HELLO, tools: [WEATHER] });
        expect(answer.finish).toBe("tool_calls");
        expect(answer.calls).toEqual([{ id: expect.any(String), name: "get_weather", arguments: { city: "example" } }]);
        expect(arrivedIn(scene).tools).toEqual(["get_weather"]);
      }
      expect(scene.requests).toHaveLength(2);
    },
  },
  {
    column: "tools",
    title: "a tool without parameters is called with none",
    async run(scene) {
      const bare = { type: "function", function: { name: "get_news" } };
      const { calls } = await scene.ask({ messages: HELLO, tools: [bare] });
      expect(calls).toEqual([{ id: expect.any(String), name: "get_news", arguments: {} }]);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "parallel tools",
    title: "two tools are called at once, whole and streamed, under ids of their own",
    async run(scene) {
      const messages = [user("Do it in parallel")];
      for (const how of ["ask", "stream"] as const) {
        const { calls, finish } = await scene[how]({ messages, tools: [WEATHER, TIME] });
        expect(finish).toBe("tool_calls");
        expect(calls.map(({ name }) => name)).toEqual(["get_weather", "get_time"]);
        expect(calls.map((call) => call.arguments)).toEqual([{ city: "example" }, { zone: "example" }]);
        expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
      }
    },
  },
  {
    column: "tool choice",
    title: "a tool the caller insists on is called, and the others are not",
    async run(scene) {
      const tools = [WEATHER, TIME];
      const named = { type: "function", function: { name: "get_time" } };
      const answer = await scene.ask({ messages: HELLO, tools, tool_choice: named });
      expect(answer.calls.map(({ name }) => name)).toEqual(["get_time"]);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "tool choice",
    title: "with `none` no tool is called",
    async run(scene) {
      const answer = await scene.ask({ messages: HELLO, tools: [WEATHER], tool_choice: "none" });
      expect(answer).toMatchObject({ finish: "stop", calls: [] });
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "tool choice",
    title: "with `required` some tool is called",
    async run(scene) {
      const answer = await scene.ask({ messages: HELLO, tools: [WEATHER], tool_choice: "required" });
      expect(answer.calls).toHaveLength(1);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "tool loop",
    title: "a loop of two turns works, with the answers sent back as they came",
    run: (scene) => toolLoop(scene, scene.member.model),
  },
  {
    column: "tool loop",
    title: "a model that thinks goes through the same loop",
    run: (scene) => toolLoop(scene, scene.member.thinker, { reasoning_effort: "high" }),
  },
  {
    column: "tool loop",
    title: "a client that keeps nothing but text and calls gets through the loop as well",
    async run(scene) {
      const model = scene.member.thinker;
      const asked = { model, tools: [WEATHER], reasoning_effort: "high" };
      const first = await scene.ask({ ...asked, messages: HELLO });
      const { role, content, tool_calls: calls } = first.message;
      const messages = [...HELLO, { role, content, tool_calls: calls }, result(first.calls[0]?.id, "rain")];
      const second = await scene.ask({ ...asked, messages });
      expect(second.text).toContain("rain");
      expect(scene.requests).toHaveLength(2);
    },
  },
  {
    column: "tool loop",
    title: "arguments in the history that are no JSON break nothing",
    async run(scene) {
      const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Os' } };
      const messages = [
        ...HELLO,
        { role: "assistant", content: null, tool_calls: [call] },
        result("call_1", "no such city"),
      ];
      const answer = await scene.ask({ messages, tools: [WEATHER] });
      expect(answer.text).toContain("no such city");
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "images",
    title: "an image as a data URL arrives",
    async run(scene) {
      const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
      const messages = [user([{ type: "text", text: "What is this?" }, image])];
      const answer = await scene.ask({ model: scene.member.eyes, messages });
      expect(answer.text).toContain("What is this?");
      expect(arrivedIn(scene).images.map((url) => url.replace(/^data:image\/png;base64,/, ""))).toEqual([PNG]);
      expect(scene.requests).toHaveLength(1);
    },
  },
];

function result(id: string | undefined, content: string): JsonObject {
  return { role: "tool", tool_call_id: id, content };
}

async function toolLoop(scene: Scene, model: string, more: JsonObject = {}): Promise<void> {
  const tools = [WEATHER];
  const messages: JsonObject[] = [user("Weather in Oslo?")];
  for (const turn of [1, 2]) {
    const called = await scene.stream({ model, messages, tools, ...more });
    expect(called.calls.map(({ name }) => name)).toEqual(["get_weather"]);
    messages.push(called.message, result(called.calls[0]?.id, `rain, round ${turn}`));
    const told = await scene.ask({ model, messages, tools, ...more });
    expect(told.text).toContain(`rain, round ${turn}`);
    messages.push(told.message, user("And tomorrow?"));
  }
  const { turns } = arrivedIn(scene);
  const seen = turns.map(({ role, calls }) => (calls.length > 0 ? "call" : role));
  expect(seen).toEqual(["user", "call", "tool", "assistant", "user", "call", "tool"]);
  // Nothing had to be tried twice.
  expect(scene.requests).toHaveLength(4);
}
