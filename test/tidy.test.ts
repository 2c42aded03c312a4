// The architecture, held by a test: who may import whom, where effects live, how large things may grow, what is dead.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = new URL("..", import.meta.url).pathname;

interface SourceFile {
  /** Relative to the root of the repository. */
  path: string;
  text: string;
}

const sources: SourceFile[] = ["src", "providers"].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") })),
);

/** Groups in the order of the picture in ARCHITECTURE.md; a file belongs to the first whose pattern it matches. */
const GROUPS: { name: string; files: RegExp; mayImport: string[] }[] = [
  { name: "vocabulary", files: /^src\/(chat|prices|dialect|json)\.ts$/, mayImport: [] },
  {
    name: "pure",
    files:
      /^src\/((sse|event-stream|gateway\/continued-text|pricing|retry|taxonomy|context-window|nearest|units|budget-spec|api-keys|yaml|table|lru|tokens|excerpt|csv|zones)\.ts$|tokens\/|pricing\/)/,
    mayImport: ["vocabulary"],
  },
  { name: "dialects", files: /^providers\/dialects\//, mayImport: ["vocabulary"] },
  { name: "list", files: /^providers\/index\.ts$/, mayImport: ["vocabulary", "provider"] },
  {
    name: "builder",
    files: /^providers\/(catalog(\.build\.ts|\/)|(readme|errors)\.build\.ts)/,
    mayImport: ["vocabulary", "pure", "catalogue", "root", "list"],
  },
  { name: "provider", files: /^providers\/[^/]+\.ts$/, mayImport: ["vocabulary", "dialects"] },
  { name: "routing", files: /^src\/routing\//, mayImport: ["vocabulary", "pure"] },
  { name: "root", files: /^src\/package-root\.ts$/, mayImport: [] },
  { name: "ids", files: /^src\/ids\.ts$/, mayImport: [] },
  { name: "catalogue", files: /^src\/catalog\.ts$/, mayImport: ["vocabulary", "root"] },
  // Types of the catalogue only; and its fetcher, which is to the price list what upstream is to providers.
  { name: "catalogue diff", files: /^src\/catalog\/diff\.ts$/, mayImport: ["vocabulary", "pure", "catalogue"] },
  { name: "catalogue refresh", files: /^src\/catalog\/refresh\.ts$/, mayImport: ["catalogue", "catalogue diff"] },
  {
    name: "config",
    files: /^src\/config(\.ts|\/)/,
    mayImport: ["vocabulary", "pure", "budgets"],
  },
  { name: "budgets", files: /^src\/budgets\.ts$/, mayImport: ["pure"] },
  { name: "reload", files: /^src\/live-rules\//, mayImport: ["vocabulary", "pure"] },
  {
    name: "live-rules",
    files: /^src\/live-rules\.ts$/,
    mayImport: ["vocabulary", "pure", "root", "catalogue", "config", "reload", "routing"],
  },
  { name: "upstream", files: /^src\/upstream(\.ts|\/)/, mayImport: ["vocabulary"] },
  { name: "rows", files: /^src\/store\/rows\.ts$/, mayImport: ["vocabulary"] },
  { name: "key table", files: /^src\/store\/keys\.ts$/, mayImport: ["pure", "store"] },
  { name: "store", files: /^src\/store\//, mayImport: ["vocabulary", "pure", "rows", "root"] },
  { name: "key ring", files: /^src\/key-ring\.ts$/, mayImport: ["pure", "routing", "key table"] },
  { name: "limits", files: /^src\/limits(\.ts|\/)/, mayImport: ["vocabulary", "pure"] },
  { name: "health", files: /^src\/(health(\.ts|\/)|retry-budget\.ts$)/, mayImport: ["vocabulary", "pure"] },
  { name: "fleet", files: /^src\/fleet(\.ts|\/)/, mayImport: ["vocabulary", "pure", "routing"] },
  { name: "learning", files: /^src\/learning\.ts$/, mayImport: ["vocabulary", "pure", "fleet", "routing", "loop"] },
  { name: "alerts", files: /^src\/alerts(\.ts|\/)/, mayImport: ["vocabulary", "pure", "config", "rows"] },
  { name: "memory", files: /^src\/memory\.ts$/, mayImport: ["vocabulary", "pure", "routing"] },
  { name: "download", files: /^src\/(download|google-auth)\.ts$/, mayImport: ["vocabulary"] },
  { name: "simulator", files: /^src\/simulator\//, mayImport: ["vocabulary"] },
  // The loop is handed its effects: of them it may import types only (checked below).
  {
    name: "loop",
    files: /^src\/gateway(\.ts|\/)/,
    mayImport: ["vocabulary", "pure", "routing", "rows", "store", "upstream", "memory", "limits", "health", "budgets"],
  },
  {
    name: "http",
    files: /^src\/http\//,
    mayImport: ["vocabulary", "pure", "routing", "loop", "ids", "limits", "key ring", "key table"],
  },
  { name: "main", files: /^src\/(main|parts|callers|settings|cli|cli\/[\w-]+)\.ts$/, mayImport: [".*"] },
];

function groupOf(path: string) {
  const group = GROUPS.find(({ files }) => files.test(path));
  if (group === undefined) throw new Error(`${path} belongs to no group: give it a place in test/tidy.test.ts`);
  return group;
}

interface Import {
  specifier: string;
  isTypeOnly: boolean;
}

function importsOf({ text }: SourceFile): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm);
  return [...statements].map(([, type, specifier]) => ({ specifier: specifier ?? "", isTypeOnly: type !== undefined }));
}

function resolveImport(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : undefined;
}

describe("imports point down", () => {
  test.each(sources.map((file) => [file.path, file] as const))("%s", (path, file) => {
    const group = groupOf(path);
    for (const { specifier } of importsOf(file)) {
      const target = resolveImport(path, specifier);
      if (target === undefined) continue;
      const targetGroup = groupOf(target).name;
      const isAllowed =
        targetGroup === group.name || group.mayImport.some((name) => new RegExp(`^${name}$`).test(targetGroup));
      expect(isAllowed, `${path} (${group.name}) must not import ${target} (${targetGroup})`).toBe(true);
    }
  });

  test("the loop gets upstream and store as arguments: it imports their types only", () => {
    for (const file of sources.filter(({ path }) => groupOf(path).name === "loop")) {
      for (const { specifier, isTypeOnly } of importsOf(file)) {
        const target = resolveImport(file.path, specifier);
        const isEffect =
          target !== undefined &&
          ["upstream", "store", "memory", "limits", "health", "budgets"].includes(groupOf(target).name);
        if (isEffect) expect(isTypeOnly, `${file.path} must import ${specifier} as a type`).toBe(true);
      }
    }
  });

  const PACKAGES: [name: RegExp, allowedIn: RegExp][] = [
    [/^(hono|@hono)(\/|$)/, /^src\/(http\/|main\.ts)/],
    [/^undici$/, /^src\/(upstream(\/\w+)?|download|google-auth|catalog\/refresh|alerts\/deliver)\.ts$/],
    [/^better-sqlite3$/, /^src\/store\//],
    [/^@marcbachmann\/cel-js$/, /^src\/routing\/conditions\.ts$/],
    [/^yaml$/, /^(src\/yaml\.ts|providers\/catalog\/)/],
    [/^@pydantic\/genai-prices$/, /^providers\/catalog/],
  ];
  test("each package has its one place", () => {
    for (const file of sources) {
      for (const { specifier, isTypeOnly } of importsOf(file)) {
        const rule = PACKAGES.find(([name]) => name.test(specifier));
        if (rule !== undefined && !isTypeOnly) expect(file.path, `${file.path} imports ${specifier}`).toMatch(rule[1]);
      }
    }
  });

  test("vendor SDKs supply types at the most: none is on the path of a request", () => {
    const sdk = /^(openai|@anthropic-ai\/sdk|@google\/genai|@google\/generative-ai)(\/|$)/;
    for (const file of sources) {
      for (const { specifier, isTypeOnly } of importsOf(file)) {
        if (sdk.test(specifier)) expect(isTypeOnly, `${file.path} imports ${specifier}`).toBe(true);
      }
    }
  });
});

describe("effects live in their files", () => {
  const EFFECTS: { name: string; pattern: RegExp; allowedIn: RegExp }[] = [
    {
      name: "the wall clock",
      pattern: /\bDate\.now\b|\bnew Date\(\)/,
      allowedIn: /^src\/(main|parts|settings|cli|simulator\/pace|store\/[\w-]+)\.ts$/,
    },
    {
      name: "a timer",
      pattern: /\bset(Timeout|Interval|Immediate)\(/,
      allowedIn:
        /^src\/(main|parts|catalog\/refresh|http\/slow-caller|upstream\/\w+|simulator\/pace|store\/[\w-]+)\.ts$/,
    },
    {
      name: "the monotonic clock",
      pattern: /\bperformance\.now\b/,
      allowedIn: /^src\/(upstream\/\w+|simulator\/pace|store\/[\w-]+)\.ts$/,
    },
    {
      name: "chance",
      pattern: /\bMath\.random\b|\brandom(Bytes|UUID|FillSync)\b/,
      allowedIn: /^src\/(parts|ids)\.ts$/,
    },
    {
      name: "the environment",
      pattern: /\bprocess\.(env|argv)\b/,
      allowedIn: /^(src\/cli|providers\/(catalog|readme)\.build)\.ts$/,
    },
    {
      name: "the console",
      pattern: /\bconsole\.(log|error|warn|info|debug|table)\b/,
      allowedIn: /^(src\/cli|providers\/(catalog|readme)\.build)\.ts$/,
    },
    { name: "global fetch", pattern: /(?<![.\w])fetch\(/, allowedIn: /^$/ },
    {
      name: "a socket",
      pattern: /from "node:(http|https|net|tls)"/,
      allowedIn: /^src\/(main|parts|download|cli\/limits|http\/.*|simulator\/.*)\.ts$/,
    },
    {
      name: "a file",
      pattern: /from "node:fs/,
      allowedIn:
        /^(src\/(main|settings|config|catalog|catalog\/refresh|package-root|live-rules|live-rules\/[\w-]+|cli\/[\w-]+|store\/[\w-]+)|providers\/((readme|errors)\.build|catalog(\.build|\/[\w-]+)))\.ts$/,
    },
  ];
  test.each(EFFECTS)("$name", ({ pattern, allowedIn }) => {
    const offenders = sources.filter(({ path, text }) => pattern.test(withoutComments(text)) && !allowedIn.test(path));
    expect(offenders.map(({ path }) => path)).toEqual([]);
  });

  test("no module has mutable state of its own", () => {
    const mutable = /^(export )?(let|var) |^(export )?const \w+(: [^=]+)? = new (Map|Set|WeakMap|Array)(<[^>]*>)?\(\)/m;
    expect(sources.filter(({ text }) => mutable.test(text)).map(({ path }) => path)).toEqual([]);
  });
});

test("no behaviour is keyed on the name of a provider outside its own file", () => {
  const ids = sources
    .filter(({ path }) => groupOf(path).name === "provider")
    .flatMap(({ text }) => [...text.matchAll(/\bid: "([\w-]+)"/g)].map((match) => match[1]));
  expect(ids.length).toBeGreaterThan(20);
  const comparison = new RegExp(`(===|!==|case|includes\\(|startsWith\\()\\s*"(${ids.join("|")})"`);
  // The simulator plays three vendors and the catalogue's builder maps names of its sources: names are their subject.
  const judged = sources.filter(({ path }) => !/^(src\/simulator|providers\/catalog)/.test(path));
  expect(judged.filter(({ text }) => comparison.test(withoutComments(text))).map(({ path }) => path)).toEqual([]);
});

describe("nothing grows without notice", () => {
  const FILE_LINES_MAX = 400;
  const FUNCTION_LINES_MAX = 70;

  test(`no file has more than ${FILE_LINES_MAX} lines`, () => {
    const long = sources.filter(({ text }) => text.split("\n").length > FILE_LINES_MAX);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test(`no function has more than ${FUNCTION_LINES_MAX} lines`, () => {
    const long = sources.flatMap((file) => longFunctions(file, FUNCTION_LINES_MAX));
    expect(long).toEqual([]);
  });
});

const FUNCTION_START =
  /^(\s*)(?:export )?(?:async )?(?:function\b|(?:static |async |get |\*)*#?\w+\((?:.*\{)?$|const \w+ = .*=> \{$)/;

/** The formatter puts a closing brace under the start of its function, so indentation tells where one ends. */
function longFunctions({ path, text }: SourceFile, linesMax: number): string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, start) => {
    const indent = FUNCTION_START.exec(line)?.[1];
    if (indent === undefined || /^\s*(if|for|while|switch|return|await|expect)\b/.test(line)) return [];
    const length = lines.slice(start + 1).findIndex((later) => later.startsWith(`${indent}}`)) + 2;
    return length > linesMax ? [`${path}:${start + 1} has ${length} lines`] : [];
  });
}

test("every file is reached from an entry point", () => {
  const entries = [
    "src/cli.ts",
    "src/store/worker.ts",
    "src/store/report-worker.ts",
    "providers/catalog.build.ts",
    "providers/readme.build.ts",
    "providers/errors.build.ts",
  ];
  const reached = new Set<string>();
  const visit = (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    const file = sources.find((candidate) => candidate.path === path);
    expect(file, `${path} is imported but does not exist`).toBeDefined();
    for (const { specifier } of importsOf(file as SourceFile)) {
      const target = resolveImport(path, specifier);
      if (target !== undefined) visit(target);
    }
  };
  entries.forEach(visit);
  expect(sources.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
});

test("the lockfile holds no download addresses, and dependencies are pinned exactly", () => {
  expect(readFileSync(join(ROOT, "package-lock.json"), "utf8")).not.toMatch(/"resolved"/);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<
    string,
    Record<string, string>
  >;
  for (const version of Object.values({ ...dependencies, ...devDependencies }))
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

test("the lockfile holds every optional package, or npm ci refuses it: run `node .ci/complete-lock.ts`", () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
    ),
  );
  expect(missing).toEqual([]);
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");
}
