// The README tells the truth: its snippets run as printed, its links lead somewhere.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { alertOf, testFinding } from "../src/alerts/alert.ts";
import { messageFor } from "../src/alerts/message.ts";
import { Secret } from "../src/dialect.ts";
import { readSettings } from "../src/settings.ts";
import { serving } from "./support/process.ts";
import { postChat, temporaryFolder } from "./support/router.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const ADDRESS = "http://127.0.0.1:8787";

/** The fenced blocks in a language that contain a text. */
function snippet(language: string, containing: string): string {
  const blocks = [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  const found = blocks.filter(([, tag, text]) => tag === language && text?.includes(containing));
  expect(found, `${language} snippets with ${containing}`).toHaveLength(1);
  return found[0]?.[2] ?? "";
}

/** The first start as a reader makes it: no key, no file, an empty folder. */
async function firstStart(): Promise<string> {
  const dir = temporaryFolder();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return (await serving(["serve", "--port", "0"], { cwd: dir })).url;
}

/** What a command prints, run at the root of the repository. */
async function output(command: string, args: string[]): Promise<string> {
  return (await promisify(execFile)(command, args, { cwd: ROOT })).stdout;
}

test("the curl line answers on the first start", async () => {
  const line = snippet("sh", "curl").trim();
  expect(line).toContain(ADDRESS);
  const url = await firstStart();
  const answer = JSON.parse(await output("sh", ["-c", `${line.replace(ADDRESS, url)} --silent --show-error`]));
  expect(answer).toMatchObject({ object: "chat.completion", choices: [{ finish_reason: "stop" }] });
  expect(answer.choices[0].message.content).toContain('You said: "Hello!"');
});

test("the TypeScript snippet runs as printed and gets an answer on the first start", async () => {
  const code = snippet("ts", "new OpenAI");
  expect(code).toContain(ADDRESS);
  const url = await firstStart();
  const program = `${code.replace(ADDRESS, url)}\nconsole.log(JSON.stringify(answer));`;
  const answer = JSON.parse(await output(process.execPath, ["--input-type=module-typescript", "--eval", program]));
  expect(answer).toMatchObject({ object: "chat.completion", choices: [{ finish_reason: "stop" }] });
  expect(answer.choices[0].message.content).toContain("playing the model claude-haiku-5-5");
});

test("every model the TypeScript snippet mentions answers on the first start", async () => {
  const mentioned = /model: "([^"]+)", \/\/ or (.*)/.exec(snippet("ts", "new OpenAI"));
  const names = [mentioned?.[1] ?? "", ...(mentioned?.[2] ?? "").split(", ").map((name) => name.replace(/ .*/, ""))];
  expect(names.length).toBeGreaterThan(4);
  const url = await firstStart();
  for (const model of names.filter((name) => name !== "provider/model")) {
    const response = await postChat(url, { model, messages: [{ role: "user", content: "Hello!" }] });
    expect([model, response.status]).toEqual([model, 200]);
  }
});

test("the Python snippet is valid Python for the openai package", ({ skip }) => {
  const hasPackage = spawnSync("python3", ["-c", "import openai"]).status === 0;
  skip(!hasPackage, "python3 with the openai package is not installed here");
  const code = snippet("python", "OpenAI(");
  expect(code).toContain(ADDRESS);
  const parsed = spawnSync("python3", ["-c", "import ast, sys; ast.parse(sys.stdin.read())"], { input: code });
  expect(parsed.stderr.toString()).toBe("");
});

test("the verification of webhooks accepts what the router signs, and nothing else", async () => {
  const secret = new Secret("a-secret-for-signing");
  const destination = {
    kind: "webhook",
    name: "webhook",
    host: "",
    url: new Secret(""),
    signingSecret: secret,
  } as const;
  const { headers, body } = messageFor(destination, alertOf(testFinding(), "alert_1", 1_000_000), 1_000_000);
  const header = headers["x-signalbox-signature"];
  const cases = [
    [body, header, secret.reveal(), 1_000],
    [body, header, secret.reveal(), 1_400],
    [body.replace("test", "toast"), header, secret.reveal(), 1_000],
    [body, header, "another secret", 1_000],
    [body, "t=1000", secret.reveal(), 1_000],
  ];
  const code = snippet("ts", "x-signalbox-signature");
  const program = `${code}\nconsole.log(JSON.stringify(${JSON.stringify(cases)}.map((one) => isGenuine(...one))));`;
  const told = JSON.parse(await output(process.execPath, ["--input-type=module-typescript", "--eval", program]));
  expect(told).toEqual([true, false, false, false, false]);
});

test("the alerts of the README are a configuration, and its values are the defaults", async () => {
  const dir = temporaryFolder();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "signalbox.yaml");
  writeFileSync(path, snippet("yaml", "alerts:"));
  const env = { ALERT_SECRET: "a-secret-for-signing", SLACK_WEBHOOK: "https://hooks.example/x" };
  const { destinations, ...values } = readSettings({ flags: { config: path }, env }).config.alerts;
  expect(destinations.map(({ name }) => name)).toEqual(["webhook", "slack"]);
  writeFileSync(path, "");
  expect(readSettings({ flags: { config: path }, env }).config.alerts).toEqual({ destinations: [], ...values });
});

const PAGES = ["README.md", "ARCHITECTURE.md", "routing-rules/README.md", "providers/README.md", "bench/README.md"];

test.each(PAGES)("every relative link of %s leads to something that is there", (page) => {
  const text = readFileSync(join(ROOT, page), "utf8");
  const links = [...text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, link]) => link ?? "");
  const relative = links.filter((link) => !/^[a-z]+:/.test(link));
  expect(relative.filter((link) => !existsSync(join(ROOT, dirname(page), link)))).toEqual([]);
});
