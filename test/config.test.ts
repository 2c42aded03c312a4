// What an operator can set, where it may come from, and what is said when it is wrong.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders are what is tested.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { format, inspect } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { anthropicMessages } from "../providers/dialects/anthropic-messages.ts";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as known } from "../providers/index.ts";
import { isLoopback } from "../src/config/environment.ts";
import { buildConfig, type Config, type ConfigInputs, loadConfig } from "../src/config.ts";
import { type ModelEntry, Secret } from "../src/dialect.ts";
import { formatFileError } from "../src/yaml.ts";

type Given = Partial<Pick<ConfigInputs, "flags" | "env">> & { yaml?: string };

const CATALOG: Record<string, ModelEntry> = {
  "gpt-6-sol": { id: "gpt-6-sol", contextTokens: 400_000, rates: { input: 5_000_000, output: 1, cacheRead: 7 } },
};

function inputs({ flags = {}, env = {} }: Given): ConfigInputs {
  return {
    flags,
    env,
    known,
    dialects: { "openai-chat": openaiChat(), "anthropic-messages": anthropicMessages },
    catalog: (section) => new Map(section === "openai" ? Object.entries(CATALOG) : []),
  };
}

function build(given: Given) {
  return buildConfig(inputs(given), { file: "signalbox.yaml", text: given.yaml ?? "" });
}

/** The configuration; mistakes fail the test. */
function config(given: Given): Config {
  const built = build(given);
  if ("errors" in built) throw new Error(built.errors.map(formatFileError).join("\n"));
  return built;
}

/** The mistakes as the operator reads them. */
function mistakes(given: Given): string[] {
  const built = build(given);
  return "errors" in built ? built.errors.map(formatFileError) : [];
}

const KEY = { OPENAI_API_KEY: "sk-real" };
const DAY_MS = 86_400_000;

describe("without a word from the operator", () => {
  test("the router listens on loopback, port 8787, and answers with the simulated providers", () => {
    const { providers, disabled, ...rest } = config({});
    expect(rest).toEqual({
      host: "127.0.0.1",
      port: 8787,
      maxBodyBytes: 32 * 1024 * 1024,
      sendTimeoutMs: 60_000,
      dataDir: "./data",
      rulesDir: undefined,
      catalogUpdate: undefined,
      pools: [],
      budgets: [],
      alerts: {
        budgetPercents: [50, 80, 100],
        spendRateFactor: 3,
        errorRate: 0.2,
        repeatAfterMs: 86_400_000,
        destinations: [],
      },
      retention: {
        ...{ requestsMs: 90 * DAY_MS, tracesMs: 30 * DAY_MS, minutesMs: 2 * DAY_MS, hoursMs: 90 * DAY_MS },
        daysMs: undefined,
      },
      onLedgerFailure: "refuse",
      apiKey: undefined,
      simulated: true,
    });
    expect([...providers.keys()]).toEqual(["simulated-anthropic", "simulated-google", "simulated-openai"]);
    expect(providers.get("simulated-openai")?.models.has("gpt-6-sol")).toBe(true);
    expect(disabled.get("openai")).toBe("set OPENAI_API_KEY");
    expect(disabled.get("ollama")).toBe("set OLLAMA_BASE_URL or OLLAMA_HOST");
    expect(disabled.size + providers.size).toBe(known.length);
  });

  test("comments alone are an empty file", () => {
    expect(config({ yaml: "# nothing yet\n" }).port).toBe(8787);
  });
});

test("a pool's limits are per minute, or per day", () => {
  const yaml =
    "pools: { a: { targets: ['openai/gpt-*'], rpm: 50, itpm: 30k, otpm: 8k, rpd: 1k, tpd: 1M, concurrency: 2, burst: 5s } }";
  expect(config({ yaml }).pools).toEqual([
    {
      name: "a",
      targets: ["openai/gpt-*"],
      requests: 50,
      tokens: undefined,
      inputTokens: 30_000,
      outputTokens: 8_000,
      requestsPerDay: 1_000,
      tokensPerDay: 1_000_000,
      concurrency: 2,
      burstMs: 5_000,
    },
  ]);
});

