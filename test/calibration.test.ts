// What bills teach: predictions that follow a foreign tokenizer, a spread that covers, bounds, and a memory that survives.
import fc from "fast-check";
import { countTokens as countCl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as countO200k } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, test } from "vitest";
import { createCalibration, type EstimatedCall } from "../src/tokens/calibration.ts";
import { estimateTokens } from "../src/tokens.ts";
import { type Sample, samples, seeded } from "./support/texts.ts";

function call(more: Partial<EstimatedCall> = {}): EstimatedCall {
  return { model: "m", key: "k", rawTokens: 1_000, ...more };
}

/** One call of a key: a text it might send, what we think of it and what a provider would bill. */
interface Billed {
  rawTokens: number;
  actualTokens: number;
}

function billed(texts: Sample[], count: (text: string) => number): Billed[] {
  return texts.map(({ text }) => ({
    rawTokens: estimateTokens({ model: "m", messages: [{ role: "user", content: text }] }).textTokens,
    // A tokenizer that makes 35 % more of the same text, and a template that adds nine tokens to a message.
    actualTokens: Math.round(1.35 * count(text)) + 9,
  }));
}

interface Run {
  errors: number[];
  /** Shares of calls that stayed within mean + 2 σ and mean + 3 σ. */
  within2: number;
  within3: number;
}

/** 150 calls by each of ten keys, of which the first 50 are for learning. */
function run(texts: Sample[], count: (text: string) => number): Run {
  const draw = seeded(7);
  const pool = billed(texts, count);
  const calibration = createCalibration();
  const seen: { error: number; sigmas: number }[] = [];
  for (let key = 0; key < 10; key += 1) {
    for (let index = 0; index < 150; index += 1) {
      const { rawTokens, actualTokens } = pool[Math.floor(draw() * pool.length)] as Billed;
      const estimated = call({ key: `k${key}`, rawTokens });
      const { mean, stdDev } = calibration.predict(estimated);
      if (index >= 50) {
        seen.push({ error: Math.abs(mean - actualTokens) / actualTokens, sigmas: (actualTokens - mean) / stdDev });
      }
      calibration.learn(estimated, actualTokens);
    }
  }
  const shareWithin = (sigmasMax: number) => seen.filter(({ sigmas }) => sigmas <= sigmasMax).length / seen.length;
  return { errors: seen.map(({ error }) => error), within2: shareWithin(2), within3: shareWithin(3) };
}

const PLAIN = { disallowedSpecial: new Set<string>() };
const o200k = (text: string) => countO200k(text, PLAIN);
const cl100k = (text: string) => countCl100k(text, PLAIN);

function expectAccurate({ errors, within2, within3 }: Run): void {
  const p95 = [...errors].sort((a, b) => a - b)[Math.floor(0.95 * errors.length)];
  expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThanOrEqual(0.06);
  expect(p95).toBeLessThanOrEqual(0.15);
  expect(within2).toBeGreaterThan(0.9);
  expect(within3).toBeGreaterThan(0.95);
}

describe("after 50 calls of a key, against a tokenizer that counts 35 % more, the mean error is ≤ 6 % and p95 ≤ 15 %", () => {
  const all = samples();

  test("keys that mix everything: prose in twelve languages, code, tables, encoded bytes", () => {
    expectAccurate(run(all, o200k));
  });

  test("a tokenizer of another family, keys that mix European prose, code, JSON, logs and ids", () => {
    const european =
      /^(english|german|french|spanish|typescript|tests|markdown|json|log|csv|numbers|hashes|ids|base64)/;
    expectAccurate(
      run(
        all.filter(({ domain }) => european.test(domain)),
        cl100k,
      ),
    );
  });

  test.each(["arabic", "hindi", "chinese", "korean"])(
    "a tokenizer of another family, a key that writes %s",
    (domain) => {
      const text = all.find((sample) => sample.domain === domain)?.text ?? "";
      const cuts = Array.from({ length: 20 }, (_, index) => ({ domain, text: text.slice(4 * index) }));
      expectAccurate(run(cuts, cl100k));
    },
  );
});

