// `signalbox keys` as an operator types it: beside a running router and before there is one.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { UsageError } from "../src/cli/arguments.ts";
import { keys } from "../src/cli/keys.ts";
import { StartError } from "../src/settings.ts";
import { serving, signalbox } from "./support/process.ts";
import { postChat, temporaryFolder } from "./support/router.ts";

const ASK = { model: "fast", messages: [{ role: "user", content: "Hello!" }] };

function folder(): string {
  const dir = temporaryFolder();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What a command prints, run in this process: starting one for each would take most of the time. */
function keysIn(cwd: string, ...args: string[]): string {
  return keys([...args, "--data", join(cwd, "data")], {}, Date.now());
}

function ask(url: string, secret: string) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${secret}` };
  return postChat(url, ASK, { headers });
}

test("a key made before the router ever ran opens it, and revoking it beside the running router closes it", async () => {
  const cwd = folder();
  const printed = keysIn(
    cwd,
    "create",
    "--name",
    "ann",
    "--tags",
    "a,b",
    "--budget",
    "$5/day",
    "--budget",
    "$50/month soft",
  );
  const [secret = ""] = /sk-sb-[A-Za-z0-9]{40}/.exec(printed) ?? [];
  expect(printed).toContain(`-H "authorization: Bearer ${secret}"`);
  expect(printed.split(secret)).toHaveLength(3);
  const { url, output } = await serving(["serve", "--port", "0"], { cwd });
  expect(output()).toContain('-H "authorization: Bearer <key>"');
  expect((await ask(url, secret)).status).toBe(200);
  expect((await ask(url, "sk-sb-other")).status).toBe(401);
  const rotated = JSON.parse(keysIn(cwd, "rotate", "ann", "--grace", "0s", "--json"));
  expect((await ask(url, rotated.secret)).status).toBe(200);
  await expect.poll(async () => (await ask(url, secret)).status).toBe(401);
  keysIn(cwd, "update", "ann", "--rpm", "1", "--name", "anna");
  await expect.poll(async () => (await ask(url, rotated.secret)).headers.get("x-ratelimit-limit-requests")).toBe("1");
  const revoked = signalbox(["keys", "revoke", "anna"], { cwd });
  expect([revoked.code, revoked.stderr]).toEqual([0, ""]);
  expect(revoked.stdout).toContain('Revoked the key "anna"');
  const code = async () => ((await (await ask(url, rotated.secret)).json()) as { error: { code: string } }).error.code;
  await expect.poll(code).toBe("api_key_revoked");
  expect(output()).not.toContain(secret.slice(-12));
}, 60_000);

test("the commands in the README run as printed", () => {
  const cwd = folder();
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const lines = readme.split("\n").filter((line) => line.startsWith("npx signalbox keys "));
  expect(lines).toHaveLength(5);
  for (const line of lines) {
    const words = [...line.slice("npx signalbox keys ".length).matchAll(/'([^']*)'|(\S+)/g)];
    expect(keysIn(cwd, ...words.map(([, quoted, plain]) => quoted ?? plain ?? ""))).toContain("web");
  }
});

test("list, show and --json tell everything but the secret", () => {
  const cwd = folder();
  expect(keysIn(cwd, "list")).toContain("There are no keys. Make one: signalbox keys create --name NAME");
  const settings = ["--team", "web", "--models", "gpt-*, fast", "--rpm", "60", "--tpm", "100k", "--expires", "30d"];
  const made = JSON.parse(keysIn(cwd, "create", "--name", "ann", ...settings, "--json"));
  const { secret, ...view } = made;
  expect(view).toMatchObject({ name: "ann", team: "web", models: ["gpt-*", "fast"], rpm: 60, tpm: 100_000 });
  expect(Date.parse(view.expires_at) - Date.parse(view.created_at)).toBe(30 * 86_400_000);
  expect(JSON.parse(keysIn(cwd, "list", "--json"))).toEqual([view]);
  expect(JSON.parse(keysIn(cwd, "show", view.id, "--json"))).toEqual(view);
  const texts = [keysIn(cwd, "list"), keysIn(cwd, "show", "ann")];
  for (const text of texts) {
    expect(text).toContain(view.display);
    expect(text).not.toContain(secret.slice(-12));
  }
  const after = JSON.parse(keysIn(cwd, "update", "ann", "--rpm", "none", "--models", "none", "--tags", "x", "--json"));
  expect(after).toEqual({ ...view, rpm: null, models: null, tags: ["x"] });
});

test("mistakes name the option, what was found and what is accepted, and change nothing", () => {
  const cwd = folder();
  keysIn(cwd, "create", "--name", "ann");
  const cases: [args: string[], error: typeof UsageError | typeof StartError, text: RegExp][] = [
    [["create"], UsageError, /expected --name NAME/],
    [["create", "--name", "a b"], UsageError, /--name: expected 1 to 64 letters.*found "a b"/],
    [
      ["create", "--name", "b", "--budget", "5"],
      UsageError,
      /--budget: expected a budget such as "\$5\/day".*found "5"/,
    ],
    [["create", "--name", "b", "--rpm", "many"], UsageError, /--rpm: .*found "many"/],
    [
      ["create", "--name", "b", "--expires", "2020-01-01"],
      UsageError,
      /--expires: 2020-01-01T00:00:00.000Z has passed/,
    ],
    [["create", "--name", "b", "--endpoints", "chat"], UsageError, /--endpoints: expected a path such as/],
    [["create", "--name", "b", "--allow-unpriced", "maybe"], UsageError, /--allow-unpriced: .*found "maybe"/],
    [["create", "--name", "ann"], StartError, /The name "ann" is taken by key_/],
    [["rotate", "ann", "--grace", "ever"], UsageError, /--grace: expected a duration/],
    [["update", "ann"], UsageError, /expected a setting to change/],
    [["show"], UsageError, /expected one key, by its id or name; found 0/],
    [["show", "bob"], StartError, /There is no key "bob"/],
    [["destroy", "ann"], UsageError, /Commands: create, list, show, update, rotate, revoke/],
  ];
  for (const [args, error, text] of cases) {
    expect(() => keysIn(cwd, ...args), args.join(" ")).toThrow(text);
    expect(() => keysIn(cwd, ...args), args.join(" ")).toThrow(error);
  }
  expect(JSON.parse(keysIn(cwd, "list", "--json"))).toHaveLength(1);
});

test("keys can be made while the router may not yet listen where it is to listen, and then it may", async () => {
  const cwd = folder();
  const env = { SIGNALBOX_HOST: "0.0.0.0" };
  const before = signalbox(["serve", "--port", "0"], { cwd, env });
  expect([before.code, before.stderr]).toEqual([1, expect.stringContaining("signalbox keys create")]);
  expect(signalbox(["keys", "create", "--name", "ann"], { cwd, env }).code).toBe(0);
  expect(existsSync(join(cwd, "data", "signalbox.db"))).toBe(true);
  const { url } = await serving(["serve", "--port", "0"], { cwd, env });
  expect((await fetch(`${url.replace("0.0.0.0", "127.0.0.1")}/v1/models`)).status).toBe(401);
}, 60_000);