describe("a pool with keys", () => {
  const env = { KEY_A: "canary-a", KEY_B: "canary-b", KEY_C: "canary-c" };

  test("has an account for each, by position or name, with the pool's limits where it has none of its own", () => {
    const yaml =
      "pools: { gpt: { targets: ['openai/gpt-*'], rpm: 50, keys: ['${KEY_A}', { api_key: '${KEY_B}', rpm: 9, tpm: 1k }, { api_key: '${KEY_C}', name: eu }] } }";
    const [pool] = config({ yaml, env }).pools;
    expect(pool?.accounts?.map(({ name, key, allowance }) => [name, key.reveal(), allowance])).toEqual([
      ["gpt#1", "canary-a", expect.objectContaining({ requests: 50, tokens: undefined })],
      ["gpt#2", "canary-b", expect.objectContaining({ requests: 9, tokens: 1_000 })],
      ["gpt#eu", "canary-c", expect.objectContaining({ requests: 50, tokens: undefined })],
    ]);
    expect(inspect(pool, { depth: 9 }) + JSON.stringify(pool)).not.toContain("canary");
  });

  test("needs no limits, and turns its provider on by its first key", () => {
    const yaml = "pools: { gpt: { targets: [openai/*], keys: ['${KEY_A}', '${KEY_B}'] } }";
    const { providers, simulated } = config({ yaml, env });
    expect([providers.get("openai")?.key?.reveal(), simulated]).toEqual(["canary-a", false]);
    const own = config({ yaml, env: { ...env, ...KEY } });
    expect(own.providers.get("openai")?.key?.reveal()).toBe("sk-real");
    const off = config({ yaml: `${yaml}\nproviders: { openai: { enabled: false } }`, env });
    expect(off.providers.has("openai")).toBe(false);
  });

  test.each([
    [
      "a variable that is not set",
      "keys:\n      - ${KEY_A}\n      - { api_key: '${KEY_X}' }",
      "signalbox.yaml:6:9  pools.gpt.keys[1]: the environment variable KEY_X is not set.",
    ],
    [
      "one key twice",
      "keys: ['${KEY_A}', '${KEY_B}', '${KEY_A}']",
      "signalbox.yaml:4:36  pools.gpt.keys[2]: is the same key as keys[0]; each is an account of its own.",
    ],
    ["nothing", "keys: ['${KEY_X:-}']", "signalbox.yaml:4:12  pools.gpt.keys[0]: expected a key; found nothing."],
    ["no keys", "keys: []", "signalbox.yaml:4:11  pools.gpt.keys: expected at least one key; found a object."],
    [
      "a name that would be a position",
      "keys: [{ api_key: '${KEY_A}', name: '2' }]",
      "signalbox.yaml:4:41  pools.gpt.keys[0].name: expected a letter, then letters, digits, - and _, at most 40 characters; found a string.",
    ],
    [
      "two of one name",
      "keys: [{ api_key: '${KEY_A}', name: eu }, { api_key: '${KEY_B}', name: eu }]",
      'signalbox.yaml:3:5  pools.gpt: "gpt#eu" is the name of two accounts or pools; give one of them another.',
    ],
    [
      "a misspelt limit",
      "keys: [{ api_key: canary, concurency: 5 }]",
      'signalbox.yaml:4:31  pools.gpt.keys[0]: unknown key "concurency". Did you mean "concurrency"? Accepted: api_key, name, rpm, tpm, itpm, otpm, rpd, tpd, concurrency, burst.',
    ],
  ])("%s is refused with its place, and without the key", (_, keys, message) => {
    const yaml = `pools:\n  gpt:\n    targets: ['openai/gpt-*']\n    ${keys}\n`;
    expect(mistakes({ yaml, env })).toEqual([message]);
  });

  test("is of one provider", () => {
    const yaml = "pools: { all: { targets: [openai/*, anthropic/*], keys: ['${KEY_A}'] } }";
    expect(mistakes({ yaml, env })).toEqual([
      "signalbox.yaml:1:26  pools.all.targets: a pool with keys is of one provider; found openai, anthropic. Make a pool for each.",
    ]);
  });
});

describe("the command line wins over the environment, the environment over the file", () => {
  const file = "server: { host: 127.0.0.3, port: 3, max_body: 1MB }\ndata: file\nrules: file\n";
  const env = { SIGNALBOX_HOST: "127.0.0.2", SIGNALBOX_PORT: "2", SIGNALBOX_DATA: "env", SIGNALBOX_RULES: "env" };
  const flags = { host: "127.0.0.1", port: "1", data: "flag", rules: "flag" };

  test.each<[string, Given, object]>([
    ["all three", { flags, env, yaml: file }, { host: "127.0.0.1", port: 1, dataDir: "flag", rulesDir: "flag" }],
    ["no flags", { env, yaml: file }, { host: "127.0.0.2", port: 2, dataDir: "env", rulesDir: "env" }],
    ["the file alone", { yaml: file }, { host: "127.0.0.3", port: 3, dataDir: "file", rulesDir: "file" }],
    [
      "variables that are set to nothing",
      { env: { SIGNALBOX_HOST: "", SIGNALBOX_PORT: "", SIGNALBOX_DATA: "", SIGNALBOX_RULES: "" }, yaml: file },
      { host: "127.0.0.3", port: 3, dataDir: "file", rulesDir: "file" },
    ],
    ["port 0 for any free port", { flags: { port: "0" } }, { port: 0 }],
  ])("%s", (_, given, expected) => {
    expect(config(given)).toMatchObject(expected);
  });

  test.each([
    [{ flags: { port: "http" } }, '--port:1:1  expected a port from 0 to 65535; found "http".'],
    [{ flags: { port: "" } }, '--port:1:1  expected a port from 0 to 65535; found "".'],
    [{ flags: { port: "65536" } }, '--port:1:1  expected a port from 0 to 65535; found "65536".'],
    [{ env: { SIGNALBOX_PORT: "-1" } }, 'SIGNALBOX_PORT:1:1  expected a port from 0 to 65535; found "-1".'],
  ])("a port that is none is refused where it was given: %j", (given, message) => {
    expect(mistakes(given)).toEqual([message]);
  });
});

describe("quantities are written as people write them", () => {
  test.each([
    ["512KB", 512 * 1024],
    ["32MB", 32 * 1024 ** 2],
    ["1.5GB", 1.5 * 1024 ** 3],
    ["10 B", 10],
  ])("max_body: %s", (text, bytes) => {
    expect(config({ yaml: `server: { max_body: ${text} }` }).maxBodyBytes).toBe(bytes);
  });

  test("a caller that takes nothing is cut after a while", () => {
    expect(config({ yaml: "server: { send_timeout: 5m }" }).sendTimeoutMs).toBe(300_000);
    expect(mistakes({ yaml: "server: { send_timeout: 0s }" })).toEqual([
      'signalbox.yaml:1:25  server.send_timeout: expected a duration from 100ms to 1h; found "0s".',
    ]);
  });

  test("a size without a unit is refused, saying what would be accepted", () => {
    expect(mistakes({ yaml: "server:\n  max_body: 512\n" })).toEqual([
      "signalbox.yaml:2:13  server.max_body: expected a size such as 512KB or 32MB; found 512.",
    ]);
  });
});

