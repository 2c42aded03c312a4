// Callers' keys: what is stored, how they are found, and what limits they bring. On an injected clock.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type ApiKey,
  applyChanges,
  hashOf,
  KEY_CHANGES,
  type KeySettings,
  NEW_KEY,
  newSecret,
  PLAIN_KEY,
} from "../src/api-keys.ts";
import { IdSource } from "../src/ids.ts";
import { createKeyRing, type FoundKey } from "../src/key-ring.ts";
import { createCallerGate, durationText } from "../src/limits/callers.ts";
import type { CallerLimits } from "../src/routing/facts.ts";
import { modelMatcher } from "../src/routing/key-models.ts";
import { hasKeys, type KeyReader, openKeyReader, openKeys } from "../src/store/keys.ts";
import { openLedger } from "../src/store/ledger.ts";
import { databasePath, newDir } from "./store-support.ts";

const T0 = Date.parse("2026-03-01T12:00:00Z");
const CLI = new URL("../src/cli.ts", import.meta.url).pathname;
const ids = new IdSource();

function settings(changes: Partial<KeySettings> = {}): KeySettings {
  return { ...PLAIN_KEY, name: "ann", ...changes };
}

/** A database, a ring over it, and a clock that only moves when told. */
function world(dir = newDir()) {
  const table = openKeys(dir);
  const reader = openKeyReader(dir);
  const clock = { ms: T0 };
  const logs: string[] = [];
  const trouble: { reason: string | undefined; reads: number } = { reason: undefined, reads: 0 };
  const watched: Pick<KeyReader, "version" | "changedSince"> = {
    version() {
      trouble.reads += 1;
      if (trouble.reason !== undefined) throw new Error(trouble.reason);
      return reader.version();
    },
    changedSince: (version) => reader.changedSince(version),
  };
  onTestFinished(() => {
    reader.close();
    table.close();
  });
  const ring = createKeyRing({ reader: watched, nowMs: () => clock.ms, log: (message) => logs.push(message) });
  const make = (changes: Partial<KeySettings> = {}) => {
    const secret = newSecret((length) => ids.randomText(length));
    const key = table.create({ id: ids.randomId("key_"), secret }, settings(changes), clock.ms);
    if ("refused" in key) throw new Error(key.message);
    return { key, secret };
  };
  const find = (secret: string) => ring.find(hashOf(secret));
  return { dir, table, clock, ring, make, find, logs, trouble };
}

function made(result: ApiKey | { refused: string } | { problem: unknown }): ApiKey {
  if ("refused" in result || "problem" in result) throw new Error(JSON.stringify(result));
  return result;
}

function kindOf(found: FoundKey | undefined): string {
  return found?.kind ?? "unknown";
}

describe("a secret", () => {
  test("is sk-sb- and 40 letters and digits, each of which is drawn", () => {
    const secrets = Array.from({ length: 200 }, () => newSecret((length) => ids.randomText(length)));
    for (const secret of secrets) expect(secret).toMatch(/^sk-sb-[A-Za-z0-9]{40}$/);
    expect(new Set(secrets).size).toBe(200);
    expect(new Set(secrets.join("").replaceAll("sk-sb-", "")).size).toBe(62);
  });

  test("is in no file of the data directory: only its hash and its first characters are", async () => {
    const { dir, make, table, clock } = world();
    const { key, secret } = make();
    const next = newSecret((length) => ids.randomText(length));
    made(table.rotate({ id: key.id, secret: next }, 60_000, clock.ms));
    const files = readdirSync(dir).map((name) => readFileSync(join(dir, name)));
    expect(files.length).toBeGreaterThan(0);
    for (const bytes of files) {
      for (const whole of [secret, next]) {
        // Any eight characters of it would already be too many.
        for (let at = 10; at + 8 <= whole.length; at += 1) expect(bytes.includes(whole.slice(at, at + 8))).toBe(false);
      }
    }
    expect(files.some((bytes) => bytes.includes(hashOf(next)))).toBe(true);
    expect(JSON.stringify(table.list({ limit: 10 }))).not.toContain(next.slice(12));
  });
});