describe("prediction", () => {
  test("before anything is known the estimate stands, with a spread that covers most tokenizers", () => {
    const { mean, stdDev } = createCalibration().predict(call({ mediaTokens: 500 }));
    expect(mean).toBe(1_500);
    expect(stdDev).toBe(150);
  });

  test("a key nobody has seen is predicted from its model, with more spread than a key that is known", () => {
    const calibration = createCalibration();
    for (let index = 0; index < 60; index += 1) calibration.learn(call(), index % 2 === 0 ? 1_330 : 1_370);
    const known = calibration.predict(call());
    const unknown = calibration.predict(call({ key: "other" }));
    expect(known.mean).toBeGreaterThan(1_320);
    expect(known.mean).toBeLessThan(1_380);
    expect(unknown.mean).toBeGreaterThan(1_280);
    expect(unknown.stdDev).toBeGreaterThan(known.stdDev);
    expect(calibration.predict(call({ model: "other" })).mean).toBe(1_000);
  });

  test("two keys of one model keep their own ratios", () => {
    const calibration = createCalibration();
    for (let index = 0; index < 40; index += 1) {
      calibration.learn(call({ key: "english" }), 1_100);
      calibration.learn(call({ key: "hindi" }), 2_600);
    }
    expect(calibration.predict(call({ key: "english" })).mean / 1_100).toBeCloseTo(1, 1);
    expect(calibration.predict(call({ key: "hindi" })).mean / 2_600).toBeCloseTo(1, 1);
  });

  test("a preamble the provider adds to tools is learned as a constant, not as a ratio of the text", () => {
    const calibration = createCalibration();
    const draw = seeded(3);
    for (let index = 0; index < 300; index += 1) {
      const rawTokens = 60 + Math.floor(draw() * 800);
      const tools = index % 2 === 0 ? 4 : 0;
      calibration.learn(call({ rawTokens, tools }), Math.round(1.2 * rawTokens) + (tools > 0 ? 340 : 0));
    }
    // A ratio alone would be 67 % short for 80 tokens, or 5 times too much without tools.
    const within25 = (tokens: number, of: number) => expect(Math.abs(tokens / of - 1)).toBeLessThan(0.25);
    for (const rawTokens of [80, 300, 5_000]) {
      within25(calibration.predict(call({ rawTokens })).mean, 1.2 * rawTokens);
      within25(calibration.predict(call({ rawTokens, tools: 4 })).mean, 1.2 * rawTokens + 340);
    }
  });

  test("images are not scaled by the ratio of the text", () => {
    const calibration = createCalibration();
    for (let index = 0; index < 40; index += 1) calibration.learn(call({ mediaTokens: 5_000 }), 1_500 + 5_000);
    const [with0, with5000] = [0, 5_000].map((mediaTokens) => calibration.predict(call({ mediaTokens })).mean);
    expect((with5000 ?? 0) - (with0 ?? 0)).toBe(5_000);
    expect(with0).toBeGreaterThan(1_400);
  });

  test("a new template is learned within some 60 calls, one absurd bill moves next to nothing", () => {
    const calibration = createCalibration();
    for (let index = 0; index < 200; index += 1) calibration.learn(call(), 1_300);
    const settled = calibration.predict(call()).mean;
    calibration.learn(call(), 7_000);
    expect(calibration.predict(call()).mean / settled).toBeLessThan(1.05);
    for (let index = 0; index < 60; index += 1) calibration.learn(call(), 1_700);
    expect(calibration.predict(call()).mean).toBeGreaterThan(1_600);
  });

  test.each([0, -5, Number.NaN, Number.POSITIVE_INFINITY])("a bill of %d tokens teaches nothing", (actualTokens) => {
    const calibration = createCalibration();
    calibration.learn(call(), actualTokens);
    calibration.learn(call({ rawTokens: actualTokens }), 1_000);
    expect(calibration.export()).toEqual(createCalibration().export());
  });

  test("whatever is billed, predictions stay finite and not negative", () => {
    const count = fc.oneof(fc.integer({ min: -2, max: 3_000_000 }), fc.double());
    const calls = fc.array(
      fc.record({ rawTokens: count, actual: count, mediaTokens: fc.nat(9_000), tools: fc.nat(99) }),
    );
    fc.assert(
      fc.property(calls, (all) => {
        const calibration = createCalibration();
        for (const { actual, ...estimated } of all) calibration.learn(call(estimated), actual);
        const { mean, stdDev } = calibration.predict(call());
        expect(Number.isFinite(mean) && mean > 0 && Number.isFinite(stdDev) && stdDev > 0).toBe(true);
      }),
    );
  });
});

