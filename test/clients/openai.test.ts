// What only the official SDK does: its helpers, its error classes, its retries and clocks, in front of every family.
import OpenAI, {
  APIConnectionTimeoutError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from "openai";
import { ContentFilterFinishReasonError, LengthFinishReasonError } from "openai/error";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { describe, expect, test } from "vitest";
import { startTestRouter } from "../support/router.ts";
import { booked, CITY, expectCancelled, FAMILIES, PIXEL, RECIPE } from "./client.ts";
import { connect } from "./openai-sdk.ts";
import { shareRouter } from "./shared-router.ts";

const hello = [{ role: "user" as const, content: "Hello there" }];

describe.each(FAMILIES)("the openai SDK in front of a model of $family", ({ model, provider }) => {
  const shared = shareRouter();

  test("answers with its request id, the model and who answered", async () => {
    const { openai, ledger } = shared();
    const call = openai.chat.completions.create({ model, messages: hello });
    const { data, response, request_id } = await call.withResponse();
    expect(request_id).toMatch(/^req_/);
    expect(data.model).toBe(model);
    expect(response.headers.get("x-signalbox-provider")).toBe(provider);
    const { requests } = await ledger();
    expect(requests.map((row) => row.request_id)).toEqual([request_id]);
  });

  test("finds the model in its list of models", async () => {
    const { openai } = shared();
    const ids: string[] = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    const listed = ids.find((id) => id.endsWith(model)) ?? "";
    expect(await openai.models.retrieve(listed)).toMatchObject({ id: listed, object: "model" });
  });

  test("sees every event of its stream helper, once, in order, with snapshots that add up", async () => {
    const { openai, simulator } = shared();
    simulator.setScript(() => ({ text: "One two three four five six seven.", reasoningTokens: 0 }));
    const events: string[] = [];
    const note = (name: string) => events.at(-1) === name || events.push(name);
    const stream = openai.chat.completions.stream({ model, messages: hello, stream_options: { include_usage: true } });
    let text = "";
    stream.on("connect", () => note("connect"));
    stream.on("content", (delta, snapshot) => {
      text += delta;
      expect(snapshot).toBe(text);
      note("content");
    });
    stream.on("content.done", ({ content }) => note(`content.done ${content}`));
    stream.on("chatCompletion", () => note("chatCompletion"));
    stream.on("finalContent", (content) => note(`finalContent ${content}`));
    stream.on("totalUsage", ({ total_tokens }) => note(`totalUsage ${total_tokens > 0}`));
    stream.on("end", () => note("end"));
    await stream.done();
    expect(events).toEqual([
      "connect",
      "content",
      "content.done One two three four five six seven.",
      "chatCompletion",
      "finalContent One two three four five six seven.",
      "totalUsage true",
      "end",
    ]);
  });

  test("sees the arguments of a call grow and end parsed", async () => {
    const { openai } = shared();
    const tools = [zodFunction({ name: "get_weather", parameters: CITY })];
    const stream = openai.chat.completions.stream({ model, messages: hello, tools });
    let text = "";
    stream.on("tool_calls.function.arguments.delta", (event) => {
      text += event.arguments_delta;
      expect(event).toMatchObject({ name: "get_weather", index: 0, arguments: text });
    });
    const done: unknown[] = [];
    stream.on("tool_calls.function.arguments.done", ({ parsed_arguments }) => done.push(parsed_arguments));
    const message = await stream.finalMessage();
    expect(done).toEqual([{ city: "Oslo" }]);
    expect(JSON.parse(text)).toEqual({ city: "Oslo" });
    expect(message.tool_calls).toMatchObject([{ type: "function", function: { arguments: text } }]);
    expect((await stream.finalChatCompletion()).choices[0]?.finish_reason).toBe("tool_calls");
  });

  test("is told by parse that an answer was cut, or filtered, instead of being given half an object", async () => {
    const { openai, simulator } = shared();
    const ask = { model, messages: hello, response_format: zodResponseFormat(RECIPE, "recipe") };
    simulator.setScript(() => ({ finish: "length", text: '{"title":"Sou', reasoningTokens: 0 }));
    await expect(openai.chat.completions.parse(ask)).rejects.toThrow(LengthFinishReasonError);
    simulator.setScript(() => ({ finish: "filter", text: '{"title":"Sou', reasoningTokens: 0 }));
    await expect(openai.chat.completions.parse(ask)).rejects.toThrow(ContentFilterFinishReasonError);
  });

  test("gets as many answers as it asks for with n, or hears that the model gives one", async () => {
    const { openai, ledger } = shared();
    const call = openai.chat.completions.create({ model, messages: hello, n: 2 });
    if (provider === "openai") {
      const { choices, usage } = await call;
      expect(choices.map(({ index }) => index)).toEqual([0, 1]);
      expect(choices[1]?.message.content).toContain("(number 2)");
      expect({ input: usage?.prompt_tokens, output: usage?.completion_tokens }).toEqual(booked(await ledger()));
    } else {
      await expect(call).rejects.toThrow(BadRequestError);
      await expect(call).rejects.toMatchObject({ status: 400, param: "n", type: "invalid_request_error" });
    }
  });

  test("is told how much was thought with reasoning_effort, and by others than OpenAI what", async () => {
    const { openai, ledger } = shared();
    const ask = { model, messages: hello, reasoning_effort: "high" as const, max_completion_tokens: 500 };
    const answer = await openai.chat.completions.create(ask);
    const thought = answer.usage?.completion_tokens_details?.reasoning_tokens;
    expect(thought).toBe(16);
    const message = answer.choices[0]?.message as { reasoning_content?: string } | undefined;
    if (provider === "openai") expect(message).not.toHaveProperty("reasoning_content");
    else expect(message?.reasoning_content).toMatch(/^The simulator thinks/);
    const { attempts } = await ledger();
    expect(attempts[0]).toMatchObject({ reasoning_tokens: 16, output_tokens: answer.usage?.completion_tokens });
  });

  test("can stop at a sequence, and never sees it", async () => {
    const { openai, simulator } = shared();
    simulator.setScript(() => ({ text: "before END after" }));
    const answer = await openai.chat.completions.create({ model, messages: hello, stop: ["END"] });
    expect(answer.choices[0]?.message.content?.trim()).toBe("before");
    expect(answer.choices[0]?.finish_reason).toBe("stop");
  });

  test("can show several pictures in one message, in order", async () => {
    const { openai, simulator } = shared();
    const image = { type: "image_url" as const, image_url: { url: PIXEL, detail: "low" as const } };
    const content = [
      { type: "text" as const, text: "Compare:" },
      image,
      { type: "text" as const, text: "with" },
      image,
    ];
    const answer = await openai.chat.completions.create({ model, messages: [{ role: "user", content }] });
    expect(answer.choices[0]?.message.content).toContain("Compare:");
    const sent = JSON.stringify(simulator.requests[0]?.body);
    expect(sent).toMatch(/Compare:.*iVBORw0KGgo.*with.*iVBORw0KGgo/);
  });

  test("gives up at its timeout, and the provider's call is ended and booked as cancelled", async () => {
    const router = shared();
    router.simulator.setScript(() => ({ hang: "headers" }));
    const impatient = connect(router.baseURL, { timeout: 200 });
    await expect(impatient.chat.completions.create({ model, messages: hello })).rejects.toThrow(
      APIConnectionTimeoutError,
    );
    await expectCancelled(router);
  });

  test("can abort a call that has not answered yet", async () => {
    const router = shared();
    const abort = new AbortController();
    router.simulator.setScript(() => {
      // The provider has the request in its hands now.
      setImmediate(() => abort.abort());
      return { hang: "headers" };
    });
    const call = router.openai.chat.completions.create({ model, messages: hello }, { signal: abort.signal });
    await expect(call).rejects.toThrow(APIUserAbortError);
    await expectCancelled(router);
  });

  test("can abort its stream helper, which then says that it was aborted", async () => {
    const router = shared();
    router.simulator.setScript(() => ({ tokensPerSecond: 200, tokens: 20_000 }));
    const stream = router.openai.chat.completions.stream({ model, messages: hello });
    stream.once("chunk", () => stream.abort());
    await expect(stream.finalChatCompletion()).rejects.toThrow(APIUserAbortError);
    expect(stream.aborted).toBe(true);
    await expectCancelled(router);
  });

  test("can run tools through three rounds, streaming, and its total usage is what was booked", async () => {
    const { openai, simulator, ledger } = shared();
    simulator.setScript(() => (simulator.requests.length < 3 ? { finish: "tool" } : undefined));
    const seen: unknown[] = [];
    const runner = openai.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: "Find out" }],
      stream: true,
      stream_options: { include_usage: true },
      tools: [
        zodFunction({
          name: "look_up",
          parameters: CITY,
          function: ({ city }) => ({ city, degrees: 7 }),
        }),
      ],
    });
    runner.on("functionToolCallResult", (result) => seen.push(JSON.parse(result)));
    expect(await runner.finalContent()).toContain('{"city":"Oslo","degrees":7}'.slice(0, 20));
    expect(seen).toEqual(Array(2).fill({ city: "Oslo", degrees: 7 }));
    expect(runner.messages.map(({ role }) => role)).toEqual([
      "user",
      ...Array(2).fill(["assistant", "tool"]).flat(),
      "assistant",
    ]);
    const { prompt_tokens, completion_tokens } = await runner.totalUsage();
    expect({ input: prompt_tokens, output: completion_tokens }).toEqual(booked(await ledger()));
  });
});