describe("the table of keys", () => {
  test("gives back what was put in, and changes only what is named", () => {
    const { table, make, clock } = world();
    const all = {
      name: "ann",
      team: "web",
      organisation: "acme",
      tags: ["gold"],
      models: ["gpt-*"],
      endpoints: ["/v1/chat/*"],
      budgets: ["$5/day", "$100/month soft"],
      allowUnpriced: true,
      rpm: 60,
      tpm: 100_000,
      concurrency: 4,
      expiresAtMs: T0 + 1_000,
    };
    const { key } = make(all);
    expect(key).toEqual({ ...key, ...all, createdAtMs: T0, revokedAtMs: undefined, previousUntilMs: undefined });
    const changes = KEY_CHANGES.parse({ rpm: null, team: null, tags: [], name: "anna" });
    const after = made(table.update(key.id, (before) => applyChanges(before, changes, clock.ms)));
    expect(after).toEqual({ ...key, rpm: undefined, team: undefined, tags: [], name: "anna" });
    expect(table.get("anna")).toEqual(after);
    expect(table.get(key.id)).toEqual(after);
    expect(table.get("ann")).toBeUndefined();
  });

  test("a name belongs to one key at a time, and is free again when that one is revoked", () => {
    const { table, make } = world();
    const { key } = make();
    const other = make({ name: "bob" }).key;
    const second = table.create({ id: "key_2", secret: "sk-sb-2" }, settings(), T0);
    expect(second).toMatchObject({ refused: "name_taken", message: expect.stringContaining(key.id) });
    expect(table.update(other.id, (before) => ({ ...before, name: "ann" }))).toMatchObject({ refused: "name_taken" });
    made(table.revoke(key.id, T0));
    expect(table.create({ id: "key_2", secret: "sk-sb-2" }, settings(), T0)).toMatchObject({ id: "key_2" });
    expect(table.get("ann")?.id).toBe("key_2");
  });

  test("a revoked key stays as it is: it is not changed, rotated or revoked again", () => {
    const { table, make } = world();
    const { key } = make();
    made(table.revoke(key.id, T0 + 5));
    expect(made(table.revoke(key.id, T0 + 9)).revokedAtMs).toBe(T0 + 5);
    expect(table.rotate({ id: key.id, secret: "x" }, 0, T0)).toMatchObject({ refused: "revoked" });
    expect(table.update(key.id, (before) => before)).toMatchObject({ refused: "revoked" });
    expect(table.revoke("key_nobody", T0)).toMatchObject({ refused: "not_found" });
  });

  test("is paged in the order in which keys were made", () => {
    const { table, make, clock } = world();
    const names = ["c", "a", "b", "e", "d"];
    for (const name of names) {
      make({ name });
      clock.ms += 1;
    }
    const first = table.list({ limit: 3 });
    const rest = table.list({ after: first.at(-1)?.id, limit: 3 });
    expect([...first, ...rest].map((key) => key.name)).toEqual(names);
  });

  test("holds 100,000 keys: then the longest revoked one goes, and without one a new key is refused", () => {
    const { dir, table, make, find, ring } = world();
    const living = make({ name: "living" });
    const revoked = make({ name: "revoked" });
    const db = new SqliteDatabase(databasePath(dir));
    onTestFinished(() => void db.close());
    db.exec(
      `
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99998)
      INSERT INTO keys (id, name, secret_hash, display, tags, budgets, allow_unpriced, created_at_ms)
      SELECT 'key_' || i, 'n' || i, 'hash' || i, 'sk-sb-x', '[]', '[]', 0, ${T0} FROM n`.replace(
        "'hash' || i",
        "CAST('hash' || i AS BLOB)",
      ),
    );
    expect(table.create({ id: "key_new", secret: "a" }, settings(), T0)).toMatchObject({ refused: "too_many" });
    made(table.revoke(revoked.key.id, T0));
    expect(kindOf(find(revoked.secret))).toBe("revoked");
    made(table.create({ id: "key_new", secret: "a" }, settings(), T0));
    expect(kindOf(find("a"))).toBe("caller");
    expect([kindOf(find(revoked.secret)), kindOf(find(living.secret))]).toEqual(["unknown", "caller"]);
    expect([ring.has(revoked.key.id), ring.has(living.key.id)]).toEqual([false, true]);
    // Whoever takes a living key away by hand means it.
    db.exec("DELETE FROM keys WHERE name = 'living'");
    expect(ring.status().keys).toBe(100_000);
    ring.refresh();
    expect(kindOf(find(living.secret))).toBe("unknown");
    expect(ring.status().keys).toBe(99_999);
  });

  test("while somebody else writes for too long a change is refused, and nothing is changed", () => {
    const { dir, make } = world();
    const { key } = make();
    const hasty = openKeys(dir, 0);
    const other = new SqliteDatabase(databasePath(dir));
    onTestFinished(() => {
      hasty.close();
      other.close();
    });
    other.exec("BEGIN IMMEDIATE");
    expect(hasty.revoke(key.id, T0)).toMatchObject({ refused: "busy" });
    expect(hasty.get(key.id)).toEqual(key);
    other.exec("ROLLBACK");
    expect(hasty.revoke(key.id, T0)).toMatchObject({ revokedAtMs: T0 });
  });

  test("can be made before any router has run, and a router takes the database as it is", async () => {
    const { dir, table } = world(join(newDir(), "data"));
    made(table.create({ id: "key_1", secret: "s" }, settings(), T0));
    expect(hasKeys(dir)).toBe(true);
    const ledger = await openLedger({ dir });
    await ledger.close();
    expect(table.get("ann")?.id).toBe("key_1");
  });

  test("is not prepared while a router of an older version holds the directory", async () => {
    const dir = newDir();
    const ledger = await openLedger({ dir });
    onTestFinished(() => ledger.close());
    const db = new SqliteDatabase(databasePath(dir));
    db.pragma("user_version = 3");
    db.close();
    expect(() => openKeys(dir)).toThrow(/is in use by another Signalbox/);
    expect(hasKeys(newDir())).toBe(false);
  });
});

