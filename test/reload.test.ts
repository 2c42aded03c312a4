// Edits of the rules while the router runs: however a file is saved, whole edits take effect and nothing else does.
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { showFileErrors } from "../src/excerpt.ts";
import { readRulesFolder } from "../src/live-rules/folder.ts";
import { type LiveRules, type WatchOptions, watchRules } from "../src/live-rules/watch.ts";
import { packageRoot } from "../src/package-root.ts";
import { compile } from "../src/routing/rules.ts";
import type { Source } from "../src/yaml.ts";
import { serving } from "./support/process.ts";
import { postChat, startTestRouter, type TestRouter, temporaryFolder } from "./support/router.ts";

const ASK = { model: "house", messages: [{ role: "user", content: "Hello" }] };

function folder(): string {
  const dir = temporaryFolder();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function rulesNamed(name: string, more = ""): string {
  return `version: 1\nrules:\n  - name: ${name}\n    model: house\n    from: [openai/gpt-6-luna]\n${more}`;
}

interface Watched {
  rules: LiveRules<string>;
  /** Every set of texts that was compiled, the first excluded. */
  built: string[];
  logs: string[];
}

/** The watcher alone: what is in force is the texts of the folder, and a text that says "mistake" is refused. */
function watched(dir: string, options: Partial<WatchOptions<string>> = {}): Watched {
  const textsOf = (sources: Source[]) => sources.map(({ text }) => text).join("---\n");
  const built: string[] = [];
  const logs: string[] = [];
  const { sources } = readRulesFolder(dir);
  const rules = watchRules({
    dir,
    first: { value: textsOf(sources), sources },
    build: (read) => {
      const value = textsOf(read);
      built.push(value);
      const file = read.find(({ text }) => text.includes("mistake"))?.file;
      return file === undefined ? { value } : { errors: [{ file, line: 1, column: 1, message: "a mistake" }] };
    },
    describe: (before, after) => `${before.length} -> ${after.length}`,
    log: (message) => logs.push(message),
    nowMs: () => 0,
    ...options,
  });
  onTestFinished(() => rules.close());
  return { rules, built, logs };
}

/** Longer than the second that is promised, since the machine that runs the tests may be busy with others. */
const SOON = { timeout: 3_000, interval: 10 };

/** Makes a mounted config map: files are links into `..data`, which is a link to a folder with the time in its name. */
function writeConfigMap(dir: string, stamp: string, files: Record<string, string>): void {
  mkdirSync(join(dir, `..${stamp}`));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, `..${stamp}`, name), text);
  symlinkSync(`..${stamp}`, join(dir, "..data_tmp"));
  renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
}