describe("errors of the openai SDK", () => {
  const shared = shareRouter();
  type Ask = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>;
  const MISTAKES: { name: string; ask: Ask; raises: typeof BadRequestError | typeof NotFoundError; is: object }[] = [
    {
      name: "a temperature of 3",
      ask: { temperature: 3 },
      raises: BadRequestError,
      is: { status: 400, param: "temperature", code: "decimal_above_max_value", type: "invalid_request_error" },
    },
    {
      name: "no messages",
      ask: { messages: [] },
      raises: BadRequestError,
      is: { status: 400, param: "messages", code: "empty_array" },
    },
    {
      name: "a role there is not",
      ask: { messages: [{ role: "robot" as "user", content: "Hi" }] },
      raises: BadRequestError,
      is: { status: 400, param: "messages[0].role", code: "invalid_value" },
    },
    {
      name: "a model nobody has",
      ask: { model: "gpt-6-lunar" },
      raises: NotFoundError,
      is: { status: 404, code: "model_not_found" },
    },
  ];
  test.each(MISTAKES)("$name is raised with status, param and code", async ({ ask, raises, is }) => {
    const { openai } = shared();
    const error = await openai.chat.completions.create({ model: "gpt-6-luna", messages: hello, ...ask }).then(
      () => expect.unreachable("answered"),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(raises);
    expect(error).toMatchObject({ ...is, requestID: expect.stringMatching(/^req_/) });
  });

  test("a wrong key is an AuthenticationError, the right one works", async () => {
    const router = await startTestRouter({ env: { SIGNALBOX_API_KEY: "sk-house" } });
    const ask = { model: "gpt-6-luna", messages: hello };
    await expect(router.openai.chat.completions.create(ask)).rejects.toThrow(AuthenticationError);
    const known = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: "sk-house" });
    expect((await known.chat.completions.create(ask)).choices).toHaveLength(1);
  });

  test("a base URL without /v1 is answered with what is missing", async () => {
    const ask = connect(shared().baseURL.replace("/v1", "")).chat.completions.create({
      model: "gpt-6-luna",
      messages: hello,
    });
    await expect(ask).rejects.toThrow("An OpenAI SDK needs a baseURL that ends in /v1.");
  });
});

