// The directory of a Signalbox with everything on: a caller's key with limits and a budget, rules, pools, prices, ledger.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PLAIN_KEY } from "../src/api-keys.ts";
import { openKeys } from "../src/store/keys.ts";
import { MODELS, type WireDialect } from "./answers.ts";
import { fillLedger } from "./ledger-figures.ts";

export interface World {
  rules: number;
  keys: number;
  ledgerRows: number;
}

export const PLAIN_WORLD: World = { rules: 1, keys: 1, ledgerRows: 0 };

/** What the load sends as its key. */
export const LOAD_KEY = "sk-sb-bench0123456789bench0123456789bench012";

const DAY_MS = 86_400_000;
const LEDGER_DAYS = 60;
/** Three requests in a hundred of a filled ledger are tried twice: a row each, and one for each attempt. */
const ROWS_PER_REQUEST = 2.03;

/** The name that callers ask for. */
export function askedModel(dialect: WireDialect): string {
  return `bench-${dialect}`;
}

/** Fills `dir` and answers with the environment to start the router in it. */
export function prepareRouter(
  dir: string,
  upstreamUrl: string,
  { rules, keys, ledgerRows }: World,
  tell: (line: string) => void,
): Record<string, string> {
  const data = join(dir, "data");
  mkdirSync(data, { recursive: true });
  writeFileSync(join(dir, "signalbox.yaml"), CONFIG);
  mkdirSync(join(dir, "rules"));
  writeFileSync(join(dir, "rules", "rules.yaml"), rulesText(rules));
  if (ledgerRows > 0) {
    const requests = Math.round(ledgerRows / ROWS_PER_REQUEST);
    const toMs = Date.now() - 60_000;
    tell(`filling a ledger with ${ledgerRows} rows`);
    fillLedger({ dir: data, requests, fromMs: toMs - LEDGER_DAYS * DAY_MS, toMs, tell });
  }
  makeKeys(data, keys);
  return {
    SIGNALBOX_CONFIG: join(dir, "signalbox.yaml"),
    SIGNALBOX_RULES: join(dir, "rules"),
    SIGNALBOX_DATA: data,
    SIGNALBOX_PORT: "0",
    // As src/bin.js and `npm start` have it.
    NODE_COMPILE_CACHE: join(import.meta.dirname, "../node_modules/.cache/signalbox"),
    // As src/bin.js sets them.
    NODE_OPTIONS: "--max-semi-space-size=8",
    MALLOC_MMAP_THRESHOLD_: "131072",
    MALLOC_ARENA_MAX: "2",
    OPENAI_API_KEY: "sk-upstream",
    OPENAI_BASE_URL: `${upstreamUrl}/v1`,
    ANTHROPIC_API_KEY: "sk-upstream",
    ANTHROPIC_BASE_URL: upstreamUrl,
    GEMINI_API_KEY: "sk-upstream",
    GEMINI_BASE_URL: `${upstreamUrl}/v1beta`,
  };
}

/** Limits and budgets that are counted and never reached. */
const CONFIG = `pools:
  openai: { targets: [openai/*], rpm: 10000000, tpm: 10000000000, concurrency: 100000 }
  anthropic: { targets: [anthropic/*], rpm: 10000000, tpm: 10000000000, concurrency: 100000 }
  google: { targets: [google/*], rpm: 10000000, tpm: 10000000000, concurrency: 100000 }
budgets:
  - { everything: true, limit: $900000/month }
  - { team: "*", limit: $900000/day }
`;

function makeKeys(dir: string, count: number): void {
  const table = openKeys(dir);
  try {
    for (let at = 0; at < count; at += 1) {
      const identity = { id: `key_${at}`, secret: at === 0 ? LOAD_KEY : `${LOAD_KEY}-${at}` };
      const made = table.create(
        identity,
        {
          ...PLAIN_KEY,
          ...{ name: `caller-${at}`, team: "bench", tags: ["bench"], budgets: ["$100000/day"] },
          ...{ rpm: 1_000_000, tpm: 1_000_000_000, concurrency: 10_000 },
        },
        0,
      );
      if ("refused" in made) throw new Error(`the key was not made: ${made.message}`);
    }
  } finally {
    table.close();
  }
}

/** Conditions that do not hold for the bench's calls, and whose parts all have to be looked at. */
const CONDITIONS = [
  "tokens.input > 900000 && !has.tools",
  'key.team == "interns" && tokens.input > 50000',
  'header["x-app"] == "cli" || "batch" in tags',
  "has.images && turns > 3",
  'endpoint == "/v1/completions" || time.date == "1999-12-24"',
];
/** Of so many rules one speaks about the model that is asked for; the others about models of their own. */
const CONDITION_EVERY = 10;

/** `count` rules before the last of each provider, which is the one that decides. */
export function rulesText(count: number): string {
  const before = Array.from({ length: count - 1 }, (_, at) => {
    const isAsked = at % CONDITION_EVERY === 0;
    const model = isAsked ? askedModel("openai") : `house-${at}`;
    const when = isAsked ? `, when: ${JSON.stringify(CONDITIONS[(at / CONDITION_EVERY) % CONDITIONS.length])}` : "";
    return `  - { name: rule ${at}, model: ${model}${when}, from: [openai/gpt-4.1-nano] }`;
  });
  const last = Object.entries(MODELS).map(([dialect, model]) => {
    return `  - { name: ${dialect}, model: ${askedModel(dialect as WireDialect)}, from: [${dialect}/${model}] }`;
  });
  return ["version: 1", "rules:", ...before, ...last, ""].join("\n");
}
