// The situations a router has to get its callers through (S1 to S14; those with several processes or money are elsewhere).
import { constantLoad, type Load } from "./callers.ts";
import { convergence, outage, recovery } from "./findings.ts";
import type { Asked } from "./metrics.ts";
import { DRAWN, meanCapacityPerS } from "./oracle.ts";
import { ANTHROPIC_LIKE, FOUR, GEMINI_LIKE, OPENAI_LIKE, poolsOf, SMALL_HOST, withIncidents } from "./profiles.ts";
import type { Incident, Profile, SimulatedProvider } from "./provider.ts";
import type { RouterSettings } from "./router.ts";

export interface Scenario {
  name: string;
  title: string;
  minutes: number;
  profiles: readonly Profile[];
  pools: RouterSettings["pools"];
  load: Load;
  /** A recorded trace instead of `load`: as fast as makes it this share of what the providers can take. */
  replayShare?: number;
  findings?(asked: readonly Asked[], providers: readonly SimulatedProvider[]): Record<string, number>;
}

type Make = (minutes: number) => Omit<Scenario, "name" | "minutes">;

/** Between two shares of the run. */
function between(minutes: number, from: number, to: number): Pick<Incident, "fromMs" | "toMs"> {
  return { fromMs: from * minutes * 60_000, toMs: to * minutes * 60_000 };
}

/** `share` of what these providers can take on average. */
function loadOf(profiles: readonly Profile[], minutes: number, share: number, more: Partial<Load> = {}): Load {
  return constantLoad(share * meanCapacityPerS(profiles, minutes, DRAWN), more);
}

function chaos(share: number): Make {
  return (minutes) => {
    const down: Incident = { kind: "down", ...between(minutes, 0.15, 0.3) };
    const profiles = withIncidents(FOUR, {
      b: [down],
      c: [{ kind: "slow", factor: 8, ...between(minutes, 0.4, 0.55) }],
      a: [{ kind: "cut", factor: 0.5, ...between(minutes, 0.65, 0.85) }],
      d: [{ kind: "hang", ...between(minutes, 0.9, 0.95) }],
    });
    const title = `one provider down, one slow, one cut, one hanging, ${100 * share} % of what they can take`;
    const load = loadOf(profiles, minutes, share);
    return { title, profiles, pools: poolsOf(profiles), load, findings: recovery("b", down) };
  };
}

/** The more even the keys' arrivals (`shape`; 1: Poisson), the nearer is the burst to twice the limit, and each key to its
 *  fair share of it. Of uneven keys the one that asks for most waits longest, which may be longer than the queue holds. */
function burst(shape: number): Make {
  return () => {
    const profiles: Profile[] = [{ ...OPENAI_LIKE, limits: { requests: 600 }, errors: {} }];
    const fromMs = 20_000;
    const perSecond = (atMs: number) => (atMs >= fromMs && atMs < fromMs + 30_000 ? 20 : 2);
    const load = constantLoad(20, { perSecond, floodingShare: 0, shape });
    const keys = shape === 1 ? "uneven keys" : "even keys";
    return { title: `one provider, twice its limit for 30 s, ${keys}`, profiles, pools: poolsOf(profiles), load };
  };
}

function replay(share: number): Make {
  return () => {
    const title = `Azure's conversations of 2023, at ${100 * share} % of what the providers can take`;
    return { title, profiles: FOUR, pools: poolsOf(FOUR), load: constantLoad(0), replayShare: share };
  };
}

const MAKERS: Readonly<Record<string, Make>> = {
  S1: (minutes) => {
    return {
      title: "calm, half of what they can take",
      profiles: FOUR,
      pools: poolsOf(FOUR),
      load: loadOf(FOUR, minutes, 0.5),
    };
  },
  "S2-60": chaos(0.6),
  "S2-75": chaos(0.75),
  // Twelve a second, the rate that routing-and-limits §6.2 calls near capacity.
  "S2-80": chaos(0.8),
  "S2-95": chaos(0.95),
  "S2-120": chaos(1.2),
  S3: burst(8),
  "S3-uneven": burst(1),
  S4: (minutes) => {
    const cut: Incident = { kind: "cut", factor: 0.5, ...between(minutes, 1 / 3, 2 / 3) };
    const cheap: Profile = { ...ANTHROPIC_LIKE, rates: { input: 250_000, output: 1_000_000 }, incidents: [cut] };
    const profiles = [
      { ...cheap, limits: { requests: 600 } },
      { ...OPENAI_LIKE, limits: { requests: 900 } },
    ];
    const load = constantLoad(9, { floodingShare: 0 });
    const findings = convergence("a", cut);
    return {
      title: "the cheap one's limit is halved silently, then restored",
      profiles,
      pools: poolsOf(profiles),
      load,
      findings,
    };
  },
  S5: (minutes) => {
    const profiles: Profile[] = [
      { ...ANTHROPIC_LIKE, headers: "none", retryAfter: "lying" },
      { ...OPENAI_LIKE, headers: "none", retryAfter: "absent", enforcement: { kind: "window", windowMs: 1_000 } },
      { ...GEMINI_LIKE, retryAfter: "absent" },
      SMALL_HOST,
    ];
    const load = loadOf(profiles, minutes, 0.7);
    return { title: "no headers, Retry-After lies or is missing, nothing configured", profiles, pools: [], load };
  },
  S6: (minutes) => {
    const profiles = withIncidents(FOUR, { b: [{ kind: "no_money", ...between(minutes, 0.5, 0.75) }] }).map(
      (profile) => {
        return profile.id === "c" ? { ...profile, requestsPerDay: Math.round(60 * minutes) } : profile;
      },
    );
    const load = loadOf(FOUR, minutes, 0.3);
    // The operator does not know of the daily quota.
    return { title: "a daily quota ends, another account runs out of money", profiles, pools: poolsOf(FOUR), load };
  },
  S7: (minutes) => {
    const load = loadOf(FOUR, minutes, 1.5, { floodingShare: 0.8 });
    return { title: "one key sends 80 % of 150 %", profiles: FOUR, pools: poolsOf(FOUR), load };
  },
  S8: (minutes) => {
    const profiles = FOUR.map((profile) => ({ ...profile, errors: { ...profile.errors, truncated: 0.1 } }));
    const load = loadOf(FOUR, minutes, 0.5);
    return { title: "every tenth answer is cut off", profiles, pools: poolsOf(FOUR), load };
  },
  S13: (minutes) => {
    const down: Incident = { kind: "down", ...between(minutes, 0.4, 0.5) };
    const profiles = withIncidents(FOUR, { a: [down], b: [down], c: [down], d: [down] });
    const load = loadOf(FOUR, minutes, 0.6, { floodingShare: 0 });
    return { title: "all are down, then all come back", profiles, pools: poolsOf(FOUR), load, findings: outage(down) };
  },
  S14: (minutes) => {
    const load = loadOf(FOUR, minutes, 0.6, { leavingShare: 0.2 });
    return { title: "every fifth caller hangs up", profiles: FOUR, pools: poolsOf(FOUR), load };
  },
  "trace-75": replay(0.75),
  "trace-95": replay(0.95),
  "trace-125": replay(1.25),
};

export const SCENARIO_NAMES = Object.keys(MAKERS);

export function scenario(name: string, minutes: number): Scenario {
  const make = MAKERS[name];
  if (make === undefined) throw new Error(`there is no scenario ${name}; there are ${SCENARIO_NAMES.join(", ")}`);
  return { name, minutes, ...make(minutes) };
}
