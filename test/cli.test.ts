// The command line as a user meets it: first start, help, mistakes, signals, sudden death.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { serving, signalbox } from "./support/process.ts";
import { postChat, readLedger, temporaryFolder } from "./support/router.ts";

const ASK = { model: "fast", messages: [{ role: "user", content: "Hello" }] };

function folder(): string {
  const dir = temporaryFolder();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe("signalbox serve", () => {
  test("without any key or file it answers from simulated providers, says so, and prints a curl line that works", async () => {
    const dir = folder();
    const { url, output } = await serving(["serve", "--port", "0"], { cwd: dir });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(output()).toContain("SIMULATED");
    const curl = /curl (\S+) -H 'content-type: application\/json' -d '(.*)'/.exec(output());
    const response = await fetch(curl?.[1] ?? "", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: curl?.[2] ?? "",
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-signalbox-provider")).toMatch(/^simulated-/);
    expect(await response.text()).toContain("simulated answer");
  });

  test("SIGTERM lets a running stream end, refuses nothing that was accepted, flushes the ledger and exits 0", async () => {
    const dir = folder();
    const server = await serving(["serve", "--port", "0", "--data", join(dir, "data")], { cwd: dir });
    const model = "simulated-anthropic/claude-haiku-5-5+tokens=40+tps=200";
    const response = await postChat(server.url, { ...ASK, model, stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    server.process.kill("SIGTERM");
    let text = "";
    for (let step = await reader?.read(); step !== undefined && !step.done; step = await reader?.read()) {
      text += Buffer.from(step.value).toString();
    }
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
    expect(await server.exited).toBe(0);
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
    const { requests, attempts } = readLedger(join(dir, "data"));
    expect(requests).toHaveLength(1);
    expect(attempts[0]).toMatchObject({ state: "settled", end_reason: "complete" });
  });

  test("kill -9 under load loses no answer whose last byte had arrived", async () => {
    const dir = folder();
    const args = ["serve", "--port", "0", "--data", join(dir, "data")];
    const server = await serving(args, { cwd: dir });
    const whole: string[] = [];
    const clients = Array.from({ length: 8 }, async (_, client) => {
      for (;;) {
        const stream = client % 2 === 0;
        const response = await postChat(server.url, { ...ASK, stream });
        const text = await response.text();
        if (response.ok && (!stream || text.endsWith("data: [DONE]\n\n"))) {
          whole.push(response.headers.get("x-request-id") ?? "");
        }
        if (whole.length >= 200) server.process.kill("SIGKILL");
      }
    });
    await Promise.allSettled(clients);
    expect(await server.exited).toBe("SIGKILL");
    const again = await serving(args, { cwd: dir });
    again.process.kill("SIGTERM");
    expect(await again.exited).toBe(0);
    const { requests, attempts } = readLedger(join(dir, "data"));
    const booked = new Set(requests.map((row) => row.request_id));
    expect(whole.length).toBeGreaterThanOrEqual(200);
    expect(whole.filter((id) => !booked.has(id))).toEqual([]);
    const settled = new Set(attempts.filter((row) => row.state === "settled").map((row) => row.request_id));
    expect(whole.filter((id) => !settled.has(id))).toEqual([]);
    expect(attempts.filter((row) => row.state === "open")).toEqual([]);
  });

  test("a typo in signalbox.yaml stops the start with file, line, column and the nearest key", () => {
    const dir = folder();
    writeFileSync(join(dir, "signalbox.yaml"), "server:\n  prot: 9000\n");
    const { code, stderr } = signalbox(["serve"], { cwd: dir });
    expect(code).toBe(1);
    expect(stderr).toContain('signalbox.yaml:2:3  server: unknown key "prot". Did you mean "port"?');
  });

  test("a typo in a rule file stops the start and points at it", () => {
    const dir = folder();
    mkdirSync(join(dir, "routing-rules"));
    const rule =
      "version: 1\nrules:\n  - name: a\n    model: x\n    when: turn > 3\n    from: [openai/gpt-6-sol, opnai/gpt-6-sol]\n";
    writeFileSync(join(dir, "routing-rules", "mine.yaml"), rule);
    const { code, stderr } = signalbox(["serve"], { cwd: dir });
    expect(code).toBe(1);
    expect(stderr).toContain('routing-rules/mine.yaml:5:11  rule "a": Unknown variable: turn');
    expect(stderr).toContain(
      'routing-rules/mine.yaml:6:30  target "opnai/gpt-6-sol": there is no provider "opnai". Did you mean openai',
    );
  });

  test("without a key it refuses to listen beyond loopback, and says what to do", () => {
    const { code, stderr } = signalbox(["serve", "--host", "0.0.0.0", "--port", "0"], { cwd: folder() });
    expect(code).toBe(1);
    expect(stderr).toContain("refusing to listen on 0.0.0.0 without a key");
    expect(stderr).toContain("SIGNALBOX_API_KEY");
  });

  test("a port in use and a data folder in use are named", async () => {
    const dir = folder();
    const other = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void other.close());
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as AddressInfo;
    const busy = signalbox(["serve", "--port", String(port)], { cwd: dir });
    expect(busy.code).toBe(1);
    expect(busy.stderr).toContain(`Port ${port} on 127.0.0.1 is already in use`);
    await serving(["serve", "--port", "0"], { cwd: dir });
    const second = signalbox(["serve", "--port", "0"], { cwd: dir });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain("data");
    expect(second.stderr).not.toContain("    at ");
  });
});

describe("the other commands", () => {
  test("usage prints what was used, by model, provider, key and day, also while the router runs", async () => {
    const dir = folder();
    const { url } = await serving(["serve", "--port", "0"], { cwd: dir });
    for (const model of ["gpt-6-luna", "gpt-6-luna", "claude-haiku-5-5"]) {
      expect((await postChat(url, { ...ASK, model })).status).toBe(200);
    }
    const rowsBy = (by: string) => {
      const { stdout } = signalbox(["usage", "--by", by, "--json"], { cwd: dir });
      return JSON.parse(stdout) as { group: string; requests: number; costNanoUsd: number }[];
    };
    await expect.poll(() => rowsBy("key").map((row) => row.requests)).toEqual([3]);
    const models = Object.fromEntries(rowsBy("model").map((row) => [row.group, row.requests]));
    expect(models).toEqual({ "simulated-openai/gpt-6-luna": 2, "simulated-anthropic/claude-haiku-5-5": 1 });
    expect(
      rowsBy("provider")
        .map((row) => row.group)
        .sort(),
    ).toEqual(["simulated-anthropic", "simulated-openai"]);
    expect(rowsBy("day")[0]?.group).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    const { stdout, code } = signalbox(["usage"], { cwd: dir });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^model .* cost \$/);
    expect(stdout).toContain("simulated-openai/gpt-6-luna");
  });

  test("explain tells where a request went, what was weighed and what each call cost, also while the router runs", async () => {
    const dir = folder();
    mkdirSync(join(dir, "routing-rules"));
    writeFileSync(
      join(dir, "routing-rules", "a.yaml"),
      `version: 1
rules:
  - { name: pictures, model: house, when: has.images, from: [openai/gpt-6-luna] }
  - name: house
    model: house
    pick: order
    from: [openai/gpt-6-luna+status=503, anthropic/claude-haiku-5-5]
`,
    );
    const { url } = await serving(["serve", "--port", "0"], { cwd: dir });
    const answer = await postChat(url, { ...ASK, model: "house" });
    const id = answer.headers.get("x-request-id") ?? "";
    await expect.poll(() => signalbox(["explain", id], { cwd: dir }).code, { timeout: 10_000 }).toBe(0);
    const { stdout } = signalbox(["explain", id], { cwd: dir });
    expect(stdout).toContain("model      house\ndecision   rule=house;");
    expect(stdout).toContain('not        rule "pictures"\nweighed    ');
    expect(stdout).toMatch(/^answered {3}200 after \d+\.\d\d s$/m);
    expect(stdout).toMatch(/^call 1 {5}simulated-openai\/gpt-6-luna\+status=503: failed \(\w+ 503\) in .*, \$0/m);
    expect(stdout).toMatch(
      /^call \d {5}simulated-anthropic\/claude-haiku-5-5: complete in .* \d+ tokens in, \d+ out, \$0\.\d+$/m,
    );
    expect(JSON.parse(signalbox(["explain", id, "--json"], { cwd: dir }).stdout)).toMatchObject({
      request: { requestId: id, trace: { rule: "house", over: ["pictures"] } },
      attempts: expect.arrayContaining([expect.objectContaining({ endReason: "complete", priceStatus: "exact" })]),
    });
    const unknown = signalbox(["explain", `req_${"0".repeat(32)}`], { cwd: dir });
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining("is not in the ledger of")]);
  });

  test("usage before the first call says so instead of failing with a stack", () => {
    const { stderr, stdout } = signalbox(["usage"], { cwd: folder() });
    expect(stderr + stdout).toMatch(/no ledger|No calls|does not exist/i);
    expect(stderr).not.toContain("    at ");
  });

  test("models lists names and prices, and filters", () => {
    const { stdout, code } = signalbox(["models", "gpt-6-luna"], { cwd: folder() });
    expect(code).toBe(0);
    expect(stdout).toMatch(/openai\/gpt-6-luna\s+\d+\s+0\.1\s+/);
    expect(stdout).not.toContain("claude");
  });

  test("models filters by provider and ability, and sorts by price with the unpriced last", () => {
    const read = (...args: string[]) => {
      const { stdout, code } = signalbox(["models", "--json", ...args], { cwd: folder() });
      expect(code).toBe(0);
      return JSON.parse(stdout) as { name: string; input_usd_per_mtok: string | null; supports: string[] }[];
    };
    const rows = read("--provider", "anthropic", "--supports", "tools,vision", "--sort", "price");
    expect(rows.length).toBeGreaterThan(5);
    for (const { name, supports } of rows) {
      expect(name).toMatch(/^anthropic\//);
      expect(supports).toEqual(expect.arrayContaining(["tools", "vision"]));
    }
    const prices = rows.map((row) =>
      row.input_usd_per_mtok === null ? Number.POSITIVE_INFINITY : Number(row.input_usd_per_mtok),
    );
    expect(prices).toEqual(prices.toSorted((a, b) => a - b));
    expect(signalbox(["models", "--supports", "juggling"]).stderr).toContain("tools, vision, audio");
    expect(signalbox(["models", "--sort", "colour"]).stderr).toContain("name, price, context");
  });

  test("catalog diff shows what a new price list changes, and ends with 1 when a price moved more than twofold", () => {
    const dir = folder();
    const shipped = readFileSync(new URL("../providers/catalog.json", import.meta.url), "utf8");
    const same = join(dir, "same.json");
    writeFileSync(same, shipped);
    expect(signalbox(["catalog", "diff", same])).toMatchObject({ code: 0, stdout: "No difference.\n" });
    const dearer = join(dir, "dearer.json");
    const file = JSON.parse(shipped) as {
      providers: Record<string, { models: Record<string, { rates: { input: number } }> }>;
    };
    const luna = file.providers.openai?.models["gpt-6-luna"];
    if (luna === undefined) throw new Error("the model is gone");
    luna.rates.input *= 3;
    writeFileSync(dearer, JSON.stringify(file));
    const changed = signalbox(["catalog", "diff", dearer]);
    expect(changed.code).toBe(1);
    expect(changed.stdout).toMatch(/openai\/gpt-6-luna\s+rates\.input\s+\$0\.1\s+\$0\.3\s+!/);
    const broken = join(dir, "broken.json");
    writeFileSync(broken, "{}");
    expect(signalbox(["catalog", "diff", broken])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("broken.json cannot be used"),
    });
    expect(signalbox(["catalog", "merge"]).code).toBe(2);
  });

  test("simulate runs the fake providers alone", async () => {
    const { url, output } = await serving(["simulate", "--port", "0"]);
    expect(output()).toContain(`OPENAI_BASE_URL=${url}/openai/v1`);
    const response = await fetch(`${url}/openai/v1/chat/completions`, {
      method: "POST",
      headers: {
        authorization: "Bearer x",
        "content-type": "application/json",
        "x-simulate": "status=429; retry-after=2",
      },
      body: JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "Hi" }] }),
    });
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("2");
  });

  test.each(["serve", "simulate", "usage", "reconcile", "reprice", "models", "catalog", "rules", "explain"])(
    "%s --help explains itself and exits 0",
    (command) => {
      const { code, stdout } = signalbox([command, "--help"]);
      expect(code).toBe(0);
      expect(stdout.length).toBeGreaterThan(200);
    },
  );

  test("--version and --help work, and a wrong command or option exits 2 with a hint", () => {
    expect(signalbox(["--version"]).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(signalbox(["--help"]).stdout).toContain("Usage: signalbox <command>");
    expect(signalbox([]).stdout).toContain("Usage: signalbox <command>");
    const wrong = signalbox(["sreve"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("Commands: serve, simulate, usage, reconcile, reprice, backup, ledger, models");
    expect(signalbox(["serve", "--prot", "1"]).code).toBe(2);
    expect(signalbox(["usage", "--by", "colour"]).stderr).toContain("model, provider, key, team");
    expect(signalbox(["usage", "--since", "yesterday"]).stderr).toContain("90m, 24h or 7d");
  });
});
