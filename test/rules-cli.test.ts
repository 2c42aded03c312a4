// Rules before they meet a request: `signalbox rules check | diff | schema`, `signalbox explain` and its route.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";
import { rulesJsonSchema } from "../src/routing/json-schema.ts";
import { RULE_KEYS } from "../src/routing/keys.ts";
import { signalbox } from "./support/process.ts";
import { startTestRouter, temporaryFolder } from "./support/router.ts";

/** A folder with files in folders of their own: `{ "old/a.yaml": … }`. */
function folderOf(files: Record<string, string>): string {
  const dir = temporaryFolder();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

const ENV = { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" };
const RULES = `version: 1
aliases:
  house: [openai/gpt-6-luna, anthropic/claude-haiku-5-5]
rules:
  - name: pictures
    model: house
    when: has.images
    pick: order
    from: [anthropic/claude-haiku-5-5]
  - name: house
    model: house
    pick: order
    from: [house]
`;

describe("signalbox rules check", () => {
  test("without mistakes says what holds, and exits 0", () => {
    const cwd = folderOf({ "routing-rules/a.yaml": RULES });
    const { code, stdout } = signalbox(["rules", "check"], { cwd, env: ENV });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "routing-rules: 2 rules and 1 aliases hold, no warnings.\n" });
  });

  test("shows every mistake with its line, a caret, what was found and what would be accepted, and exits 1", () => {
    const text = [
      "version: 1",
      "rules:",
      "  - name: a",
      "    when: turn > 3",
      "    from: [opnai/gpt-6-sol]",
      "  - name: b",
      "    pick: weigthed",
      "    from: [openai/gpt-6-sol]",
    ];
    const cwd = folderOf({
      "rules/a.yaml": `${text.slice(0, 5).join("\n")}\n`,
      "rules/b.yaml": `${text.join("\n")}\n`,
    });
    const { code, stdout } = signalbox(["rules", "check", "rules"], { cwd, env: ENV });
    expect(code).toBe(1);
    expect(stdout).toContain(
      'rules/b.yaml:7:11  rules[1].pick: expected one of order, cheapest, fastest, balanced, weighted; found "weigthed".\n' +
        "    7 |     pick: weigthed\n      |           ^\n",
    );
    expect(stdout).toMatch(
      /rules\/a\.yaml:4:11 {2}rule "a": Unknown variable: turn\n[\s\S]*\| turn > 3\n[\s\S]*\^\n[\s\S]*Variables: model/,
    );
    expect(stdout).toContain('rules/a.yaml:5:12  target "opnai/gpt-6-sol": there is no provider "opnai".');
    expect(stdout).toContain("    5 |     from: [opnai/gpt-6-sol]\n      |            ^\n");
    expect(stdout).toMatch(/\n\nrules: 3 mistakes\.\n$/);
  });

  test("shows warnings in the same way, with their kind, and still exits 0", () => {
    const late = "  - name: late\n    model: house\n    from: [mistral/mistral-large]\n";
    const cwd = folderOf({ "rules/a.yaml": RULES + late });
    const { code, stdout } = signalbox(["rules", "check", "rules"], { cwd, env: ENV });
    expect(code).toBe(0);
    expect(stdout).toContain(
      'rules/a.yaml:14:11  rule "late": it is never reached: rule "house" above it takes every model it names. [unreachable]\n' +
        "    14 |   - name: late\n       |           ^\n",
    );
    expect(stdout).toContain("provider mistral is not enabled: set MISTRAL_API_KEY. [not_enabled]");
  });

  test("--json is the same for programs", () => {
    const cwd = folderOf({ "good/a.yaml": RULES, "bad/a.yaml": "version: 2\n" });
    const good = signalbox(["rules", "check", "good", "--json"], { cwd, env: ENV });
    expect(JSON.parse(good.stdout)).toEqual({ dir: "good", errors: [], warnings: [] });
    const bad = signalbox(["rules", "check", "bad", "--json"], { cwd, env: ENV });
    const message = "version: expected one of 1; found 2.";
    expect([bad.code, JSON.parse(bad.stdout)]).toEqual([
      1,
      { dir: "bad", errors: [{ file: "bad/a.yaml", line: 1, column: 10, message }], warnings: [] },
    ]);
  });

  test("a folder that is not there is a mistake", () => {
    const { code, stdout } = signalbox(["rules", "check", "nowhere"], { cwd: folderOf({}), env: ENV });
    expect([code, stdout]).toEqual([
      1,
      "nowhere:1:1  this rules folder does not exist (--rules, SIGNALBOX_RULES).\n\nnowhere: 1 mistake.\n",
    ]);
  });
});

