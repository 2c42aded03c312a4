// Wishes beyond the conversation: formats, thinking, bounds, and what happens to those a provider cannot grant.
import { expect } from "vitest";
import type { JsonObject } from "../../src/chat.ts";
import type { FieldClass } from "../../src/dialect.ts";
import type { Behaviour } from "./behaviour.ts";
import { arrivedIn, HELLO, user, WEATHER } from "./conversations.ts";
import type { Scene } from "./harness.ts";

const TRIP = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

/** A value for every field that a provider may not take, none of them a default. */
const VALUES: JsonObject = {
  frequency_penalty: 0.5,
  logit_bias: { "50256": -100 },
  metadata: { ticket: "7" },
  moderation: { model: "some-model" },
  n: 2,
  prediction: { type: "content", content: "so" },
  presence_penalty: 0.5,
  prompt_cache_key: "k",
  prompt_cache_retention: "24h",
  safety_identifier: "person",
  seed: 7,
  service_tier: "flex",
  stop: ["END"],
  store: true,
  user: "person",
  verbosity: "low",
  web_search_options: {},
};

/** Under which names fields may arrive. */
const NAMES: Record<string, readonly string[]> = {
  temperature: ["temperature"],
  top_p: ["top_p", "topP", "p"],
  presence_penalty: ["presence_penalty", "presencePenalty"],
  frequency_penalty: ["frequency_penalty", "frequencyPenalty"],
  stop: ["stop", "stop_sequences", "stopSequences"],
};