describe("an edit takes effect, saved", () => {
  const SAVES: [how: string, save: (dir: string, text: string) => void][] = [
    ["in place", (dir, text) => writeFileSync(join(dir, "a.yaml"), text)],
    [
      "in place, byte by byte",
      (dir, text) => {
        truncateSync(join(dir, "a.yaml"));
        for (const char of text) appendFileSync(join(dir, "a.yaml"), char);
      },
    ],
    [
      "to a temporary file that is renamed",
      (dir, text) => {
        writeFileSync(join(dir, ".a.yaml.swp"), text);
        renameSync(join(dir, ".a.yaml.swp"), join(dir, "a.yaml"));
      },
    ],
    [
      "by moving the old file aside and writing a new one",
      (dir, text) => {
        renameSync(join(dir, "a.yaml"), join(dir, "a.yaml~"));
        writeFileSync(join(dir, "a.yaml"), text);
      },
    ],
    [
      "by deleting the file and making it anew",
      (dir, text) => {
        unlinkSync(join(dir, "a.yaml"));
        writeFileSync(join(dir, "a.yaml"), text);
      },
    ],
    [
      "by replacing the whole folder",
      (dir, text) => {
        rmSync(dir, { recursive: true });
        mkdirSync(dir);
        writeFileSync(join(dir, "a.yaml"), text);
      },
    ],
    [
      "through a link to a folder that is swapped",
      (dir, text) => {
        unlinkSync(join(dir, "a.yaml"));
        writeConfigMap(dir, "2026_02", { "a.yaml": text });
        symlinkSync("..data/a.yaml", join(dir, "a.yaml"));
      },
    ],
  ];
  test.each(SAVES)("%s", async (_, save) => {
    const dir = folder();
    writeFileSync(join(dir, "a.yaml"), "one\n");
    const { rules, built } = watched(dir);
    save(dir, "two\n");
    await expect.poll(() => rules.current(), SOON).toBe("two\n");
    expect(built).toEqual(["two\n"]);
    // The watcher still watches, also where the folder is another one now.
    writeFileSync(join(dir, "b.yaml"), "three\n");
    await expect.poll(() => rules.current(), SOON).toBe("two\n---\nthree\n");
    expect(rules.status()).toMatchObject({ errors: [], reloads: 2, refusals: 0 });
  });

  test("as a config map is updated: all files change at once", async () => {
    const dir = folder();
    writeConfigMap(dir, "2026_01", { "a.yaml": "one\n", "b.yaml": "one\n" });
    for (const name of ["a.yaml", "b.yaml"]) symlinkSync(`..data/${name}`, join(dir, name));
    const { rules, built } = watched(dir);
    expect(rules.current()).toBe("one\n---\none\n");
    writeConfigMap(dir, "2026_02", { "a.yaml": "two\n", "b.yaml": "two\n" });
    await expect.poll(() => rules.current(), SOON).toBe("two\n---\ntwo\n");
    expect(built).toEqual(["two\n---\ntwo\n"]);
  });

  test("and a file that was taken away is gone", async () => {
    const dir = folder();
    writeFileSync(join(dir, "a.yaml"), "one\n");
    writeFileSync(join(dir, "b.yml"), "two\n");
    const { rules } = watched(dir);
    unlinkSync(join(dir, "a.yaml"));
    await expect.poll(() => rules.current(), SOON).toBe("two\n");
  });
});