describe("signalbox rules diff", () => {
  test("prints only what differs, grouped, and for which kinds of request", () => {
    const edited = RULES.replace("pick: order\n    from: [house]", "pick: weighted\n    from: [house]");
    const more = '  - name: gpt\n    model: "gpt-6-*"\n    when: key.team == "x"\n    from: [openai/gpt-6-luna]\n';
    const cwd = folderOf({ "old/a.yaml": RULES, "new/a.yaml": edited + more });
    const { code, stdout } = signalbox(["rules", "diff", "old", "new"], { cwd, env: ENV });
    expect(code).toBe(0);
    const [changes, house, unseen, sum] = stdout.split("\n\n");
    expect(changes).toBe('Rules: added rule "gpt"; changed rule "house".');
    expect(house).toBe(
      [
        "house: plain, tools, long prompt, json_schema",
        '  before  rule "house", order: openai/gpt-6-luna, anthropic/claude-haiku-5-5',
        '  after   rule "house", weighted: anthropic/claude-haiku-5-5 (first in 50 %), openai/gpt-6-luna (first in 50 %)',
      ].join("\n"),
    );
    expect(unseen).toContain('Decided none of the requests looked at, so their effect is not shown: "gpt".');
    expect(sum).toMatch(
      /^\d+ model names, each plain, tools, images, long prompt, json_schema: 1 go elsewhere or otherwise\.\n$/,
    );
  });

  test("gathers names that change alike, tells refusals, limits and parameters, and takes a renamed rule for the same", () => {
    const before =
      'version: 1\nrules:\n  - name: gpt\n    model: "gpt-6-*"\n    from: [openai/gpt-6-luna]\n    attempts: 2\n';
    const renamed = before.replace("name: gpt", "name: renamed");
    const bounded = before.replace("attempts: 2", "attempts: 4\n    on_filter: next\n    set: { temperature: 0 }");
    const hasty = before.replace("attempts: 2", "attempts: 2\n    hedge: { after: p95, max: 0.5% }");
    const denied =
      'version: 1\nrules:\n  - name: gpt\n    model: "gpt-6-*"\n    deny: { status: 403, message: Not today. }\n';
    const cwd = folderOf({
      "a/a.yaml": before,
      "renamed/a.yaml": renamed,
      "bounded/a.yaml": bounded,
      "hasty/a.yaml": hasty,
      "denied/a.yaml": denied,
    });
    const diff = (dir: string) => signalbox(["rules", "diff", "a", dir], { cwd, env: ENV }).stdout;
    expect(diff("a")).toMatch(/^Rules: no rule or alias changed\.\n\n\d+ model names, .*: all go where they went\.\n$/);
    expect(diff("renamed")).toMatch(/added rule "renamed"; removed rule "gpt"[\s\S]*: all go where they went\.\n$/);
    expect(diff("bounded")).toMatch(
      /\ngpt-6-.*, gpt-6-.*: every request\n {2}before {2}rule "gpt", balanced: openai\/gpt-6-luna \(2 attempts, on_filter stop, set \{\}\)\n {2}after {3}rule "gpt", balanced: openai\/gpt-6-luna \(4 attempts, on_filter next, set \{"temperature":0\}\)\n/,
    );
    expect(diff("hasty")).toMatch(/before .* \(hedge off\)\n {2}after .* \(hedge after p95, at most 0\.5 %\)\n/);
    expect(diff("denied")).toContain('  after   rule "gpt": refused, 403 Not today.\n');
  });

  test("--json has plans before and after", () => {
    const cwd = folderOf({ "old/a.yaml": RULES, "new/a.yaml": RULES.replace("when: has.images", "when: has.tools") });
    const { stdout } = signalbox(["rules", "diff", "old", "new", "--json"], { cwd, env: ENV });
    const { differences } = JSON.parse(stdout) as { differences: Record<string, unknown>[] };
    expect(differences.map(({ names, shapes }) => [names, shapes])).toEqual([
      [["house"], ["tools"]],
      [["house"], ["images"]],
    ]);
    expect(differences[0]).toMatchObject({
      before: { rule: "house", targets: ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"] },
      after: { rule: "pictures", targets: ["anthropic/claude-haiku-5-5"] },
    });
  });

  test("rules with mistakes, and a missing folder on the command line, are told", () => {
    const cwd = folderOf({ "old/a.yaml": RULES, "new/a.yaml": "rules: []\n" });
    const broken = signalbox(["rules", "diff", "old", "new"], { cwd, env: ENV });
    expect([broken.code, broken.stderr]).toEqual([
      1,
      expect.stringContaining("The rules in new cannot be used:\n  new/a.yaml:1:1  version: "),
    ]);
    const missing = signalbox(["rules", "diff", "old"], { cwd, env: ENV });
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("expected two folders")]);
  });
});

