// What the ledger says of how each cost is known, through a running router and a provider that answers as it is told to.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { startTestRouter } from "./support/router.ts";

/** An OpenAI-compatible provider with these counts in every answer. */
async function providerThatCounts(usage: object, more: object = {}): Promise<string> {
  const choices = [{ index: 0, message: { role: "assistant", content: "Hi." }, finish_reason: "stop" }];
  const body = { id: "c", object: "chat.completion", created: 1, model: "m", choices, usage, ...more };
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

interface Case {
  model: string;
  usage: object;
  more?: object;
  provider: string;
  settings?: string;
}

async function attemptOf({ model, usage, more, provider, settings = "" }: Case) {
  const url = await providerThatCounts(usage, more);
  const { openai, ledger } = await startTestRouter({
    config: `providers: { ${provider}: { api_key: k, base_url: "${url}"${settings} } }`,
  });
  const { response } = await openai.chat.completions
    .create({ model: `${provider}/${model}`, messages: [{ role: "user", content: "Hi" }] })
    .withResponse();
  const { attempts } = await ledger();
  const told = response.headers.get("x-signalbox-cost-usd");
  return { cost: attempts[0]?.cost_nano_usd, status: attempts[0]?.price_status, told };
}

const COUNTS = { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100 };

describe("the price of an attempt", () => {
  test("is reported where an aggregator says what it charged, whatever the table says", async () => {
    const usage = { ...COUNTS, cost: 0.00014 };
    const found = await attemptOf({ provider: "openrouter", model: "openai/gpt-5.4", usage });
    expect(found).toEqual({ cost: 140_000, status: "reported", told: "0.00014" });
  });

  test("is reported for a model nobody has a price of", async () => {
    const usage = { ...COUNTS, cost: 1e-7 };
    const found = await attemptOf({ provider: "openrouter", model: "acme/new", usage });
    expect(found).toEqual({ cost: 100, status: "reported", told: "0.0000001" });
  });

  test("is that of the tier that answered, not of the one asked for", async () => {
    const found = await attemptOf({
      provider: "openai",
      model: "gpt-5.4",
      usage: COUNTS,
      more: { service_tier: "flex" },
    });
    // 1,000 × 1,250 + 100 × 7,500
    expect(found).toEqual({ cost: 2_000_000, status: "exact", told: "0.002" });
  });

  test("is an alias' where the list has the model by another name", async () => {
    const found = await attemptOf({ provider: "mistral", model: "codestral-latest", usage: COUNTS });
    // 1,000 × 300 + 100 × 900
    expect(found).toEqual({ cost: 390_000, status: "alias", told: "0.00039" });
  });

  test("is the undated model's for a version nobody lists, and says so", async () => {
    const found = await attemptOf({ provider: "groq", model: "llama-3.3-70b-versatile-2026-11-01", usage: COUNTS });
    // 1,000 × 590 + 100 × 790
    expect(found).toEqual({ cost: 669_000, status: "prefix", told: "0.000669" });
  });

  test("is the operator's where there is one", async () => {
    const settings = ", models: [{ id: gpt-5.4, price: { input: $1, output: $2, request: $0.01 } }]";
    const found = await attemptOf({ provider: "openai", model: "gpt-5.4", usage: COUNTS, settings });
    // 1,000 × 1,000 + 100 × 2,000 + 10,000,000
    expect(found).toEqual({ cost: 11_200_000, status: "override", told: "0.0112" });
  });

  test("is unknown, and not zero, where the tier that answered has none", async () => {
    const found = await attemptOf({
      provider: "openai",
      model: "gpt-5.4",
      usage: COUNTS,
      more: { service_tier: "scale" },
    });
    expect(found).toEqual({ cost: null, status: "unknown", told: null });
  });

  test("is known for such a tier once the operator says what it costs", async () => {
    const more = { service_tier: "scale" };
    const settings = ", service_tiers: { scale: 1 }";
    const found = await attemptOf({ provider: "openai", model: "gpt-5.4", usage: COUNTS, more, settings });
    // 1,000 × 2,500 + 100 × 15,000
    expect(found).toEqual({ cost: 4_000_000, status: "exact", told: "0.004" });
  });
});
