// What only LangChain does: batches, message classes, raw and parsed output side by side, retries, in front of every family.
import { AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { ChatOpenAI } from "@langchain/openai";
import { BadRequestError } from "openai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { startTestRouter } from "../support/router.ts";
import { API_KEY, booked, CITY, expectCancelled, FAMILIES, ZONE } from "./client.ts";
import { connect, toTokens } from "./langchain.ts";
import { shareRouter } from "./shared-router.ts";

const TOOLS = [
  { name: "get_weather", description: "Weather of a city", schema: CITY },
  { name: "get_time", description: "Time in a zone", schema: ZONE },
];

describe.each(FAMILIES)("LangChain in front of a model of $family", (family) => {
  const shared = shareRouter();
  const start = () => ({ ...shared(), model: connect(shared().baseURL, family) });

  test("gets a batch answered in order, every answer with its own usage", async () => {
    const { model, ledger } = start();
    const answers = await model.batch(["one", "two", "three", "four"]);
    expect(answers.map(({ text }) => /You said: "(\w+)"/.exec(text)?.[1])).toEqual(["one", "two", "three", "four"]);
    const used = answers.map((answer) => toTokens(answer).input ?? 0);
    const rows = await ledger();
    expect(rows.requests).toHaveLength(4);
    expect(used.reduce((sum, tokens) => sum + tokens)).toBe(booked(rows).input);
  });

  test("gets a batch in which one fails without losing the others", async () => {
    const { model, simulator } = start();
    simulator.setScript(({ body }) => (JSON.stringify(body).includes("bad") ? { status: 400 } : undefined));
    const [good, bad] = await model.batch(["good", "bad"], {}, { returnExceptions: true });
    expect((good as AIMessageChunk).text).toContain("good");
    expect(bad).toBeInstanceOf(BadRequestError);
  });

  test("gets an AIMessage with id, model, finish reason and details of usage", async () => {
    const { model, simulator } = start();
    simulator.setScript(() => ({ reasoningTokens: 40, cachedTokens: 100 }));
    const message = await model.invoke([new SystemMessage("Be brief."), new HumanMessage("Hello there")]);
    expect(message).toBeInstanceOf(AIMessage);
    expect(message.id).toBeTruthy();
    expect(message.response_metadata).toMatchObject({ model_name: family.model, finish_reason: "stop" });
    expect(message.usage_metadata).toMatchObject({
      input_token_details: { cache_read: 100 },
      output_token_details: { reasoning: 40 },
    });
  });

  test("gets tool calls in pieces that join into whole calls, and answers them with ToolMessages", async () => {
    const { model } = start();
    const armed = model.bindTools(TOOLS);
    const question = new HumanMessage("Both in parallel, please");
    const chunks: AIMessageChunk[] = [];
    for await (const chunk of await armed.stream([question])) chunks.push(chunk);
    const pieces = chunks.flatMap(({ tool_call_chunks }) => tool_call_chunks ?? []);
    expect(new Set(pieces.map(({ index }) => index))).toEqual(new Set([0, 1]));
    expect(pieces.length).toBeGreaterThan(2);
    const whole = chunks.reduce((sum, chunk) => sum.concat(chunk));
    expect(whole).toBeInstanceOf(AIMessageChunk);
    expect(whole.invalid_tool_calls).toEqual([]);
    expect(whole.tool_calls).toMatchObject([
      { name: "get_weather", args: { city: "Oslo" }, id: expect.any(String) },
      { name: "get_time", args: { zone: "UTC", seconds: true }, id: expect.any(String) },
    ]);
    const results = (whole.tool_calls ?? []).map(
      ({ id, name }) => new ToolMessage({ tool_call_id: id ?? "", content: `${name} done` }),
    );
    const answer = await armed.invoke([question, whole, ...results]);
    expect(answer.text).toContain("get_weather done | get_time done");
    expect(answer.tool_calls).toEqual([]);
  });

  test("can force a tool, or forbid them", async () => {
    const { model } = start();
    const called = async (tool_choice: string) =>
      (await model.bindTools(TOOLS, { tool_choice }).invoke("Hello")).tool_calls?.map(({ name }) => name);
    expect(await called("get_time")).toEqual(["get_time"]);
    expect(await called("any")).toEqual(["get_weather"]);
    expect(await called("none")).toEqual([]);
  });

  test.each(["jsonSchema", "functionCalling", "jsonMode"] as const)(
    "gets structured output by %s, raw and parsed",
    async (method) => {
      const { model, simulator } = start();
      if (method === "jsonMode") simulator.setScript(() => ({ text: '{"city":"Lima"}' }));
      const structured = model.withStructuredOutput(CITY, { method, name: "place", includeRaw: true });
      const { raw, parsed } = await structured.invoke("Answer in JSON: which city?");
      expect(parsed).toEqual({ city: method === "jsonMode" ? "Lima" : "Oslo" });
      expect(raw).toBeInstanceOf(AIMessage);
    },
  );

  test("works at the end of a chain of prompt, model and parser, streamed", async () => {
    const { model } = start();
    const prompt = ChatPromptTemplate.fromMessages([
      ["system", "You speak {language}."],
      ["human", "{question}"],
    ]);
    const chain = prompt.pipe(model).pipe(new StringOutputParser());
    const pieces: string[] = [];
    for await (const piece of await chain.stream({ language: "Latin", question: "Quo vadis?" })) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toContain('You said: "Quo vadis?"');
  });

  test("gives up at its timeout, and the provider's call is ended", async () => {
    const router = shared();
    router.simulator.setScript(() => ({ hang: "headers" }));
    const configuration = { baseURL: router.baseURL };
    const model = new ChatOpenAI({ model: family.model, apiKey: API_KEY, configuration, maxRetries: 0, timeout: 200 });
    await expect(model.invoke("Hello")).rejects.toMatchObject({ name: "TimeoutError" });
    await expectCancelled(router);
  });
});

test("LangChain parses what the schema says with its own refinements, and raises when they do not hold", async () => {
  const router = await startTestRouter();
  router.simulator.setScript(() => ({ text: '{"minutes":-1}' }));
  const positive = z.object({ minutes: z.number().refine((minutes) => minutes > 0, "time runs forwards") });
  const ask = connect(`${router.url}/v1`, { model: "claude-haiku-5-5" })
    .withStructuredOutput(positive)
    .invoke("How long?");
  await expect(ask).rejects.toThrow("time runs forwards");
});