describe("explanations", () => {
  const REQUEST = {
    model: "house",
    messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] }],
  };

  test("signalbox explain says where a request would go, as text and as JSON", () => {
    const cwd = folderOf({ "routing-rules/a.yaml": RULES, "r.json": JSON.stringify(REQUEST) });
    const { code, stdout } = signalbox(["explain", "r.json"], { cwd, env: ENV });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^model {6}house\nrule {7}"pictures"\n/);
    expect(stdout).toContain("1.      anthropic/claude-haiku-5-5 (tier 1)");
    const json = JSON.parse(signalbox(["explain", "r.json", "--json"], { cwd, env: ENV }).stdout);
    expect(json).toMatchObject({ model: "house", rule: "pictures", plan: ["anthropic/claude-haiku-5-5"], error: null });
  });

  test("signalbox explain takes other rules, and headers", () => {
    const tagged = RULES.replace("when: has.images", 'when: "\\"batch\\" in tags"');
    const plain = JSON.stringify({ model: "house", messages: [{ role: "user", content: "Hi" }] });
    const cwd = folderOf({ "other/a.yaml": tagged, "r.json": plain });
    const explain = (...more: string[]) =>
      signalbox(["explain", "r.json", "--rules", "other", ...more], { cwd, env: ENV }).stdout;
    expect(explain()).toContain('not        rule "pictures": its condition does not hold\nrule       "house"\n');
    expect(explain("--header", "X-Signalbox-Tags: batch, night")).toContain('rule       "pictures"\n');
  });

  test("signalbox explain tells what is wrong with the request", () => {
    const cwd = folderOf({ "no.json": "{", "empty.json": "{}", "routing-rules/a.yaml": RULES });
    const failing = (...args: string[]) => {
      const { code, stderr } = signalbox(["explain", ...args], { cwd, env: ENV });
      return `${code} ${stderr}`;
    };
    expect(failing("no.json")).toMatch(/^1 The request no\.json is not JSON: /);
    expect(failing("empty.json")).toMatch(/^1 The request empty\.json would be refused: .*model/);
    expect(failing("nowhere.json")).toBe("1 The request nowhere.json cannot be read (ENOENT).\n");
    expect(failing()).toMatch(/^2 explain: expected one file/);
  });

  test("POST /v1/route/explain answers the same, needs the key, and sends nothing", async () => {
    const { url, simulator, ledger } = await startTestRouter({
      rules: RULES,
      env: { SIGNALBOX_API_KEY: "sk-sb-test" },
    });
    const ask = (body: string, headers: Record<string, string> = { authorization: "Bearer sk-sb-test" }) =>
      fetch(`${url}/v1/route/explain`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json", ...headers },
      });
    const answer = await ask(JSON.stringify({ ...REQUEST, stream: true }));
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      rule: "pictures",
      pick: "order",
      plan: ["anthropic/claude-haiku-5-5"],
      targets: [
        { target: "anthropic/claude-haiku-5-5", place: 1, excluded_by: [], score: { cost_usd: expect.any(String) } },
      ],
      error: null,
    });
    const unknown = await (await ask(JSON.stringify({ ...REQUEST, model: "hause" }))).json();
    expect(unknown).toMatchObject({ plan: [], error: { status: 404, message: expect.stringContaining("house") } });
    expect((await ask(JSON.stringify(REQUEST), {})).status).toBe(401);
    expect((await ask("{")).status).toBe(400);
    expect((await fetch(`${url}/v1/route/explain`, { headers: { authorization: "Bearer sk-sb-test" } })).status).toBe(
      405,
    );
    expect(simulator.requests).toEqual([]);
    expect(await ledger()).toEqual({ requests: [], attempts: [] });
  });
});

describe("the JSON schema for editors", () => {
  const folder = join(packageRoot(), "routing-rules");

  test("routing-rules/schema.json is what the router accepts (npm run schema writes it)", () => {
    expect(readFileSync(join(folder, "schema.json"), "utf8")).toBe(`${JSON.stringify(rulesJsonSchema(), null, 2)}\n`);
    expect(signalbox(["rules", "schema"]).stdout).toBe(readFileSync(join(folder, "schema.json"), "utf8"));
  });

  test("explains every key that the README explains, in the same words", () => {
    const text = JSON.stringify(rulesJsonSchema());
    for (const { meaning } of RULE_KEYS) {
      expect(text).toContain(JSON.stringify(meaning.replace("[CEL](https://cel.dev)", "CEL")).slice(1, -1));
    }
    const readme = readFileSync(join(folder, "README.md"), "utf8");
    const rows = RULE_KEYS.map(({ key, meaning, absent }) => `| \`${key}\` | ${meaning} | ${absent} |`);
    const table = ["| key | meaning | default |", "|---|---|---|", ...rows].join("\n");
    expect(readme.match(/<!-- keys -->\n([\s\S]*?)\n<!-- \/keys -->/)?.[1]).toBe(table);
  });

  test("is named in the first line of every rule file that is shipped", () => {
    const examples = readdirSync(join(folder, "examples")).map((name) => join("examples", name));
    for (const file of ["default.yaml", ...examples]) {
      const way = file.startsWith("examples") ? "../schema.json" : "./schema.json";
      expect(readFileSync(join(folder, file), "utf8"), file).toMatch(`# yaml-language-server: $schema=${way}\n`);
    }
  });
});

test.each(["rules", "explain"])("%s --help explains itself and exits 0", (command) => {
  const { code, stdout } = signalbox([command, "--help"]);
  expect(code).toBe(0);
  expect(stdout).toContain(`Usage: signalbox ${command}`);
  expect(signalbox(["--help"]).stdout).toMatch(new RegExp(`^  ${command} `, "m"));
});
