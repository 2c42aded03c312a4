// A whole router in front of one fake provider, in slots: a case has the providers of its slot for itself, so that many
// run at the same time and none sees what another taught about limits and outages.

import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { vi } from "vitest";
import { type Router, startRouter } from "../../src/main.ts";
import { type LedgerRows, readLedger, temporaryFolder } from "../support/router.ts";
import { get } from "./caller.ts";
import { type Fake, startFake } from "./fake.ts";
import { DIALECTS, type DialectId } from "./wires.ts";

/** How long a stream may stay silent. `patient` waits where no clock is to decide, however busy the machine is. */
export const SILENCE_MS = { patient: 5_000, impatient: 500 };
export type Patience = keyof typeof SILENCE_MS;

export interface World {
  /** So many cases at once. */
  slotCount: number;
  /** Where callers post to. */
  url: string;
  fake: Fake;
  router: Router;
  /** What the router said: nothing, or it met a bug. */
  logs: string[];
  /** Lets time pass and outages be forgotten, when nothing is running: budgets of retries are full again. */
  turnThePage(): void;
  health(): Promise<Health>;
  /** Resolves when nothing runs and nothing is held: no call, no place, no row on its way; rejects with what still is. */
  atRest(): Promise<void>;
  ledger(): LedgerRows;
  close(): Promise<void>;
  /** Removes the ledger too. */
  remove(): void;
}

export interface Health {
  limits: { queued: number; pools: { name: string; in_flight: number; queued: boolean }[] };
  breakers: { name: string; state: string }[];
  ledger: { pendingRows: number };
}

/** A candidate: healthy or not is for the fake to say; at `gone` nobody listens. */
export interface Seat {
  dialect: DialectId;
  isGone: boolean;
}

/** The model a caller asks for to have these candidates, in order. `tag` tells the request in the ledger. */
export function modelFor(slot: number, seats: readonly Seat[], tag: string): string {
  return `${slot}:${shapeOf(seats)}:${tag}`;
}

function shapeOf(seats: readonly Seat[]): string {
  return seats.map(({ dialect, isGone }) => dialect + (isGone ? "-gone" : "")).join("+");
}

/** The second and third candidate speak other protocols than the one before them. */
export function seatsFrom(dialect: DialectId, count: number, gone: number): Seat[] {
  const first = DIALECTS.indexOf(dialect);
  return Array.from({ length: count }, (_, at) => ({
    dialect: DIALECTS[(first + at) % DIALECTS.length] as DialectId,
    isGone: at < gone,
  }));
}

const PAGE_MS = 120_000;

export async function startWorld(patience: Patience, slotCount: number): Promise<World> {
  const dir = temporaryFolder();
  const fake = await startFake();
  writeFileSync(join(dir, "signalbox.yaml"), configOf(slotCount, fake.port, await unusedPort()));
  const rules = join(dir, "rules");
  mkdirSync(rules);
  for (const slot of Array(slotCount).keys())
    writeFileSync(join(rules, `slot-${slot}.yaml`), rulesOf(slot, SILENCE_MS[patience]));
  const logs: string[] = [];
  let aheadMs = 0;
  const data = join(dir, "data");
  const flags = { port: "0", config: join(dir, "signalbox.yaml"), rules, data };
  const realNow = Date.now;
  // The router keeps the clock it is started with: each world has its own.
  Date.now = () => realNow() + aheadMs;
  const router = await startRouter({ flags, env: {}, log: (message) => logs.push(message) });
  Date.now = realNow;
  const health = async () => JSON.parse((await get(`${router.url}/health`).received).text) as Health;
  return {
    slotCount,
    url: `${router.url}/v1/chat/completions`,
    fake,
    router,
    logs,
    turnThePage: () => {
      aheadMs += PAGE_MS;
      router.forgetOutages();
      fake.calls.length = 0;
    },
    health,
    atRest: () => vi.waitFor(async () => rest(await health(), fake), { interval: 10, timeout: 4_000 }),
    ledger: () => readLedger(data),
    close: async () => {
      await router.close();
      await fake.close();
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

function rest({ limits, ledger }: Health, fake: Fake): void {
  const held = limits.pools.filter(({ in_flight, queued }) => in_flight > 0 || queued);
  const { busy } = fake.status();
  if (held.length === 0 && limits.queued === 0 && ledger.pendingRows === 0 && busy === 0) return;
  throw new Error(`not at rest: ${JSON.stringify({ held, queued: limits.queued, rows: ledger.pendingRows, busy })}`);
}

const MODELS = "models: [{ id: m, context: 128k, price: { input: $1, output: $5 } }]";

function configOf(slotCount: number, port: number, gonePort: number): string {
  const lines = [...Array(slotCount).keys()].flatMap((slot) =>
    DIALECTS.flatMap((dialect) => [
      `  s${slot}-${dialect}: { ${MODELS}, dialect: ${dialect}, base_url: "http://127.0.0.1:${port}/${slot}/${dialect}" }`,
      `  s${slot}-${dialect}-gone: { ${MODELS}, dialect: ${dialect}, base_url: "http://127.0.0.1:${gonePort}" }`,
    ]),
  );
  return `providers:\n${lines.join("\n")}\n`;
}

const SHAPES = DIALECTS.flatMap((dialect) =>
  [1, 2, 3].flatMap((count) => Array.from({ length: count + 1 }, (_, gone) => seatsFrom(dialect, count, gone))),
);

function rulesOf(slot: number, silenceMs: number): string {
  const rules = SHAPES.map((seats) => {
    const targets = seats.map(({ dialect, isGone }) => `s${slot}-${dialect}${isGone ? "-gone" : ""}/m`);
    return [
      `  - name: ${slot} ${shapeOf(seats)}`,
      `    model: "${slot}:${shapeOf(seats)}:*"`,
      "    pick: order",
      `    from: [${targets.join(", ")}]`,
      "    attempts: 3",
      `    timeouts: { connect: 2s, first_byte: ${silenceMs}ms, idle: ${silenceMs}ms, total: 12s }`,
      "    queue: { max_wait: 250ms }",
    ].join("\n");
  });
  return `version: 1\nrules:\n${rules.join("\n")}\n`;
}

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