describe("the keys in memory", () => {
  test("a key is found by its secret and tells who calls", () => {
    const { make, find } = world();
    const { key, secret } = make({ team: "web", tags: ["gold"], rpm: 5, budgets: ["$5/day"], models: ["gpt-*"] });
    const found = find(secret);
    expect(found).toMatchObject({
      kind: "caller",
      caller: {
        key: "ann",
        keyId: key.id,
        team: "web",
        tags: ["gold"],
        keyTags: ["gold"],
        models: { patterns: ["gpt-*"] },
        budgets: [{ limitNanoUsd: 5_000_000_000, window: "day", isHard: true }],
        limits: { rpm: 5, tpm: undefined, concurrency: undefined },
      },
    });
    expect(kindOf(find(`${secret}x`))).toBe("unknown");
    expect(kindOf(find(secret.slice(0, -1)))).toBe("unknown");
  });

  test("a key that expires is good until that instant and not at it", () => {
    const { make, find, clock } = world();
    const { secret } = make({ expiresAtMs: T0 + 1_000 });
    clock.ms = T0 + 999;
    expect(kindOf(find(secret))).toBe("caller");
    clock.ms = T0 + 1_000;
    expect(find(secret)).toMatchObject({ kind: "expired", atMs: T0 + 1_000 });
  });

  test("a rotated secret is good for its grace, the new one at once, and one from before that not at all", () => {
    const { make, table, find, clock, ring } = world();
    const { key, secret } = make();
    made(table.rotate({ id: key.id, secret: "second" }, 60_000, clock.ms));
    ring.refresh();
    expect([secret, "second"].map(find).map(kindOf)).toEqual(["caller", "caller"]);
    clock.ms += 60_000;
    expect([secret, "second"].map(find).map(kindOf)).toEqual(["rotated", "caller"]);
    made(table.rotate({ id: key.id, secret: "third" }, 60_000, clock.ms));
    ring.refresh();
    expect([secret, "second", "third"].map(find).map(kindOf)).toEqual(["unknown", "caller", "caller"]);
    made(table.rotate({ id: key.id, secret: "fourth" }, 0, clock.ms));
    ring.refresh();
    expect(["second", "third", "fourth"].map(find).map(kindOf)).toEqual(["unknown", "rotated", "caller"]);
  });

  test("what another process revokes is refused by the first request 100 ms later", () => {
    const { dir, make, find, clock } = world();
    const { key, secret } = make();
    expect(kindOf(find(secret))).toBe("caller");
    const args = [CLI, "keys", "revoke", key.id, "--data", dir];
    const done = spawnSync(process.execPath, args, { encoding: "utf8", env: { PATH: process.env.PATH ?? "" } });
    expect([done.status, done.stderr]).toEqual([0, ""]);
    clock.ms += 99;
    expect(kindOf(find(secret))).toBe("caller");
    clock.ms += 1;
    expect(kindOf(find(secret))).toBe("revoked");
  });

  test("a key that was made elsewhere is good at once, and the first one shuts out whoever has none", () => {
    const { make, find, ring, clock } = world();
    expect(ring.isEmpty).toBe(true);
    const { secret } = make();
    expect(kindOf(find(secret))).toBe("caller");
    expect(ring.isEmpty).toBe(false);
    const second = world();
    expect(second.ring.isEmpty).toBe(true);
    second.make();
    second.clock.ms = clock.ms + 100;
    expect(second.ring.isEmpty).toBe(false);
  });

  test("known keys ask the database ten times a second at the most", () => {
    const { make, find, clock, trouble } = world();
    const { secret } = make();
    find(secret);
    const before = trouble.reads;
    for (let call = 0; call < 1_000; call += 1) {
      clock.ms = T0 + call;
      find(secret);
    }
    expect(trouble.reads - before).toBe(9);
  });

  test("a clock that is set back does not keep changes away", () => {
    const { make, find, table, clock } = world();
    const { key, secret } = make();
    find(secret);
    clock.ms -= 3_600_000;
    made(table.revoke(key.id, clock.ms));
    expect(kindOf(find(secret))).toBe("revoked");
  });

  test("while the database cannot be read the known keys go on, it is logged once, and then all is well by itself", () => {
    const { make, find, table, clock, logs, trouble, ring } = world();
    const { key, secret } = make();
    find(secret);
    trouble.reason = "disk I/O error";
    made(table.revoke(key.id, clock.ms));
    for (let step = 0; step < 3; step += 1) {
      clock.ms += 100;
      expect(kindOf(find(secret))).toBe("caller");
    }
    expect(logs).toEqual([expect.stringContaining("disk I/O error")]);
    expect(ring.status().failed).toContain("disk I/O error");
    trouble.reason = undefined;
    clock.ms += 100;
    expect(kindOf(find(secret))).toBe("revoked");
    expect(ring.status()).toEqual({ keys: 1 });
  });
});