describe("alerts", () => {
  const env = { ALERT_SECRET: "canary-signing-secret", SLACK_WEBHOOK: "https://hooks.example/T/B/canary" };

  test("have thresholds, pauses and destinations, with what is secret from the environment", () => {
    const yaml = [
      "alerts:",
      "  budgets: [100%, 50%, 50%, 12.5%]",
      "  spend_rate: 2.5x",
      "  error_rate: off",
      "  repeat_after: 6h",
      "  to:",
      "    - log",
      "    - webhook: { url: 'https://ops.example:8443/hook?token=canary', secret: ${ALERT_SECRET} }",
      "    - webhook: { url: 'http://127.0.0.1:9/', secret: 'another-signing-secret' }",
      "    - slack: { url: '${SLACK_WEBHOOK}' }",
    ].join("\n");
    const { alerts } = config({ yaml, env });
    const secret = expect.any(Secret);
    expect(alerts).toEqual({
      budgetPercents: [12.5, 50, 100],
      spendRateFactor: 2.5,
      errorRate: undefined,
      repeatAfterMs: 21_600_000,
      destinations: [
        { kind: "webhook", name: "webhook", host: "ops.example:8443", url: secret, signingSecret: secret },
        { kind: "webhook", name: "webhook-2", host: "127.0.0.1:9", url: secret, signingSecret: secret },
        { kind: "slack", name: "slack", host: "hooks.example", url: secret },
      ],
    });
    expect(alerts.destinations.map(({ url }) => url.reveal())).toContain(env.SLACK_WEBHOOK);
    expect(inspect(alerts, { depth: 9 }) + JSON.stringify(alerts)).not.toContain("canary");
  });

  test("can be off, each kind apart", () => {
    const yaml = "alerts: { budgets: off, spend_rate: false, error_rate: off }";
    expect(config({ yaml }).alerts).toMatchObject({
      budgetPercents: [],
      spendRateFactor: undefined,
      errorRate: undefined,
    });
  });

  const WEBHOOK = "alerts.to[0].webhook";
  test.each<[string, string, string]>([
    ["a number", "budgets: [50]", "1:21  alerts.budgets[0]: expected text; found 50."],
    [
      "a threshold of nothing",
      "budgets: [0%]",
      'alerts.budgets[0]: expected a percentage of the budget such as 80%, up to 1000%; found "0%".',
    ],
    ["a word", "budgets: on", 'alerts.budgets: expected a list such as [50%, 80%, 100%], or off; found "on".'],
    [
      "a factor that is none",
      "spend_rate: 300%",
      'alerts.spend_rate: expected a factor above 1 such as 3x, or off; found "300%".',
    ],
    [
      "a share of nothing",
      "error_rate: 0%",
      'alerts.error_rate: expected a percentage above 0 such as 20%, or off; found "0%".',
    ],
    ["a pause of a second", "repeat_after: 1s", 'alerts.repeat_after: expected a duration from 1m to 30d; found "1s".'],
    [
      "an unknown key",
      "error_rates: off",
      '1:11  alerts: unknown key "error_rates". Did you mean "error_rate"? Accepted: budgets, spend_rate, error_rate, repeat_after, to.',
    ],
    [
      "an unknown destination",
      "to: [mail]",
      'alerts.to[0]: expected log, webhook: {url, secret} or slack: {url}; found "mail".',
    ],
    [
      "a misspelt destination",
      "to: [{ slak: { url: x } }]",
      '1:18  alerts.to[0]: unknown key "slak". Did you mean "slack"? Accepted: webhook, slack.',
    ],
    [
      "two in one",
      "to: [{ slack: { url: canary }, webhook: { url: canary, secret: canary } }]",
      "alerts.to[0]: expected one of webhook and slack; start a new item of the list for each; found {",
    ],
    [
      "a misspelt part",
      "to: [{ slack: { url: 'https://a.example', urll: canary } }]",
      '1:53  alerts.to[0].slack: unknown key "urll". Did you mean "url"? Accepted: url.',
    ],
    [
      "a webhook that is not signed",
      "to: [{ webhook: { url: 'https://x.example' } }]",
      `${WEBHOOK}.secret: expected text; found nothing.`,
    ],
    [
      "a short secret",
      "to: [{ webhook: { url: 'https://x.example', secret: canary } }]",
      `1:63  ${WEBHOOK}.secret: expected at least 16 characters; found 6.`,
    ],
    [
      "a variable that is not set",
      "to: [{ webhook: { url: 'https://x.example', secret: '${NOT_SET}' } }]",
      `1:63  ${WEBHOOK}.secret: the environment variable NOT_SET is not set.`,
    ],
    [
      "an address in the clear",
      "to: [{ slack: { url: 'http://hooks.example/canary' } }]",
      "1:32  alerts.to[0].slack.url: expected an https:// URL, or http:// to this machine; found http://.",
    ],
    [
      "an address with a password",
      "to: [{ slack: { url: 'https://a:canary@hooks.example' } }]",
      "alerts.to[0].slack.url: expected a URL without a user name or password.",
    ],
    [
      "no address",
      "to: [{ slack: { url: canary } }]",
      "alerts.to[0].slack.url: expected an https:// URL; what it holds is not a URL.",
    ],
    [
      "an address in the wrong place",
      "to: [{ slack: 'https://hooks.example/canary' }]",
      "alerts.to[0].slack: expected a mapping; found a string.",
    ],
    [
      "an address instead of the list",
      "to: https://hooks.example/canary",
      'alerts.to: expected a list; found "https://hooks.example/…".',
    ],
  ])("%s is shown with its place, without what may be secret", (_, text, message) => {
    const found = mistakes({ yaml: `alerts: { ${text} }` });
    expect(found.join("\n")).toContain(message);
    expect(found).toHaveLength(1);
    expect(found.join("\n")).not.toContain("canary");
  });
});