/** Fields of a class among those above. */
function fieldsOf({ member }: Scene, wanted: FieldClass["class"]): string[] {
  const fields = member.provider.dialect.fields ?? {};
  return Object.keys(VALUES).filter((field) => fields[field]?.class === wanted && !isEmpty(VALUES[field]));
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

const pick = (fields: string[]): JsonObject => Object.fromEntries(fields.map((field) => [field, VALUES[field]]));

export const WISHES: Behaviour[] = [
  {
    column: "JSON schema",
    title: "an answer with a JSON schema fits it",
    async run(scene) {
      const format = { type: "json_schema", json_schema: { name: "trip", schema: TRIP, strict: true } };
      const answer = await scene.ask({ messages: [user("Plan a trip, as JSON")], response_format: format });
      expect(JSON.stringify(scene.arrived)).toContain("days");
      // Where a schema can only be asked for in words, the simulator answers with some object.
      const isAsked = answer.warnings.some((warning) => warning.startsWith("downgraded:response_format"));
      expect(JSON.parse(answer.text)).toEqual(isAsked ? expect.any(Object) : { city: "example", days: 1 });
    },
  },
  {
    column: "JSON object",
    title: "JSON mode gives an object",
    async run(scene) {
      const messages = [user("Answer in JSON, please")];
      const answer = await scene.ask({ messages, response_format: { type: "json_object" } });
      // Where it can only be asked for in words, the simulator does not listen.
      if (!answer.warnings.includes("emulated:response_format")) {
        expect(JSON.parse(answer.text)).toEqual(expect.any(Object));
      }
      expect(JSON.stringify(scene.arrived)).toMatch(/json/i);
    },
  },
  {
    column: "reasoning effort",
    title: "a model told to think does, and shows it where it can",
    async run(scene) {
      const { thinker, showsThoughts } = scene.member;
      const asked = { model: thinker, messages: HELLO, reasoning_effort: "high" };
      const whole = await scene.ask(asked);
      const streamed = await scene.stream({ ...asked, stream_options: { include_usage: true } });
      for (const { text, reasoning, usage } of [whole, streamed]) {
        expect(text).toMatch(/^This is a simulated answer/);
        expect(reasoning).toMatch(showsThoughts ? /^The simulator thinks/ : /^$/);
        expect(usage?.completion).toBeGreaterThan(usage?.reasoning ?? 0);
      }
      if (scene.member.countsThoughts) expect(whole.usage?.reasoning).toBeGreaterThan(0);
      expect(scene.requests).toHaveLength(2);
    },
  },
  {
    column: "stop",
    title: "a stop sequence ends the answer",
    async run(scene) {
      const answer = await scene.ask({ messages: HELLO, stop: ["answer"] });
      expect(answer).toMatchObject({ text: "This is a simulated ", finish: "stop", warnings: [] });
      expect(arrivedIn(scene).stop).toEqual(["answer"]);
    },
  },
  {
    column: "length",
    title: "the bound of the answer arrives under the provider's name for it, and cuts the answer",
    async run(scene) {
      for (const field of ["max_tokens", "max_completion_tokens"]) {
        const answer = await scene.ask({ messages: HELLO, [field]: 20 });
        expect(answer).toMatchObject({ finish: "length", usage: { completion: expect.any(Number) } });
        expect(answer.usage?.completion).toBeLessThanOrEqual(20);
        expect(arrivedIn(scene).limit).toBe(20);
      }
      expect(scene.requests).toHaveLength(2);
    },
  },
  {
    column: "dropped fields",
    title: "what the provider does not take is left out and reported",
    async run(scene) {
      const fields = fieldsOf(scene, "dropped");
      const answer = await scene.ask({ messages: HELLO, ...pick(fields) });
      expect(answer.warnings.sort()).toEqual(fields.map((field) => `dropped:${field}`).sort());
      for (const field of fields) expect(JSON.stringify(scene.arrived)).not.toContain(`"${field}"`);
    },
  },
  {
    column: "dropped fields",
    title: "a strict caller is told what would be left out, and nothing is sent",
    async run(scene) {
      for (const field of fieldsOf(scene, "dropped")) {
        const headers = { "x-signalbox-strict": "true" };
        const { status, error } = await scene.fail({ messages: HELLO, ...pick([field]) }, { headers });
        expect({ status, param: error.param }).toEqual({ status: 400, param: field });
        expect(error.code).toMatch(/^unsupported_/);
      }
      expect(scene.requests).toHaveLength(0);
    },
  },
  {
    column: "dropped fields",
    title: "fields that cannot change the answer go without a word",
    async run(scene) {
      const answer = await scene.ask({ messages: HELLO, ...pick(fieldsOf(scene, "silent")) });
      expect(answer.warnings).toEqual([]);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "dropped fields",
    title: "what cannot be left out without changing the form of the answer is refused",
    async run(scene) {
      for (const field of fieldsOf(scene, "refused")) {
        const { status, error } = await scene.fail({ messages: HELLO, ...pick([field]) });
        expect({ status, param: error.param }).toEqual({ status: 400, param: field });
      }
      expect(scene.requests).toHaveLength(0);
    },
  },
  {
    column: "dropped fields",
    title: "fields at OpenAI's default and nulls are no reason for a report",
    async run(scene) {
      const defaults = {
        n: 1,
        frequency_penalty: 0,
        presence_penalty: 0,
        logprobs: false,
        store: false,
        stop: null,
        seed: null,
      };
      const answer = await scene.ask({
        messages: HELLO,
        ...defaults,
        logit_bias: null,
        tools: null,
        temperature: 1,
        top_p: 1,
      });
      expect(answer.warnings).toEqual([]);
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "dropped fields",
    title: "a field that everybody takes arrives",
    async run(scene) {
      await scene.ask({ model: scene.member.sampler, messages: HELLO, temperature: 0.5 });
      expect(JSON.stringify(scene.arrived)).toContain('"temperature":0.5');
    },
  },
  {
    column: "dropped fields",
    title: "what a thinking model does not take is left out and reported, at the first try",
    async run(scene) {
      const wishes = { temperature: 0.5, top_p: 0.9, presence_penalty: 0.5, frequency_penalty: 0.5, stop: ["@@"] };
      const answer = await scene.ask({
        model: scene.member.thinker,
        messages: HELLO,
        reasoning_effort: "high",
        ...wishes,
      });
      const arrived = JSON.stringify(scene.arrived);
      for (const field of Object.keys(wishes)) {
        const isThere = NAMES[field]?.some((name) => arrived.includes(`"${name}"`)) ?? false;
        const isReported = answer.warnings.some((warning) => warning.startsWith(`dropped:${field}`));
        expect({ field, isThere, isReported }).toEqual({ field, isThere: !isReported, isReported });
      }
    },
  },
  {
    column: "dropped fields",
    title: "every temperature OpenAI takes is taken, or brought within the provider's bounds",
    async run(scene) {
      for (const temperature of [0, 0.3, 2]) {
        await scene.ask({ model: scene.member.sampler, messages: HELLO, temperature });
      }
      expect(scene.requests).toHaveLength(3);
    },
  },
  {
    column: "dropped fields",
    title: "log-probabilities are told, or their absence is",
    async run(scene) {
      const response = await scene.post({ messages: HELLO, logprobs: true, top_logprobs: 2 });
      const told = response.headers.get("x-signalbox-warnings") ?? "";
      const body = (await response.json()) as JsonObject;
      if (response.status === 400) expect(body.error).toMatchObject({ param: "logprobs" });
      else if (!told.includes("dropped:logprobs")) expect(JSON.stringify(scene.arrived)).toMatch(/logprobs/i);
      expect([200, 400]).toContain(response.status);
      expect(scene.requests.length).toBe(response.status === 200 ? 1 : 0);
    },
  },
  {
    column: "dropped fields",
    title: "empty lists and members of messages that a provider does not know break nothing",
    async run(scene) {
      const messages = [
        { ...user("One"), name: "bob" },
        { role: "assistant", content: "Two", tool_calls: null, function_call: null, refusal: null },
        { ...user("Three"), name: "bob" },
      ];
      const answer = await scene.ask({ messages, tools: [], stop: [], logit_bias: {} });
      expect(answer.text).toContain("Three");
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "foreign history",
    title: "what other providers' answers left in the history breaks nothing",
    async run(scene) {
      const call = {
        id: "call_ABCDEFGHIJKLMNOPQRSTUVWX",
        type: "function",
        function: { name: "get_weather", arguments: '{"city":"Oslo"}' },
      };
      const extras = {
        refusal: null,
        audio: null,
        annotations: [
          {
            type: "url_citation",
            url_citation: { url: "https://example.com", title: "t", start_index: 0, end_index: 1 },
          },
        ],
        reasoning_content: "FOREIGN THOUGHT",
        reasoning: "FOREIGN THOUGHT",
        reasoning_details: [{ type: "reasoning.encrypted", data: "FOREIGN-SIGNATURE", format: "acme-v1", index: 0 }],
        parsed: null,
      };
      const messages = [
        user([{ type: "text", text: "Weather?", cache_control: { type: "ephemeral" } }]),
        {
          role: "assistant",
          content: "",
          ...extras,
          tool_calls: [{ ...call, index: 0, extra_content: { acme: { key: "FOREIGN-KEY" } } }],
        },
        { role: "tool", tool_call_id: call.id, content: "rain", name: "get_weather" },
        {
          role: "assistant",
          content: "It rains.",
          ...extras,
          content_blocks: [{ type: "text", text: "It rains." }],
          citations: [],
        },
        user("And now?"),
      ];
      const answer = await scene.ask({ messages, tools: [WEATHER] });
      expect(answer.calls.map(({ name }) => name)).toEqual(["get_weather"]);
      const arrived = JSON.stringify(scene.arrived);
      expect(arrived).toContain("It rains.");
      expect(arrived).not.toContain("FOREIGN-KEY");
      expect(arrived).not.toContain("content_blocks");
      expect(scene.requests).toHaveLength(1);
    },
  },
  {
    column: "foreign history",
    title: "a thinking model of this provider takes over a conversation from another one",
    async run(scene) {
      const call = {
        id: "toolu_01A09q90qw90lq917835lq9",
        type: "function",
        function: { name: "get_weather", arguments: "{}" },
      };
      const messages = [
        user("Weather?"),
        { role: "assistant", content: null, tool_calls: [call] },
        { role: "tool", tool_call_id: call.id, content: "rain" },
      ];
      const answer = await scene.ask({
        model: scene.member.thinker,
        messages,
        tools: [WEATHER],
        reasoning_effort: "high",
      });
      expect(answer.text).toContain("rain");
      expect(scene.requests).toHaveLength(1);
    },
  },
];