describe("settings are checked", () => {
  test.each<[string, unknown, RegExp]>([
    ["no name", {}, /name/],
    ["a reserved name", { name: "local" }, /reserved/],
    ["a name like an id", { name: "key_1" }, /taken for ids/],
    ["a name with a space", { name: "a b" }, /letters, digits/],
    ["an unknown member", { name: "a", modles: [] }, /modles/],
    ["an empty list of models", { name: "a", models: [] }, /models/],
    ["an endpoint that is none", { name: "a", endpoints: ["chat"] }, /\/v1\/chat\/completions/],
    ["eleven tags", { name: "a", tags: Array.from({ length: 11 }, (_, at) => `t${at}`) }, /tags/],
    ["a tag with a comma", { name: "a", tags: ["a,b"] }, /1 to 64 characters/],
    ["a budget that is none", { name: "a", budgets: ["5 dollars"] }, /\$5\/day/],
    ["no requests per minute", { name: "a", rpm: 0 }, /rpm/],
    ["half a request", { name: "a", rpm: 1.5 }, /rpm/],
  ])("%s", (_, body, text) => {
    const checked = NEW_KEY.safeParse(body);
    expect(checked.success).toBe(false);
    expect(JSON.stringify(checked.error?.issues)).toMatch(text);
  });

  test.each<[string, number | RegExp]>([
    ["30d", T0 + 30 * 86_400_000],
    ["12h", T0 + 12 * 3_600_000],
    ["2027-01-31", Date.parse("2027-01-31T00:00:00Z")],
    ["2027-01-31T12:00:00+02:00", Date.parse("2027-01-31T10:00:00Z")],
    ["2026-01-31", /has passed/],
    ["2027-13-01", /expected a duration such as 30d/],
    ["soon", /found "soon"/],
    ["99999999999999d", /expected a duration/],
  ])("expires %s", (expires, expected) => {
    const result = applyChanges(settings(), { expires }, T0);
    if (typeof expected === "number") expect(result).toMatchObject({ expiresAtMs: expected });
    else expect(result).toEqual({ problem: expect.stringMatching(expected) });
  });
});