describe("a mistake in the file is shown with its place and what would be accepted", () => {
  test.each<[string, string, string[]]>([
    [
      "an unknown key",
      "server:\n  prot: 80\n",
      [
        'signalbox.yaml:2:3  server: unknown key "prot". Did you mean "port"? Accepted: host, port, max_body, send_timeout.',
      ],
    ],
    [
      "an unknown key of a provider",
      "providers:\n  openai: { apikey: x }\n",
      [
        'signalbox.yaml:2:13  providers.openai: unknown key "apikey". Did you mean "api_key"? ' +
          "Accepted: enabled, api_key, base_url, dialect, models, discount, surcharge, service_tiers, regions, data_policy.",
      ],
    ],
    [
      "several at once",
      "dat: x\nserver: { port: 99999 }\n",
      [
        "signalbox.yaml:2:17  server.port: Too big: expected number to be <=65535; found 99999.",
        'signalbox.yaml:1:1  unknown key "dat". Did you mean "data"? Accepted: server, data, rules, catalog, providers, pools, budgets, alerts, retention, on_ledger_failure.',
      ],
    ],
    ["a wrong type", "data: [a]\n", ['signalbox.yaml:1:7  data: expected text; found ["a"].']],
    [
      "a port that is no number",
      "server: { port: no }\n",
      ['signalbox.yaml:1:17  server.port: expected number; found "no".'],
    ],
    [
      "a pool of a provider that does not exist",
      "pools: { claude: { targets: [antropic/claude-*], rpm: 50 } }\n",
      [
        'signalbox.yaml:1:30  pools.claude.targets[0]: there is no provider "antropic". Did you mean anthropic? Expected a pattern on provider/model such as openai/gpt-*.',
      ],
    ],
    [
      "a pool without a limit",
      "pools: { all: { targets: [openai/*], burst: 5s } }\n",
      [
        'signalbox.yaml:1:15  pools.all: a pool needs a limit: rpm, tpm, itpm, otpm, rpd, tpd or concurrency; found {"targets":["openai/*"],"burst":"5s"}.',
      ],
    ],
    [
      "a limit of nothing",
      "pools: { all: { targets: [openai/*], rpm: 0 } }\n",
      ["signalbox.yaml:1:43  pools.all.rpm: expected more than 0; found 0."],
    ],
    [
      "sums that reports would miss",
      "retention: { minutes: 1d, hours: 30d, days: forever }\n",
      [
        'signalbox.yaml:1:23  retention.minutes: expected a duration of at least 2d, or forever; found "1d".',
        'signalbox.yaml:1:34  retention.hours: expected a duration of at least 31d, or forever; found "30d".',
      ],
    ],
    ["a section without content", "providers:\n", ["signalbox.yaml:1:11  providers: expected a mapping; found null."]],
    ["text instead of a file", "hello\n", ['signalbox.yaml:1:1  expected a mapping; found "hello".']],
    ["a key twice", "data: a\ndata: b\n", ["signalbox.yaml:2:1  Map keys must be unique"]],
    [
      "YAML that is broken",
      "server: { port: 1\n",
      ["signalbox.yaml:2:1  Flow map in block collection must be sufficiently indented and end with a }"],
    ],
    [
      "two documents",
      "data: a\n---\ndata: b\n",
      ["signalbox.yaml:2:1  Source contains multiple documents; please use YAML.parseAllDocuments()"],
    ],
    [
      "an alias that is not defined",
      "data: *x\n",
      [
        "signalbox.yaml:1:1  the aliases (*name) of this file cannot be resolved: " +
          "Unresolved alias (the anchor must be set before the alias): x.",
      ],
    ],
    [
      "an alias within itself",
      "data: &x [*x]\n",
      [
        "signalbox.yaml:1:1  the aliases (*name) of this file cannot be resolved: " +
          "an alias refers to itself, or nesting is too deep.",
      ],
    ],
  ])("%s", (_, yaml, messages) => {
    expect(mistakes({ yaml })).toEqual(messages);
  });

  test("a bomb of aliases is refused instead of unfolded", () => {
    const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`);
    expect(mistakes({ yaml: `a0: &a0 [x]\n${levels.join("\n")}\n` })).toEqual([
      expect.stringContaining("the aliases (*name) of this file cannot be resolved"),
    ]);
  });
});

describe("${NAME} is filled from the environment", () => {
  test.each([
    ["in a flow mapping", "providers: { openai: { api_key: ${MY_KEY}, base_url: '${MY_URL}/v1' } }"],
    ["in a block mapping", "providers:\n  openai:\n    api_key: ${MY_KEY}\n    base_url: ${MY_URL}/v1\n"],
    [
      "with a default that is not needed",
      "providers: { openai: { api_key: '${MY_KEY:-no}', base_url: '${MY_URL}/v1' } }",
    ],
    ["with a default that is", "providers: { openai: { api_key: '${NOT_SET:-sk-mine}', base_url: '${MY_URL}/v1' } }"],
  ])("%s", (_, yaml) => {
    const env = { MY_KEY: "sk-mine", MY_URL: "https://proxy.example" };
    const openai = config({ env, yaml }).providers.get("openai");
    expect(openai?.key?.reveal()).toBe("sk-mine");
    expect(openai?.baseUrl).toBe("https://proxy.example/v1");
  });

  test("a variable that is not set is named, with the place where it is used", () => {
    expect(mistakes({ yaml: "providers: { openai: { enabled: true, api_key: ${MY_KEY} } }" })).toEqual([
      "signalbox.yaml:1:48  providers.openai.api_key: the environment variable MY_KEY is not set.",
    ]);
  });

  test("columns behind it stay true", () => {
    expect(mistakes({ yaml: "providers: { openai: { api_key: ${MY_KEY}, bas_url: x } }" })).toEqual([
      expect.stringMatching(
        /^signalbox\.yaml:1:44 {2}providers\.openai: unknown key "bas_url"\. Did you mean "base_url"\?/,
      ),
    ]);
  });

  test("an empty default means nothing is set: the provider's own variable is used, or it stays off", () => {
    const yaml = "providers: { openai: { api_key: '${MY_KEY:-}', base_url: '${MY_URL:-}' } }";
    expect(config({ yaml, env: KEY }).providers.get("openai")).toMatchObject({ baseUrl: "https://api.openai.com/v1" });
    expect(config({ yaml, env: KEY }).providers.get("openai")?.key?.reveal()).toBe("sk-real");
    expect(config({ yaml }).disabled.get("openai")).toBe("set OPENAI_API_KEY");
  });
});

describe("a provider is on when it has what it needs", () => {
  test("a key in its variable is enough, and then nothing is simulated", () => {
    const { providers, simulated } = config({ env: KEY });
    expect([...providers.keys()]).toEqual(["openai"]);
    expect(simulated).toBe(false);
    expect(providers.get("openai")).toMatchObject({ baseUrl: "https://api.openai.com/v1" });
    expect(providers.get("openai")?.key?.reveal()).toBe("sk-real");
  });

  test("an empty key is none", () => {
    expect(config({ env: { OPENAI_API_KEY: "" } }).simulated).toBe(true);
  });

  test("a key in the file wins over the variable", () => {
    const { providers } = config({ env: KEY, yaml: "providers: { openai: { api_key: sk-file } }" });
    expect(providers.get("openai")?.key?.reveal()).toBe("sk-file");
  });

  test("a local server needs its address, and no key", () => {
    const vllm = config({ env: { VLLM_BASE_URL: "http://gpu-1:8000" } }).providers.get("vllm");
    expect(vllm).toMatchObject({ baseUrl: "http://gpu-1:8000/v1", key: undefined });
  });

  test("a key alone does not turn a local server on", () => {
    expect(config({ env: { OLLAMA_API_KEY: "k" } }).providers.has("ollama")).toBe(false);
  });

  test("`enabled: false` turns it off although it has a key, and says so", () => {
    const { providers, disabled } = config({ env: KEY, yaml: "providers: { openai: { enabled: false } }" });
    expect(providers.has("openai")).toBe(false);
    expect(disabled.get("openai")).toBe("it is switched off in signalbox.yaml");
  });

  test.each([
    ["openai", "no key (OPENAI_API_KEY)"],
    ["vllm", "no address (VLLM_BASE_URL)"],
  ])("`enabled: true` without what it needs is a mistake: %s", (id, lack) => {
    expect(mistakes({ yaml: `providers:\n  ${id}: { enabled: true }\n` })).toEqual([
      `signalbox.yaml:2:${id.length + 5}  providers.${id}: enabled, but it has ${lack}.`,
    ]);
  });

  test("a simulated provider can stand beside real ones when it is asked for", () => {
    const { providers, simulated } = config({ env: KEY, yaml: "providers: { simulated-google: { enabled: true } }" });
    expect([...providers.keys()]).toEqual(["openai", "simulated-google"]);
    expect(simulated).toBe(false);
  });

  test("a simulated provider can be left out of simulated mode", () => {
    const { providers } = config({ yaml: "providers: { simulated-google: { enabled: false } }" });
    expect([...providers.keys()]).toEqual(["simulated-anthropic", "simulated-openai"]);
  });
});

describe("addresses are put right where their meaning is clear", () => {
  test.each([
    ["OLLAMA_HOST", "gpu-1:11434", "ollama", "http://gpu-1:11434/v1"],
    ["OLLAMA_HOST", "127.0.0.1", "ollama", "http://127.0.0.1:11434/v1"],
    ["OLLAMA_HOST", "http://gpu-1", "ollama", "http://gpu-1/v1"],
    ["OLLAMA_HOST", "http://gpu-1:9/", "ollama", "http://gpu-1:9/v1"],
    ["OLLAMA_HOST", "https://gpu-1/proxy/", "ollama", "https://gpu-1/proxy"],
    ["OLLAMA_HOST", "HTTP://gpu-1:9", "ollama", "http://gpu-1:9/v1"],
    ["OLLAMA_HOST", "[::1]:9", "ollama", "http://[::1]:9/v1"],
    ["VLLM_BASE_URL", "http://gpu-1:8000/v1/", "vllm", "http://gpu-1:8000/v1"],
  ])("%s=%s", (name, text, id, url) => {
    expect(config({ env: { [name]: text } }).providers.get(id)?.baseUrl).toBe(url);
  });

  test("the resource name is part of Azure's address", () => {
    const env = { AZURE_API_KEY: "k", AZURE_RESOURCE_NAME: "acme" };
    expect(config({ env }).providers.get("azure")?.baseUrl).toBe("https://acme.openai.azure.com/openai/v1");
  });

  test("an address of Azure's without a path gets the one of the built-in address", () => {
    const env = { AZURE_API_KEY: "k", AZURE_BASE_URL: "https://acme.services.ai.azure.com" };
    expect(config({ env }).providers.get("azure")?.baseUrl).toBe("https://acme.services.ai.azure.com/openai/v1");
  });

  test("Azure's key without a resource name leaves it off, and says what is missing", () => {
    const { disabled, simulated } = config({ env: { AZURE_API_KEY: "k" } });
    expect(disabled.get("azure")).toBe("set AZURE_RESOURCE_NAME or AZURE_BASE_URL or AZURE_OPENAI_BASE_URL");
    expect(simulated).toBe(true);
  });

  test("the same is a mistake when Azure was configured by hand", () => {
    expect(mistakes({ yaml: "providers:\n  azure: { api_key: k }\n" })).toEqual([
      "signalbox.yaml:2:10  providers.azure: set AZURE_RESOURCE_NAME or AZURE_BASE_URL or AZURE_OPENAI_BASE_URL.",
    ]);
  });

  test.each([
    ["ftp://gpu-1/v1", "its address must start with http:// or https://; found ftp://"],
    ["http://", "its address is not a URL"],
    ["http://ann:hunter2@gpu-1/v1", "its address must not hold credentials; use api_key"],
    ["http://gpu-1/v1?api-version=2024-10-21", 'its address must not have a query or a fragment ("?" or "#")'],
  ])("%s is not an address to call", (text, lack) => {
    expect(mistakes({ yaml: `providers: { vllm: { base_url: "${text}" } }` })).toEqual([
      `signalbox.yaml:1:32  providers.vllm: ${lack}.`,
    ]);
    expect(config({ env: { VLLM_BASE_URL: text } }).disabled.get("vllm")).toBe(lack);
  });
});

describe("a provider of the operator's own", () => {
  test("needs a dialect and an address, and sends its key as the dialect's vendor takes it", () => {
    const yaml = [
      "providers:",
      "  house: { dialect: openai-chat, base_url: 'http://gpu-1:8000/v1', api_key: k }",
      "  claude-proxy: { dialect: anthropic-messages, base_url: 'http://gpu-2' , api_key: k }",
      "  keyless: { dialect: openai-chat, base_url: 'http://gpu-3/v1' }",
    ].join("\n");
    const { providers, simulated } = config({ yaml });
    expect(simulated).toBe(false);
    const headersOf = (id: string) => providers.get(id)?.authorize(providers.get(id)?.key?.reveal() ?? "");
    expect(headersOf("house")).toEqual({ authorization: "Bearer k" });
    expect(headersOf("claude-proxy")).toEqual({ "x-api-key": "k" });
    expect(providers.get("keyless")).toMatchObject({ baseUrl: "http://gpu-3/v1", key: undefined });
  });

  test("may name its models, their windows and prices", () => {
    const yaml = [
      "providers:",
      "  house:",
      "    dialect: openai-chat",
      "    base_url: http://gpu-1:8000/v1",
      "    models:",
      "      - id: qwen",
      "        context: 128k",
      "        max_output: 8000",
      "        price: { input: $0.10, output: 0.40, cache_read: $0.0001, cache_write_1h: $0 }",
      "      - id: plain",
    ].join("\n");
    expect([...(config({ yaml }).providers.get("house")?.models.values() ?? [])]).toEqual([
      {
        id: "qwen",
        contextTokens: 128_000,
        maxOutputTokens: 8_000,
        rates: { input: 100_000, output: 400_000, cacheRead: 100, cacheWrite1h: 0 },
        priceSource: "signalbox.yaml",
        priceStatus: "override",
      },
      { id: "plain" },
    ]);
  });

  test.each<[string, string, string]>([
    [
      "no dialect, because the name is misspelt",
      "providers:\n  opnai: { api_key: x }\n",
      'signalbox.yaml:2:10  providers.opnai: "opnai" is not a built-in provider, so it needs a dialect ' +
        '(one of openai-chat, anthropic-messages); found none. Did you mean "openai"?',
    ],
    [
      "a dialect that does not exist",
      "providers:\n  house: { dialect: openai, base_url: http://x }\n",
      'signalbox.yaml:2:10  providers.house: "house" is not a built-in provider, so it needs a dialect ' +
        '(one of openai-chat, anthropic-messages); found "openai".',
    ],
    [
      "no address",
      "providers:\n  house: { dialect: openai-chat }\n",
      'signalbox.yaml:2:10  providers.house: "house" is not a built-in provider, so it needs a base_url.',
    ],
    [
      "a name with a slash, at which targets are split",
      "providers:\n  a/b: { dialect: openai-chat, base_url: http://x }\n",
      'signalbox.yaml:2:8  providers: "a/b" cannot be the id of a provider: letters, digits, "-", "_" and "." only.',
    ],
    [
      "a dialect for a provider that has one",
      "providers:\n  openai: { api_key: k, dialect: anthropic-messages }\n",
      "signalbox.yaml:2:34  providers.openai.dialect: a built-in provider has its dialect; " +
        "give another provider a name of its own.",
    ],
  ])("%s", (_, yaml, message) => {
    expect(mistakes({ yaml })).toEqual([message]);
  });
});

test("the operator's price of a known model replaces the catalogue's whole, and the rest of what is known stays", () => {
  const yaml = "providers: { openai: { models: [{ id: gpt-6-sol, price: { input: $1, output: $2 } }] } }";
  expect(config({ env: KEY, yaml }).providers.get("openai")?.models.get("gpt-6-sol")).toEqual({
    id: "gpt-6-sol",
    contextTokens: 400_000,
    rates: { input: 1_000_000, output: 2_000_000 },
    priceSource: "signalbox.yaml",
    priceStatus: "override",
  });
});

describe("a router that others can reach needs a key", () => {
  const refused = (from: string, host: string) =>
    `${from}  refusing to listen on ${host} without a key: anyone who reaches it could spend your money. ` +
    'Set SIGNALBOX_API_KEY, give callers keys with "signalbox keys create", or listen on 127.0.0.1.';

  test.each(["0.0.0.0", "::", "192.168.1.7", "router.lan", "::ffff:127.0.0.1", ""])("%j", (host) => {
    expect(mistakes({ flags: { host } })).toEqual([refused("--host:1:1", host)]);
    expect(config({ flags: { host }, env: { SIGNALBOX_API_KEY: "sk-sb-1" } }).host).toBe(host);
  });

  test("keys of callers in the data directory are as good as one", () => {
    const asked: string[] = [];
    const hasKeys = (answer: boolean) => (dataDir: string) => {
      asked.push(dataDir);
      return answer;
    };
    const given = inputs({ flags: { host: "0.0.0.0", data: "there" } });
    const source = { file: "signalbox.yaml", text: "" };
    expect(buildConfig({ ...given, hasKeys: hasKeys(true) }, source)).toMatchObject({ host: "0.0.0.0" });
    expect(buildConfig({ ...given, hasKeys: hasKeys(false) }, source)).toMatchObject({ errors: [{ file: "--host" }] });
    expect(asked).toEqual(["there", "there"]);
  });

  test("the key of /admin is another than that of the API", () => {
    const env = { SIGNALBOX_API_KEY: "one", SIGNALBOX_ADMIN_KEY: "one" };
    expect(mistakes({ env })).toEqual([
      "SIGNALBOX_ADMIN_KEY:1:1  must differ from SIGNALBOX_API_KEY: whoever may call models could otherwise make keys.",
    ]);
    expect(config({ env: { ...env, SIGNALBOX_ADMIN_KEY: "two" } }).adminKey?.reveal()).toBe("two");
  });

  test.each(["127.0.0.1", "127.0.0.53", "localhost", "::1"])("%s is this machine alone", (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(config({ flags: { host } }).host).toBe(host);
  });

  test("the refusal points at whoever asked for it", () => {
    expect(mistakes({ env: { SIGNALBOX_HOST: "0.0.0.0" } })).toEqual([refused("SIGNALBOX_HOST:1:1", "0.0.0.0")]);
    expect(mistakes({ yaml: "server:\n  host: 0.0.0.0\n" })).toEqual([refused("signalbox.yaml:2:9", "0.0.0.0")]);
    const both = { flags: { host: "0.0.0.0" }, yaml: "server: { host: 127.0.0.1 }\n" };
    expect(mistakes(both)).toEqual([refused("--host:1:1", "0.0.0.0")]);
  });

  test("an empty key is none", () => {
    const env = { SIGNALBOX_HOST: "0.0.0.0", SIGNALBOX_API_KEY: "" };
    expect(mistakes({ env })).toEqual([refused("SIGNALBOX_HOST:1:1", "0.0.0.0")]);
  });
});

test("a discount lowers a provider's prices and says so where the price comes from", () => {
  const yaml = "providers: { openai: { discount: 25%, regions: [eu], data_policy: no_retention } }";
  const openai = config({ yaml, env: { OPENAI_API_KEY: "k" } }).providers.get("openai");
  const list = config({ env: { OPENAI_API_KEY: "k" } }).providers.get("openai");
  expect(openai).toMatchObject({ regions: ["eu"], dataPolicy: "no_retention" });
  const priced = [...(list?.models.values() ?? [])].filter(({ rates }) => rates !== undefined);
  expect(priced).not.toEqual([]);
  for (const { id, rates } of priced) {
    const entry = openai?.models.get(id);
    expect(entry?.rates?.input).toBe(Math.round((rates?.input ?? 0) * 0.75));
    expect(entry?.priceSource).toMatch(/less 25 %$/);
  }
  expect(mistakes({ yaml: "providers: { openai: { discount: 0.25 } }" })[0]).toContain("expected");
});

test("a surcharge raises what tokens cost, and tiers sold by contract get the price the operator knows", () => {
  const yaml = "providers: { openai: { surcharge: 10%, service_tiers: { scale: 1, flex: 0.4 } } }";
  const list = config({ env: KEY }).providers.get("openai")?.models.get("gpt-6-sol");
  const entry = config({ env: KEY, yaml }).providers.get("openai")?.models.get("gpt-6-sol");
  expect(entry?.rates?.input).toBe(Math.round((list?.rates?.input ?? Number.NaN) * 1.1));
  expect(entry?.rates?.serviceTiers).toMatchObject({ scale: 1_000_000, flex: 400_000 });
  expect(entry?.priceSource).toMatch(/plus 10 %$/);
});

describe("a price of the operator's own", () => {
  const house = (price: string) =>
    `providers:\n  house:\n    dialect: openai-chat\n    base_url: http://x\n    models:\n      - id: m\n        price: ${price}\n`;
  const ratesOf = (price: string) =>
    config({ yaml: house(price) })
      .providers.get("house")
      ?.models.get("m")?.rates;

  test("may say everything that a price of the catalogue says", () => {
    const price = `
          input: $1.25
          output: $10
          cache_read: $0.125
          audio_cache_read: $1
          image_output: $30
          reasoning_output: $3
          request: $0.012
          search: $0.01
          tiers:
            - { from_input: 272k, input: $2.50, output: $15 }
            - { above_input: 500000, input: $5, output: $30 }
          periods:
            - { from: 2027-01-01, input: $2, output: $12 }
            - { time: "16:30-00:30", days: [mon, sun], input: $0.5, output: $5 }
          service_tiers:
            flex: 0.5
            fast: { input: $9, output: $90 }
          regions: { us: 1.1 }`;
    expect(ratesOf(price)).toEqual({
      ...{ input: 1_250_000, output: 10_000_000, cacheRead: 125_000, audioCacheRead: 1_000_000 },
      ...{ imageOutput: 30_000_000, reasoningOutput: 3_000_000, request: 12_000_000_000, search: 10_000_000_000 },
      tiers: [
        { fromInputTokens: 272_000, rates: { input: 2_500_000, output: 15_000_000 } },
        { aboveInputTokens: 500_000, rates: { input: 5_000_000, output: 30_000_000 } },
      ],
      periods: [
        { fromDate: "2027-01-01", rates: { input: 2_000_000, output: 12_000_000 } },
        { fromTime: "16:30", untilTime: "00:30", days: [1, 0], rates: { input: 500_000, output: 5_000_000 } },
      ],
      serviceTiers: { flex: 500_000, fast: { input: 9_000_000, output: 90_000_000 } },
      regions: { us: 1_100_000 },
    });
  });

  test("of nothing is free, and the bounds of what is believed are within them", () => {
    expect(ratesOf("{ input: 0, output: $0 }")).toEqual({ input: 0, output: 0 });
    expect(ratesOf("{ input: $0.0001, output: $10000 }")).toEqual({ input: 100, output: 10_000_000_000 });
  });

  test.each([
    [
      "far too high",
      "{ input: $10000.01, output: $1 }",
      "expected 0, or from $0.0001 to $10,000 per million tokens; found $10000.01: was it meant per token, per thousand tokens or in cents?",
    ],
    ["given per token", "{ input: $0.000003, output: $1 }", "found $0.000003: was it meant per token"],
    [
      "of a tier, far too low",
      "{ input: $1, output: $1, tiers: [{ from_input: 1k, input: $0.00001, output: $1 }] }",
      "found $0.00001",
    ],
    [
      "of a search per thousand",
      "{ input: $1, output: $1, search: $250 }",
      "to $100 each; found $250: was it meant per thousand?",
    ],
    [
      "with a tier that begins twice",
      "{ input: 1, output: 1, tiers: [{ from_input: 1, above_input: 1, input: 1, output: 1 }] }",
      "either from_input",
    ],
    [
      "with a tier that begins nowhere",
      "{ input: 1, output: 1, tiers: [{ input: 1, output: 1 }] }",
      "either from_input",
    ],
    [
      "with a period that always holds",
      "{ input: 1, output: 1, periods: [{ input: 1, output: 1 }] }",
      "needs a condition",
    ],
    [
      "with an hour that does not exist",
      '{ input: 1, output: 1, periods: [{ time: "24:00-01:00", input: 1, output: 1 }] }',
      "a time of day in UTC",
    ],
    [
      "with a day that does not exist",
      "{ input: 1, output: 1, periods: [{ from: 2027-02-30, input: 1, output: 1 }] }",
      "a day such as",
    ],
    ["with a tier at a hundredfold", "{ input: 1, output: 1, service_tiers: { fast: 100 } }", "service_tiers"],
  ])("%s is refused", (_, price, message) => {
    const found = mistakes({ yaml: house(price) });
    expect(found.join("\n")).toContain(message);
    expect(found[0]).toMatch(/^signalbox\.yaml:7:\d+ {2}providers\.house\.models/);
  });
});

describe("secrets are never printed", () => {
  const env = { OPENAI_API_KEY: "sk-canary-1", SIGNALBOX_API_KEY: "sk-canary-2", MY_KEY: "sk-canary-3" };
  const yaml = "providers:\n  house: { dialect: openai-chat, base_url: http://x, api_key: '${MY_KEY}' }\n";

  test.each<[string, (value: Config) => string]>([
    ["JSON", (value) => JSON.stringify([value, ...value.providers.values()])],
    ["console.log", (value) => format("%s %o %O %j", value, value, value, value)],
    ["an inspection of everything, hidden members included", (value) => inspect(value, { depth: 9, showHidden: true })],
    ["a template string", (value) => [...value.providers.values()].map(({ key }) => `${key} ${String(key)}`).join()],
  ])("by %s", (_, print) => {
    const printed = print(config({ env, yaml }));
    expect(printed).not.toContain("canary");
    expect(printed).not.toBe("");
  });

  test.each([
    ["a key that is a number", "providers: { openai: { api_key: 1234567 } }", "1234567"],
    ["a key that is a list", "providers: { openai: { api_key: [sk-canary] } }", "canary"],
    ["an address with a password", "providers: { vllm: { base_url: 'http://ann:canary@gpu/v1' } }", "canary"],
  ])("by the message about %s", (_, text, secret) => {
    const messages = mistakes({ yaml: text });
    expect(messages).toHaveLength(1);
    expect(messages.join()).not.toContain(secret);
  });
});

describe("the file", () => {
  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), "signalbox-config-"));
    onTestFinished(() => rmSync(path, { recursive: true }));
    return path;
  }

  test("may be named by flag or variable, and its name is part of its mistakes", () => {
    const file = join(folder(), "mine.yaml");
    writeFileSync(file, "server: { port: 5 }\n");
    expect(loadConfig(inputs({ flags: { config: file } }))).toMatchObject({ port: 5 });
    expect(loadConfig(inputs({ env: { SIGNALBOX_CONFIG: file } }))).toMatchObject({ port: 5 });
    writeFileSync(file, "prot: 5\n");
    expect(loadConfig(inputs({ flags: { config: file } }))).toMatchObject({ errors: [{ file, line: 1, column: 1 }] });
  });

  test("that was named and is not there is a mistake", () => {
    const file = join(folder(), "gone.yaml");
    expect(loadConfig(inputs({ flags: { config: file } }))).toEqual({
      errors: [{ file, line: 1, column: 1, message: "this file does not exist" }],
    });
  });
});
