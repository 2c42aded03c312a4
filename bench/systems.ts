// The systems side by side: how each is started and how each is asked.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { MODELS, requestBody } from "./answers.ts";
import { type Ask, call, type LoadTarget, openTarget } from "./load.ts";
import { type Asking, litellm, nginx, type Peer, portkey } from "./peers.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";
import { BenchFailure, type Subject, startSubject } from "./subject.ts";
import { askedModel, LOAD_KEY, PLAIN_WORLD, prepareRouter, type World } from "./world.ts";

export interface System {
  name: string;
  subject: Subject;
  target: LoadTarget;
  /** From the start of the process to the end of its first answer. */
  startMs: number;
  idleRssBytes: number;
  /** Undefined: it cannot do this. */
  ask(scenario: Scenario): Ask | undefined;
}

export interface SystemsOptions {
  dir: string;
  connections: number;
  profileDir: string | undefined;
  progress(line: string): void;
}

/** Starts systems one after the other; whatever was started is in `running`, also when starting fails. */
export function systemStarter({ dir, connections, profileDir, progress }: SystemsOptions, running: System[]) {
  const begin = async (name: string, start: (dir: string) => Promise<Subject>, asks: AskMaker) => {
    const subjectDir = join(dir, name);
    mkdirSync(subjectDir, { recursive: true });
    const startedAtMs = performance.now();
    const subject = await start(subjectDir);
    const target = openTarget(name, subject.url, connections);
    const made = new Map<string, Ask | undefined>();
    const ask = (scenario: Scenario) => {
      if (!made.has(scenario.id)) made.set(scenario.id, askOf(scenario, asks(scenario)));
      return made.get(scenario.id);
    };
    const system: System = { name, subject, target, startMs: 0, idleRssBytes: 0, ask };
    running.push(system);
    await Promise.race([call(target, ask(SCENARIOS[0] as Scenario) as Ask), subject.death]);
    system.startMs = performance.now() - startedAtMs;
    system.idleRssBytes = (await subject.sample()).rssBytes;
    progress(`${name}: first answer after ${system.startMs.toFixed(0)} ms`);
    return system;
  };
  const own = (script: string, env: Record<string, string>) => (subjectDir: string) =>
    startSubject(script.replace(".ts", ""), { script, dir: subjectDir, env, profileDir });
  return {
    direct: () => begin("direct", own("upstream.ts", {}), openaiOnly),
    floor: (upstreamUrl: string) => {
      const env = { OPENAI_BASE_URL: `${upstreamUrl}/v1`, OPENAI_API_KEY: "sk-upstream" };
      return begin("floor", own("floor.ts", env), openaiOnly);
    },
    /** What fills the directory is not part of the start. */
    signalbox: (upstreamUrl: string, world: World = PLAIN_WORLD, name = "signalbox") => {
      const home = join(dir, `${name}-home`);
      mkdirSync(home);
      const env = prepareRouter(home, upstreamUrl, world, progress);
      return begin(name, own("signalbox.ts", env), signalboxAsk);
    },
    /** Undefined, with a line that says why, where it cannot be had. */
    peer: async ({ name, start, ask }: Peer, upstreamUrl: string) => {
      try {
        return await begin(
          name,
          (subjectDir) => start({ dir: subjectDir, upstreamUrl, profileDir }),
          (scenario) => ask(scenario, upstreamUrl),
        );
      } catch (error) {
        const failed = running.findIndex((system) => system.name === name);
        if (failed !== -1) for (const { subject } of running.splice(failed, 1)) subject.kill();
        progress(`${name} is left out: ${(error as Error).message.trim().split("\n").at(-1)}`);
        return undefined;
      }
    },
  };
}

/** Those that start within a second first. */
export const PEERS: readonly Peer[] = [portkey, nginx, litellm];

const CHAT_PATH = "/v1/chat/completions";
type AskMaker = (scenario: Scenario) => Asking | undefined;

function askOf(scenario: Scenario, how: Asking | undefined): Ask | undefined {
  if (how === undefined) return undefined;
  const headers = { "content-type": "application/json", ...how.headers };
  const end = how.end ?? (scenario.deltas === 0 ? "}" : "data: [DONE]");
  return {
    path: CHAT_PATH,
    headers,
    body: requestBody(how.model, scenario.promptBytes, scenario),
    scenario,
    end,
    bytes: undefined,
  };
}

/** Translates nothing: where others do, it passes on as much of OpenAI's. */
function openaiOnly() {
  return { model: `openai/${MODELS.openai}`, headers: { authorization: "Bearer sk-any" } };
}

function signalboxAsk({ dialect }: Scenario) {
  return { model: askedModel(dialect), headers: { authorization: `Bearer ${LOAD_KEY}` } };
}

const OWN = ["direct", "floor", "signalbox"];

/** Others may fail at something, and are left out of it; that ours do breaks the run. */
export function isOurs({ name }: System): boolean {
  return OWN.includes(name);
}

export async function stopAll(systems: readonly System[]): Promise<void> {
  await Promise.all(systems.map(({ target }) => target.pool.close()));
  for (const { subject } of systems.toReversed()) await subject.stop();
}

export function requireSystem(systems: readonly System[], name: string): System {
  const found = systems.find((system) => system.name === name);
  if (found === undefined) throw new BenchFailure(`${name} is not running`);
  return found;
}
