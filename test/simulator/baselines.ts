// What the router is compared with: a naive client, round robin, and a shuffle with cooldowns as LiteLLM does it.
import type { ProviderError } from "../../src/chat.ts";
import type { Chunks } from "../../src/upstream.ts";
import { type Arrival, DEADLINE_MS } from "./callers.ts";
import type { Answer, Policy, World } from "./policy.ts";
import type { Profile } from "./provider.ts";
import type { Random } from "./random.ts";
import { errorBody, promptOf, WHOLE } from "./wire.ts";

/** Which provider is asked next, and how long after a failure. */
interface Tactics {
  attemptsMax: number;
  pick(): Profile | undefined;
  waitMs(attempt: number): number;
  onEnd?(profile: Profile, status: number): void;
}

/** Everybody calls the largest provider: 1 s doubled each time, five retries; headers are not looked at. */
export function naiveClient(world: World): Policy {
  const largest = world.profiles.toSorted((a, b) => nominalPerMinute(b) - nominalPerMinute(a))[0];
  return policyOf(world, { attemptsMax: 6, pick: () => largest, waitMs: (attempt) => 1_000 * 2 ** (attempt - 1) });
}

export function roundRobin(world: World): Policy {
  let turn = 0;
  return policyOf(world, {
    attemptsMax: 6,
    pick: () => {
      turn += 1;
      return world.profiles[turn % world.profiles.length];
    },
    waitMs: (attempt) => 1_000 * 2 ** (attempt - 1),
  });
}

const COOLDOWN_MS = 5_000;
const FAILURES = { windowMs: 60_000, callsMin: 5, share: 0.5 };

/** Random by requests per minute; any 429, or more than half of at least five calls of a minute failing, takes a provider
 *  out for five seconds; two retries at once. */
export function shuffleWithCooldown(world: World): Policy {
  const { engine, profiles } = world;
  const random = engine.random("shuffle");
  const coldUntilMs = new Map<string, number>();
  const calls = new Map<string, { atMs: number; failed: boolean }[]>();
  return policyOf(world, {
    attemptsMax: 3,
    pick: () => {
      const warm = profiles.filter(({ id }) => (coldUntilMs.get(id) ?? 0) <= engine.nowMs());
      return drawByRate(warm, random);
    },
    waitMs: () => 0,
    onEnd: ({ id }, status) => {
      const nowMs = engine.nowMs();
      const recent = (calls.get(id) ?? []).filter(({ atMs }) => atMs > nowMs - FAILURES.windowMs);
      recent.push({ atMs: nowMs, failed: status !== 200 });
      calls.set(id, recent);
      const failures = recent.filter(({ failed }) => failed).length;
      const isFailing = recent.length >= FAILURES.callsMin && failures > FAILURES.share * recent.length;
      if (status === 429 || isFailing) coldUntilMs.set(id, nowMs + COOLDOWN_MS);
    },
  });
}

/** A host that tells no rate gets what its places make of calls of six seconds. */
export function nominalPerMinute({ limits, concurrency }: Profile): number {
  return limits.requests ?? ((concurrency ?? 10) * 60) / 6;
}

function drawByRate(profiles: readonly Profile[], random: Random): Profile | undefined {
  let rest = random.next() * profiles.reduce((sum, profile) => sum + nominalPerMinute(profile), 0);
  return profiles.find((profile) => {
    rest -= nominalPerMinute(profile);
    return rest < 0;
  });
}

function policyOf(world: World, tactics: Tactics): Policy {
  return { answer: (arrival, signal) => answer(world, tactics, arrival, signal), faults: () => [] };
}

async function answer(world: World, tactics: Tactics, arrival: Arrival, signal: AbortSignal): Promise<Answer> {
  let last: Answer = { status: 429, isDone: false, text: "", ownMs: 0, attempts: 0, errorKind: "rate_limited" };
  for (let attempt = 1; attempt <= tactics.attemptsMax && !signal.aborted; attempt += 1) {
    const profile = tactics.pick();
    // Everything cools down: LiteLLM refuses at once.
    if (profile === undefined) return { ...last, attempts: attempt - 1 };
    last = { ...(await callOnce(world, profile, arrival, signal)), attempts: attempt };
    tactics.onEnd?.(profile, last.isDone ? 200 : last.status);
    // Once a stream has begun there is no way back, and nobody retries what is wrong with the request or the key.
    if (last.isDone || last.text !== "" || last.status === 401) return last;
    if (attempt < tactics.attemptsMax) await world.engine.sleep(tactics.waitMs(attempt), signal);
  }
  return last;
}

async function callOnce(
  { engine, upstream }: World,
  profile: Profile,
  arrival: Arrival,
  signal: AbortSignal,
): Promise<Omit<Answer, "attempts">> {
  const startMs = engine.nowMs();
  const body = JSON.stringify({
    model: "m",
    messages: [{ role: "user", content: promptOf(arrival.id, arrival.outputTokens, arrival.plainTokens) }],
    max_tokens: arrival.maxTokens,
    stream: arrival.stream,
  });
  const clocks = { firstByteMs: DEADLINE_MS, idleMs: DEADLINE_MS, contentIdleMs: DEADLINE_MS, totalMs: DEADLINE_MS };
  const sent = await upstream.send({ url: `https://${profile.id}.test/chat`, headers: {}, body, signal, clocks });
  const ended = (status: number, isDone: boolean, text: string, errorKind?: string): Omit<Answer, "attempts"> => {
    return { status, isDone, text, ownMs: engine.nowMs() - startMs, errorKind };
  };
  if (sent.kind === "error") return ended(502, false, "", sent.error.kind);
  const read = sent.status === 200 && arrival.stream ? await readStream(sent.chunks()) : await sent.text(1e9);
  if ("error" in read) return ended(502, false, "", read.error.kind);
  if (sent.status !== 200) return ended(sent.status, false, "", String(sent.status));
  const isDone = arrival.stream ? read.text.includes("[DONE]") : read.text.includes(WHOLE);
  const text = isDone ? WHOLE : arrival.stream && read.text.startsWith('data: {"id') ? "Two " : "";
  return ended(isDone ? 200 : 502, isDone, text, isDone ? undefined : "malformed");
}

async function readStream(chunks: Chunks): Promise<{ text: string } | { error: ProviderError }> {
  let text = "";
  for (let step = await chunks.next(); !step.done; step = await chunks.next()) {
    text += Buffer.from(step.value).toString("utf8");
  }
  return { text: text === "" ? errorBody("empty", "nothing came") : text };
}