describe("what is not a whole edit", () => {
  /** Between two looks; see watch.ts. */
  const GAP_MS = 50;

  /** Waits in no time; at each wait for the folder to settle, the next step of a save happens. Counts what was waited. */
  function stepping(steps: (() => void)[]) {
    const left = [...steps];
    const waited: number[] = [];
    const wait = async (ms: number, signal?: AbortSignal) => {
      if (ms !== GAP_MS && signal === undefined) {
        waited.push(ms);
        left.shift()?.();
      }
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { wait, waited, isDone: () => left.length === 0 };
  }

  test("is never compiled: a file is read again until it stays the same", async () => {
    const dir = folder();
    const file = join(dir, "a.yaml");
    writeFileSync(file, "old rule\n");
    const whole = "new rule\nanother\nlast\n";
    const parts = ["new rule\n", "new rule\nanother\n", whole];
    const { wait, isDone } = stepping(parts.map((text) => () => writeFileSync(file, text)));
    const { rules, built } = watched(dir, { wait });
    truncateSync(file);
    await expect.poll(() => rules.current(), SOON).toBe(whole);
    expect(isDone()).toBe(true);
    expect(built).toEqual([whole]);
  });

  test("is waited for longer where it looks half-written, and the wait plus a look every 400 ms is below a second", async () => {
    const waitedFor = async (edit: (file: string) => void, rest = ""): Promise<number[]> => {
      const dir = folder();
      writeFileSync(join(dir, "a.yaml"), `first rule\nsecond rule\n${rest}`);
      const { wait, waited } = stepping([]);
      const { rules } = watched(dir, { wait });
      edit(join(dir, "a.yaml"));
      await expect.poll(() => rules.status().reloads + rules.status().refusals, SOON).toBe(1);
      rules.close();
      return waited;
    };
    expect(await waitedFor((file) => writeFileSync(file, "another rule\nsecond rule\n"))).toEqual([200]);
    const rest = "a rule that is as it was\n".repeat(4);
    const edited = `another rule\nsecond rule\n${rest}`;
    expect(await waitedFor((file) => writeFileSync(file, edited), rest)).toEqual([40]);
    expect(await waitedFor((file) => writeFileSync(file, edited.slice(0, -rest.length)), rest)).toEqual([200]);
    const suspicious = [
      (file: string) => writeFileSync(file, "first rule\n"),
      (file: string) => writeFileSync(file, "another rule"),
      (file: string) => truncateSync(file),
      (file: string) => unlinkSync(file),
    ];
    for (const edit of suspicious) expect(await waitedFor(edit)).toEqual([500]);
  });

  test("a folder that is away for a moment changes nothing", async () => {
    const dir = folder();
    writeFileSync(join(dir, "a.yaml"), "one\n");
    const { wait, isDone } = stepping([() => renameSync(`${dir}-away`, dir)]);
    const { rules, built, logs } = watched(dir, { wait });
    renameSync(dir, `${dir}-away`);
    await expect.poll(isDone, SOON).toBe(true);
    await rules.reload();
    expect([rules.current(), rules.status().errors, rules.status().refusals]).toEqual(["one\n", [], 0]);
    expect(built).toEqual(["one\n"]);
    expect(logs).toEqual(["Rules read again: 4 -> 4."]);
  });

  test("a folder that stays away or empty is refused and the rules stay", async () => {
    const dir = folder();
    writeFileSync(join(dir, "a.yaml"), "one\n");
    const { rules } = watched(dir);
    unlinkSync(join(dir, "a.yaml"));
    await expect.poll(() => rules.status().errors[0]?.message, SOON).toContain("no rule file (*.yaml) is left");
    rmSync(dir, { recursive: true });
    await expect.poll(() => rules.status().errors[0]?.message, SOON).toContain("this rules folder does not exist");
    expect(rules.current()).toBe("one\n");
  });

  test("a storm of writes is one reload", async () => {
    const dir = folder();
    writeFileSync(join(dir, "a.yaml"), "0\n");
    const { rules, built } = watched(dir);
    for (let edit = 1; edit <= 500; edit += 1) writeFileSync(join(dir, "a.yaml"), `${edit}\n`);
    await expect.poll(() => rules.current(), SOON).toBe("500\n");
    expect(built).toEqual(["500\n"]);
  });

  test("locks, backups and other files are none", async () => {
    const dir = folder();
    writeFileSync(join(dir, "a.yaml"), "one\n");
    const { rules, built } = watched(dir);
    symlinkSync("someone@somewhere.1234", join(dir, ".#a.yaml"));
    for (const name of [".a.yaml", "a.yaml~", "a.yaml.bak", "4913", "notes.md"]) writeFileSync(join(dir, name), "no\n");
    writeFileSync(join(dir, "z.yaml"), "two\n");
    await expect.poll(() => rules.current(), SOON).toBe("one\n---\ntwo\n");
    expect(built).toHaveLength(1);
  });
});

describe("a rules folder that cannot be used is told with the file and the bound", () => {
  const CASES: [what: string, make: (dir: string) => void, file: string, message: string][] = [
    [
      "too many files",
      (dir) => {
        for (let at = 0; at < 101; at += 1) writeFileSync(join(dir, `${at}.yaml`), "");
      },
      "",
      "this folder holds 101 rule files; at most 100 are accepted.",
    ],
    [
      "a file that is too large",
      (dir) => writeFileSync(join(dir, "a.yaml"), "#".repeat(262_145)),
      "/a.yaml",
      "this file has 262145 bytes; at most 262144 are accepted. Rules may be split.",
    ],
    [
      "files that are too large together",
      (dir) => {
        for (const name of "abcde") writeFileSync(join(dir, `${name}.yaml`), "#".repeat(220_000));
      },
      "/e.yaml",
      "with this file the rules are larger than 1048576 bytes together, the most accepted.",
    ],
    ["a folder called like a file", (dir) => mkdirSync(join(dir, "a.yaml")), "/a.yaml", "this is not a file."],
    [
      "a link to nothing",
      (dir) => symlinkSync("nothing", join(dir, "a.yaml")),
      "/a.yaml",
      "this file cannot be read (ENOENT).",
    ],
    [
      "text that is not UTF-8",
      (dir) => writeFileSync(join(dir, "a.yaml"), Buffer.from([0x76, 0xff])),
      "/a.yaml",
      "this file is not UTF-8 text.",
    ],
  ];
  test.each(CASES)("%s", (_, make, file, message) => {
    const dir = folder();
    make(dir);
    expect(readRulesFolder(dir).errors).toEqual([{ file: `${dir}${file}`, line: 1, column: 1, message }]);
  });
});

describe("a running router", () => {
  function fileOf({ router }: TestRouter): string {
    return join(router.config.rulesDir ?? "", "test.yaml");
  }

  async function healthOf(url: string) {
    const response = await fetch(`${url}/health`);
    const { ready, rules } = (await response.json()) as { ready: boolean; rules: Record<string, unknown> };
    return { status: response.status, ready, rules };
  }

  test("keeps its rules through an invalid edit, says so in log and /health, and takes the next valid one", async () => {
    const router = await startTestRouter({ rules: rulesNamed("first") });
    const before = await healthOf(router.url);
    expect(before.rules).toEqual({
      snapshot: router.router.snapshot.id,
      loaded_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    const file = fileOf(router);
    writeFileSync(file, rulesNamed("second", "    pick: fastets\n"));
    await expect.poll(async () => (await healthOf(router.url)).rules.error, SOON).toBeDefined();
    const message = 'rules[0].pick: expected one of order, cheapest, fastest, balanced, weighted; found "fastets".';
    const broken = await healthOf(router.url);
    expect(broken).toMatchObject({ status: 200, ready: true });
    expect(broken.rules).toEqual({ ...before.rules, error: [{ file, line: 6, column: 11, message }] });
    expect(router.logs.join("\n")).toContain(
      `${file}:6:11  ${message}\n      6 |     pick: fastets\n        |           ^`,
    );
    expect((await router.post(ASK)).headers.get("x-signalbox-decision")).toMatch(/^rule=first;/);

    writeFileSync(file, rulesNamed("second", "    pick: fastest\naliases: { new: [openai/gpt-6-luna] }\n"));
    await expect.poll(async () => (await healthOf(router.url)).rules.error, SOON).toBeUndefined();
    const after = await healthOf(router.url);
    expect(after.rules.snapshot).not.toBe(before.rules.snapshot);
    expect(after.rules.snapshot).toBe(router.router.snapshot.id);
    expect(router.logs.at(-1)).toBe(
      `Rules read again: added rule "second"; added alias "new"; removed rule "first" (snapshot ${router.router.snapshot.id}).`,
    );
    expect((await router.post(ASK)).headers.get("x-signalbox-decision")).toMatch(/^rule=second;/);
    expect(router.router.rules.status()).toMatchObject({ reloads: 1, refusals: 1 });
  });

  test("warns of what an edit brought, once", async () => {
    const router = await startTestRouter({
      rules: rulesNamed("first", "  - name: never\n    from: [openai/unheard-of]\n"),
    });
    const warnings = () => router.logs.filter((line) => line.startsWith("Warning: "));
    const atStart = warnings().length;
    expect(warnings().join("\n")).toContain("unheard-of");
    const more =
      "  - name: never\n    from: [openai/unheard-of]\n  - name: last\n    model: x\n    from: [openai/gpt-6-luna]\n";
    writeFileSync(fileOf(router), `# A line that moves all others.\n${rulesNamed("first", more)}`);
    await expect.poll(() => router.router.snapshot.rules.rules.length, SOON).toBe(3);
    expect(warnings().slice(atStart)).toEqual([
      `Warning: ${fileOf(router)}:9:11  rule "last": it is never reached: rule "never" above it takes every model it names.`,
    ]);
    // What is no longer odd is forgotten, and told again when it is.
    const lastTold = () => warnings().filter((line) => line.includes('rule "last"')).length;
    for (const [text, rules] of [
      ["", 1],
      [more, 3],
    ] as const) {
      writeFileSync(fileOf(router), rulesNamed("first", text));
      await expect.poll(() => router.router.snapshot.rules.rules.length, SOON).toBe(rules);
    }
    expect(lastTold()).toBe(2);
  });

  test("loses no request and no stream over 30 reloads, and each row names the rules it was planned by", async () => {
    const router = await startTestRouter({ rules: rulesNamed("edit-0") });
    const ruleOf = new Map([[router.router.snapshot.id, "edit-0"]]);
    let isEditing = true;
    const outcomes: { id: string | null; ok: boolean }[] = [];
    const ask = async (stream: boolean) => {
      while (isEditing) {
        const model = stream ? "openai/gpt-6-luna+tokens=30+tps=100" : "house";
        const response = await router.post({ ...ASK, model, stream });
        const text = await response.text();
        const ok = response.status === 200 && (!stream || text.endsWith("data: [DONE]\n\n"));
        outcomes.push({ id: response.headers.get("x-request-id"), ok });
      }
    };
    const callers = [ask(false), ask(false), ask(true), ask(true)];
    for (let edit = 1; edit <= 30; edit += 1) {
      writeFileSync(fileOf(router), rulesNamed(`edit-${edit}`));
      await router.router.rules.reload();
      ruleOf.set(router.router.snapshot.id, `edit-${edit}`);
    }
    isEditing = false;
    await Promise.all(callers);
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    expect(ruleOf.size).toBe(31);
    const { requests, attempts } = await router.ledger();
    expect(requests.map((row) => row.request_id).sort()).toEqual(outcomes.map(({ id }) => id).sort());
    expect(attempts.filter((row) => row.state !== "settled")).toEqual([]);
    const planned = requests.filter((row) => row.model_requested === "house");
    for (const row of planned) expect(row.decision).toContain(`rule=${ruleOf.get(String(row.snapshot_id))};`);
    expect(new Set(planned.map((row) => row.snapshot_id)).size).toBeGreaterThan(20);
  }, 60_000);

  test("SIGHUP reads the rules again at once, changed or not", async () => {
    const dir = folder();
    mkdirSync(join(dir, "routing-rules"));
    writeFileSync(join(dir, "routing-rules", "a.yaml"), rulesNamed("first"));
    const server = await serving(["serve", "--port", "0"], { cwd: dir });
    server.process.kill("SIGHUP");
    await expect.poll(() => server.output(), SOON).toContain("Rules read again: no rule or alias changed (snapshot ");
    expect((await postChat(server.url, ASK)).status).toBe(200);
  });
});

describe("a corrupted rule file", () => {
  const valid = readFileSync(join(packageRoot(), "routing-rules", "default.yaml"), "utf8");
  const pieces = [
    "",
    " ",
    "\n",
    "\t",
    ":",
    "-",
    "*",
    "&a",
    "{",
    "[",
    '"',
    "'",
    "#",
    "|",
    "0",
    "~",
    "<<: ",
    "\u0000",
    "é",
    "💥",
    "${",
    "}",
  ];
  const corruption = fc.record({
    at: fc.nat(valid.length),
    cut: fc.oneof({ weight: 4, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.nat(400) }),
    piece: fc.oneof(
      fc.constantFrom(...pieces),
      fc.string({ unit: "binary", maxLength: 6 }),
      fc.nat(valid.length).map((from) => valid.slice(from, from + 30)),
    ),
  });

  test("is accepted as it stands or refused with places in it, never a throw", () => {
    const property = fc.property(fc.array(corruption, { minLength: 1, maxLength: 3 }), (corruptions) => {
      const text = corruptions.reduce(
        (now, { at, cut, piece }) => now.slice(0, at) + piece + now.slice(at + cut),
        valid,
      );
      const source = { file: "a.yaml", text };
      const compiled = compile([source], () => undefined);
      if (!("errors" in compiled)) return;
      expect(compiled.errors.length).toBeGreaterThan(0);
      const lines = text.split("\n");
      for (const { file, line, column, message } of compiled.errors) {
        expect(file).toBe("a.yaml");
        expect(line).toBeGreaterThan(0);
        expect(line).toBeLessThanOrEqual(lines.length);
        expect(column).toBeGreaterThan(0);
        expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
        expect(message).not.toBe("");
      }
      expect(showFileErrors(compiled.errors, [source])).toContain("a.yaml:");
    });
    fc.assert(property, { numRuns: 10_000 });
  }, 60_000);
});