describe("retries of the openai SDK", () => {
  const rules = `
version: 1
rules:
  - name: two sources
    model: house
    from: [openai/gpt-6-luna]
    fallback: [anthropic/claude-haiku-5-5]
`;

  test("are not made after the router has tried several providers", async () => {
    const router = await startTestRouter({ rules });
    router.simulator.setScript(({ provider }) => ({ status: provider === "openai" ? 500 : 429 }));
    const eager = connect(`${router.url}/v1`, { maxRetries: 3 });
    await expect(eager.chat.completions.create({ model: "house", messages: hello })).rejects.toThrow(RateLimitError);
    expect((await router.ledger()).requests).toHaveLength(1);
  });

  test.each(FAMILIES)(
    "are made after the wait that $family asks for, when that is too long for the router",
    async (at) => {
      const target = `${at.provider}/${at.model}`;
      const one = `version: 1\nrules: [{ name: one, model: house, from: [${target}], timeouts: { total: 1s } }]\n`;
      const router = await startTestRouter({ rules: one });
      router.simulator.setScript(({ serial }) => (serial === 1 ? { status: 429, retryAfterS: 1 } : undefined));
      const eager = connect(`${router.url}/v1`, { maxRetries: 1 });
      const answer = await eager.chat.completions.create({ model: "house", messages: hello });
      expect(answer.choices[0]?.message.content).toContain("Hello there");
      const { requests } = await router.ledger();
      const [first, second] = requests.map((row) => row.received_at_ms as number);
      expect(requests.map((row) => row.status)).toEqual([429, 200]);
      expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(1_000);
    },
  );

  test("are not made for mistakes of the request", async () => {
    const router = await startTestRouter();
    router.simulator.setScript(() => ({ status: 400 }));
    const eager = connect(`${router.url}/v1`, { maxRetries: 3 });
    const ask = eager.chat.completions.create({ model: "claude-haiku-5-5", messages: hello });
    await expect(ask).rejects.toThrow(BadRequestError);
    expect(router.simulator.requests).toHaveLength(1);
  });

  test("are not made when the router's own key or account is what fails", async () => {
    const router = await startTestRouter();
    router.simulator.setScript(() => ({ status: 403 }));
    const eager = connect(`${router.url}/v1`, { maxRetries: 1 });
    const ask = eager.chat.completions.create({ model: "gpt-6-luna", messages: hello });
    await expect(ask).rejects.toThrow(InternalServerError);
    expect(router.simulator.requests).toHaveLength(1);
  });
});
