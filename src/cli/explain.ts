// `signalbox explain`: where a request would go and why, planned as the router would; or where one went, from the ledger.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import type { ChatRequest } from "../chat.ts";
import type { Environment } from "../config.ts";
import { createLearning, kindOf } from "../learning.ts";
import { affinityId } from "../routing/affinity-id.ts";
import { explain as explainPlan, explainText } from "../routing/explain.ts";
import type { Asked } from "../routing/facts.ts";
import type { Snapshot } from "../routing/snapshot.ts";
import { readSettings, readSnapshot, StartError } from "../settings.ts";
import { DATABASE_NAME } from "../store/database.ts";
import { StatisticsMail } from "../store/statistics.ts";
import { parse, UsageError } from "./arguments.ts";
import { explainPast } from "./explain-past.ts";

const HELP = `signalbox explain: where a request would go and why, or where one went. Nothing is sent.

Usage: signalbox explain REQUEST.json [--rules DIR] [--header 'NAME: VALUE'] [--json] [--data DIR] [--config FILE]
       signalbox explain REQUEST-ID [--json] [--data DIR] [--config FILE]

  REQUEST-ID     The x-request-id of an answer (req_…): what the ledger has about it
  REQUEST.json   The body of a POST /v1/chat/completions; - reads standard input
  --header H     A request header, for rules that look at one (x-signalbox-tags: batch); may be repeated
  --json         One JSON document, as POST /v1/route/explain answers
  --rules DIR    Folder of routing rules (SIGNALBOX_RULES)        default ./routing-rules
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)            default ./data
                 What the router has learnt there about latency, failures and caches counts; without it, nothing is known.
  --config FILE  Configuration (SIGNALBOX_CONFIG)                 default ./signalbox.yaml, if there
  -h, --help     This text
`;

export function explain(args: string[], env: Environment, nowMs: number): string {
  const { values, positionals } = parse(args, {
    header: { type: "string", multiple: true, default: [] },
    json: { type: "boolean", default: false },
    rules: { type: "string" },
    data: { type: "string" },
    config: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return HELP;
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) {
    const found = positionals.length;
    throw new UsageError(`explain: expected one file that holds a request, or the id of a request; found ${found}.`);
  }
  if (/^req_[0-9a-f]{32}$/.test(file)) {
    const { config } = readSettings({ flags: values, env });
    return explainPast(config.dataDir, file, values.json);
  }
  const headers = headersOf(values.header);
  const { config, catalog } = readSettings({ flags: values, env });
  const snapshot = readSnapshot(config, catalog);
  const text = textOf(file);
  const request = requestOf(file, text, headers);
  const learning = learntIn(config.dataDir, snapshot, nowMs);
  const key = config.apiKey === undefined ? "local" : "default";
  const asked: Asked = {
    request,
    caller: { key },
    endpoint: "/v1/chat/completions",
    headers: () => headers,
    bodyBytes: Buffer.byteLength(text),
    inputTokens: learning.inputTokens(request, key),
    affinityId: affinityId({ request, key, header: (name) => headers[name] }),
    nowMs,
  };
  const explanation = explainPlan(snapshot, asked, learning.fleet);
  return values.json ? `${JSON.stringify(explanation.json, null, 2)}\n` : explainText(explanation);
}

function headersOf(given: string[]): Record<string, string> {
  const pairs = given.map((text): [string, string] => {
    const match = /^([^\s:]+):\s*(.*)$/.exec(text);
    if (match === null) throw new UsageError(`--header: expected NAME: VALUE; found "${text}".`);
    return [(match[1] ?? "").toLowerCase(), match[2] ?? ""];
  });
  return Object.fromEntries(pairs);
}

function textOf(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(`The request ${file} cannot be read (${code ?? "unknown reason"}).`);
  }
}

function requestOf(file: string, text: string, headers: Record<string, string>): ChatRequest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new StartError(`The request ${file} is not JSON: ${(error as Error).message}`);
  }
  const parsed = openaiChatInbound.parse(json, (name) => headers[name]);
  if ("kind" in parsed) throw new StartError(`The request ${file} would be refused: ${parsed.error.message}`);
  return parsed;
}

/** The statistics of a data folder, read beside a running router; an empty memory where there are none. */
function learntIn(dataDir: string, snapshot: Snapshot, nowMs: number) {
  const hasLedger = existsSync(join(dataDir, DATABASE_NAME));
  const saved = new StatisticsMail(
    dataDir,
    () => {},
    () => {},
  );
  return createLearning({
    nowMs: () => nowMs,
    shelf: {
      saveStatistics: () => {},
      loadStatistics: (name) => (hasLedger ? saved.load(name) : undefined),
    },
    kindOf: (target) => kindOf(snapshot, target),
    log: () => {},
  });
}