describe("patterns of models", () => {
  const target = (id: string, model: string, standsInFor?: string) =>
    ({ provider: { id, standsInFor }, model, entry: undefined }) as unknown as Parameters<
      ReturnType<typeof modelMatcher>["allowsTarget"]
    >[0];
  test.each<[string, ReturnType<typeof target>, boolean]>([
    ["openai/*", target("openai", "gpt-6"), true],
    ["openai/*", target("groq", "openai/gpt-oss-120b"), false],
    ["openai/*", target("simulated-openai", "gpt-6", "openai"), true],
    ["groq/openai/*", target("groq", "openai/gpt-oss-120b"), true],
    ["gpt-*", target("azure", "gpt-6"), true],
    ["gpt-*", target("groq", "openai/gpt-oss-120b"), false],
    ["*", target("groq", "openai/gpt-oss-120b"), true],
    ["gpt-6", target("openai", "gpt-6-mini"), false],
  ])("%s", (pattern, asked, expected) => {
    expect(modelMatcher([pattern]).allowsTarget(asked)).toBe(expected);
  });
});

describe("limits of a key", () => {
  const none: CallerLimits = { rpm: undefined, tpm: undefined, concurrency: undefined };
  function gateAt() {
    const clock = { ms: T0 };
    const gate = createCallerGate(() => clock.ms);
    const ask = (limits: Partial<CallerLimits>, tokens = 0) =>
      gate.admit({ keyId: "key_1", limits: { ...none, ...limits } }, () => tokens);
    return { clock, ask };
  }

  test("requests per minute: as many at once, then one as each comes back, exactly when it is said", () => {
    const { clock, ask } = gateAt();
    for (let call = 0; call < 6; call += 1) expect(ask({ rpm: 6 }).kind).toBe("admitted");
    const refused = ask({ rpm: 6 });
    expect(refused).toMatchObject({ kind: "refused", lacks: "requests", limit: 6, retryAfterMs: 10_000 });
    clock.ms += 9_999;
    expect(ask({ rpm: 6 })).toMatchObject({ kind: "refused", retryAfterMs: 1 });
    clock.ms += 1;
    expect(ask({ rpm: 6 }).kind).toBe("admitted");
  });

  test("a call that is refused takes of no limit", () => {
    const { clock, ask } = gateAt();
    const limits = { rpm: 2, tpm: 100, concurrency: 9 };
    expect(ask(limits, 100).kind).toBe("admitted");
    for (let call = 0; call < 50; call += 1)
      expect(ask(limits, 60)).toMatchObject({ lacks: "tokens", retryAfterMs: 36_000 });
    clock.ms += 36_000;
    const admitted = ask(limits, 60);
    expect(admitted.kind === "admitted" && admitted.admission.headers()).toMatchObject({
      "x-ratelimit-remaining-requests": "1",
      "x-ratelimit-remaining-tokens": "0",
    });
  });

  test("tokens are reserved by the estimate and settled by the bill, up or down; what nobody told stays reserved", () => {
    const { ask } = gateAt();
    const left = (tokens: number | undefined) => {
      const admitted = ask({ tpm: 1_000 }, 300);
      if (admitted.kind !== "admitted") throw new Error("refused");
      admitted.admission.end({ kind: "made", tokens });
      return admitted.admission.headers()["x-ratelimit-remaining-tokens"];
    };
    expect(left(50)).toBe("950");
    expect(left(450)).toBe("500");
    expect(left(undefined)).toBe("200");
  });

  test("a request larger than a minute's tokens is admitted when all of them are there, and owes the rest", () => {
    const { clock, ask } = gateAt();
    expect(ask({ tpm: 1_000 }, 3_000).kind).toBe("admitted");
    expect(ask({ tpm: 1_000 }, 1)).toMatchObject({ kind: "refused", retryAfterMs: 120_060 });
    clock.ms += 120_060;
    expect(ask({ tpm: 1_000 }, 1).kind).toBe("admitted");
  });

  test("what was refused further on counts as no request", () => {
    const { ask } = gateAt();
    for (let call = 0; call < 5; call += 1) {
      const admitted = ask({ rpm: 1 });
      if (admitted.kind !== "admitted") throw new Error("refused");
      admitted.admission.end({ kind: "refused" });
    }
    expect(ask({ rpm: 1 }).kind).toBe("admitted");
    expect(ask({ rpm: 1 }).kind).toBe("refused");
  });

  test("places are given back once, and a raised limit holds at once without forgetting what was taken", () => {
    const { ask } = gateAt();
    const first = ask({ concurrency: 1 });
    expect(ask({ concurrency: 1 })).toMatchObject({ kind: "refused", lacks: "concurrency", limit: 1 });
    if (first.kind !== "admitted") throw new Error("refused");
    first.admission.end({ kind: "made", tokens: 1 });
    expect(() => first.admission.end({ kind: "made", tokens: 1 })).toThrow("once");
    expect(ask({ concurrency: 1 }).kind).toBe("admitted");
    expect(ask({ concurrency: 2 }).kind).toBe("admitted");
    expect(ask({ concurrency: 2 }).kind).toBe("refused");
  });

  test("keys do not share what they have", () => {
    const gate = createCallerGate(() => T0);
    const ask = (keyId: string) => gate.admit({ keyId, limits: { ...none, rpm: 1 } }, () => 0).kind;
    expect([ask("key_1"), ask("key_2"), ask("key_1"), ask("key_2")]).toEqual([
      "admitted",
      "admitted",
      "refused",
      "refused",
    ]);
  });

  test("the estimate is not made for keys without a limit on tokens", () => {
    const gate = createCallerGate(() => T0);
    const estimate = () => {
      throw new Error("estimated");
    };
    expect(gate.admit({ keyId: "key_1", limits: { ...none, rpm: 1 } }, estimate).kind).toBe("admitted");
    expect(gate.admit({}, estimate)).toMatchObject({ kind: "admitted" });
  });

  test.each<[number, string]>([
    [0, "0s"],
    [17, "17ms"],
    [1_000, "1s"],
    [8_640, "8.64s"],
    [360_000, "6m0s"],
    [3_600_000, "1h0m0s"],
    [72_345, "1m12.345s"],
  ])("%d ms is written as OpenAI writes it: %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });
});