describe("the error that is shown", () => {
  test("it is the mean of the last calls, per model and over all; a model nobody called has none", () => {
    const calibration = createCalibration();
    expect(calibration.meanAbsoluteError()).toBeUndefined();
    calibration.learn(call(), 2_000);
    calibration.learn(call({ model: "n" }), 1_250);
    expect(calibration.meanAbsoluteError("m")).toBeCloseTo(0.5);
    expect(calibration.meanAbsoluteError("n")).toBeCloseTo(0.2);
    expect(calibration.meanAbsoluteError()).toBeCloseTo(0.35);
    expect(calibration.meanAbsoluteError("o")).toBeUndefined();
    for (let index = 0; index < 300; index += 1) calibration.learn(call(), 2_000);
    expect(calibration.meanAbsoluteError("m")).toBeLessThan(0.02);
  });
});

describe("memory", () => {
  test("what was learned survives a restart, in the same order of use", () => {
    const before = createCalibration({ keysMax: 3 });
    for (const key of ["a", "b", "c"]) before.learn(call({ key, tools: 2, rawTokens: 100 }), 180);
    before.learn(call({ key: "a" }), 1_400);
    const saved = JSON.parse(JSON.stringify(before.export())) as unknown;
    const after = createCalibration({ keysMax: 3 });
    after.restore(saved);
    expect(after.export()).toEqual(before.export());
    for (const key of ["a", "b", "c", "new"])
      expect(after.predict(call({ key }))).toEqual(before.predict(call({ key })));
    for (const calibration of [before, after]) calibration.learn(call({ key: "d" }), 1_200);
    expect(after.export()).toEqual(before.export());
  });

  test("the least recently used keys and models are forgotten, and no name can pass for another", () => {
    const calibration = createCalibration({ modelsMax: 2, keysMax: 3 });
    for (let index = 0; index < 50; index += 1)
      calibration.learn(call({ model: `m${index}`, key: `k${index}` }), 1_500);
    const { models, keys } = calibration.export() as { models: { model: string }[]; keys: unknown[] };
    expect(models.map(({ model }) => model)).toEqual(["m48", "m49"]);
    expect(keys).toHaveLength(3);

    const names = createCalibration();
    names.learn(call({ model: "ab", key: "c" }), 1_500);
    expect(names.predict(call({ model: "a", key: "bc" })).mean).toBe(1_000);
  });

  test("models and keys with names of JavaScript's own are names", () => {
    const calibration = createCalibration();
    calibration.learn(call({ model: "__proto__", key: "constructor" }), 1_500);
    const after = createCalibration();
    after.restore(JSON.parse(JSON.stringify(calibration.export())));
    expect(after.predict(call({ model: "__proto__", key: "constructor" })).mean).toBeGreaterThan(1_200);
    expect(after.predict(call({ model: "toString" })).mean).toBe(1_000);
  });

  test("older and damaged exports are read as far as they make sense", () => {
    const calibration = createCalibration();
    calibration.restore({
      models: [{ model: "m", calls: 30, mean: 0.3 }, { model: 7, calls: 1, mean: 0 }, null, "x"],
      keys: [
        { name: "1:mk", calls: 30, mean: 0.5, variance: -1 },
        { name: "1:mbad", calls: 1.5, mean: 0.5, variance: 0.1 },
        { name: "1:mworse", calls: 9, mean: Number.NaN, variance: 0.1 },
        { name: "1:mhuge", calls: 9, mean: 99, variance: 0.1 },
      ],
    });
    expect(calibration.predict(call()).mean / (1_000 * Math.exp(0.5))).toBeCloseTo(1, 1);
    for (const key of ["bad", "worse", "huge"])
      expect(calibration.predict(call({ key })).mean / (1_000 * Math.exp(0.3))).toBeCloseTo(1, 1);
  });

  test("nothing that can be restored throws or breaks a prediction", () => {
    const json = fc.jsonValue({ maxDepth: 4 });
    const ratio = { calls: json, mean: json, variance: json };
    const exported = fc.record({
      models: fc.oneof(json, fc.array(fc.record({ model: fc.constant("m"), ...ratio, constants: json }))),
      keys: fc.oneof(json, fc.array(fc.record({ name: fc.constant("1:mk"), ...ratio }))),
    });
    fc.assert(
      fc.property(fc.oneof(json, exported), (saved) => {
        const calibration = createCalibration();
        calibration.restore(saved);
        calibration.learn(call(), 1_200);
        const { mean, stdDev } = calibration.predict(call());
        expect(Number.isFinite(mean) && mean > 0 && stdDev > 0).toBe(true);
      }),
    );
    for (const saved of [undefined, null, 1, "x", []]) createCalibration().restore(saved);
  });
});
