// Reloads under load: for 30 s a rule file is rewritten every 100 ms, every third time with a mistake, while requests and
// streams run. Exit code 1 when a request is lost, was planned by rules that never were a whole valid file, or when fewer
// than half of the edits were taken up (two that come close together count as one).
// Run by `node bench/reload.ts [seconds]`.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { request } from "undici";
import { startRouter } from "../src/main.ts";

const seconds = Number(process.argv[2] ?? 30);
const dir = mkdtempSync(join(tmpdir(), "signalbox-reload-"));
const rules = join(dir, "rules");
mkdirSync(rules);
const file = join(rules, "rules.yaml");

/** What stays as it is below the edit, as in a file that people keep. */
const REST = `
  - name: drafts
    model: draft
    pick: cheapest
    from: [openai/gpt-6-luna, google/gemini-3.8-flash]
    fallback: [anthropic/claude-haiku-5-5]
`;

/** Every valid edition sends the house model to one target, under a name of its own. */
function edition(number: number): string {
  const target = number % 2 === 0 ? "openai/gpt-6-luna" : "anthropic/claude-haiku-5-5";
  return `version: 1\nrules:\n  - name: edition ${number}\n    model: house\n    from: [${target}]\n${REST}`;
}

writeFileSync(file, edition(0));
const logs: string[] = [];
const router = await startRouter({
  flags: { port: "0", rules, data: join(dir, "data") },
  env: {},
  log: (message) => logs.push(message),
});
const endAtMs = Date.now() + seconds * 1000;
const written = new Set(["edition 0"]);
const seen = new Map<string, number>();
const lost: string[] = [];
let calls = 0;
let edits = 0;

async function call(stream: boolean): Promise<void> {
  const body = JSON.stringify({ model: "house", stream, messages: [{ role: "user", content: "Hi" }] });
  const response = await request(`${router.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await response.body.text();
  calls += 1;
  const isWhole = response.statusCode === 200 && (!stream || text.endsWith("data: [DONE]\n\n"));
  if (!isWhole) lost.push(`${response.statusCode} ${text.slice(0, 200)}`);
  const name = decodeURIComponent(/rule=([^;]+)/.exec(String(response.headers["x-signalbox-decision"]))?.[1] ?? "");
  seen.set(name, (seen.get(name) ?? 0) + 1);
}

async function keepCalling(stream: boolean): Promise<void> {
  while (Date.now() < endAtMs) await call(stream);
}

/** In turn: in place, by rename, and with a mistake that must change nothing. */
async function keepEditing(): Promise<void> {
  for (let number = 1; Date.now() < endAtMs; number += 1) {
    const text = number % 3 === 0 ? edition(number).replace("from:", "form:") : edition(number);
    if (number % 3 !== 0) written.add(`edition ${number}`);
    if (number % 2 === 0) writeFileSync(file, text);
    else {
      writeFileSync(join(dir, "next.yaml"), text);
      renameSync(join(dir, "next.yaml"), file);
    }
    edits += 1;
    await delay(100);
  }
}

await Promise.all([keepEditing(), ...[0, 1, 2, 3].map((client) => keepCalling(client % 2 === 0))]);
const { reloads, refusals } = router.rules.status();
await router.close();
rmSync(dir, { recursive: true });
const unknown = [...seen.keys()].filter((name) => !written.has(name));
console.log(
  `${calls} calls, ${lost.length} lost; ${edits} edits: ${reloads} reloads, ${refusals} refusals; ${seen.size} editions answered.`,
);
for (const line of lost.slice(0, 5)) console.log(`lost: ${line}`);
for (const name of unknown) console.log(`planned by rules that never were valid: "${name}"`);
process.exitCode = lost.length > 0 || unknown.length > 0 || 2 * (reloads + refusals) < edits ? 1 : 0;
