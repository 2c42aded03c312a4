import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { durationMs, microUsd, parseDurationMs, sizeBytes, tokenCount } from "../src/units.ts";

type Unit = typeof durationMs | typeof microUsd;

/** The quantity, or the words of the refusal. */
function read(unit: Unit, text: unknown): number | string | undefined {
  const parsed = unit.safeParse(text);
  return parsed.success ? parsed.data : parsed.error.issues[0]?.message;
}

const NO_DURATION = "expected a duration such as 250ms, 30s, 10m, 24h or 7d";
const NO_SIZE = "expected a size such as 512KB or 32MB";
const NO_COUNT = "expected a number of tokens such as 8000, 128k or 1M";
const NO_PRICE = "expected a price in dollars per million tokens such as $2.50";

describe("quantities as people write them", () => {
  test.each<[string, Unit, unknown, number | string]>([
    ["duration", durationMs, "250ms", 250],
    ["duration", durationMs, "30s", 30_000],
    ["duration", durationMs, "1.5s", 1_500],
    ["duration", durationMs, "10m", 600_000],
    ["duration", durationMs, "24h", 86_400_000],
    ["duration", durationMs, "7d", 604_800_000],
    ["duration", durationMs, "7 d", 604_800_000],
    ["duration", durationMs, "0s", 0],
    ["duration", durationMs, 30, NO_DURATION],
    ["duration", durationMs, "30", NO_DURATION],
    ["duration", durationMs, "-1s", NO_DURATION],
    ["duration", durationMs, "1h30m", NO_DURATION],
    ["duration", durationMs, "1S", NO_DURATION],
    ["duration", durationMs, "1constructor", NO_DURATION],
    ["duration", durationMs, "1__proto__", NO_DURATION],
    ["size", sizeBytes, "1B", 1],
    ["size", sizeBytes, "512KB", 524_288],
    ["size", sizeBytes, "32MB", 33_554_432],
    ["size", sizeBytes, "1.5GB", 1_610_612_736],
    ["size", sizeBytes, "32mb", NO_SIZE],
    ["size", sizeBytes, 32, NO_SIZE],
    ["count", tokenCount, "200000", 200_000],
    ["count", tokenCount, 200_000, 200_000],
    ["count", tokenCount, "128k", 128_000],
    ["count", tokenCount, "1M", 1_000_000],
    ["count", tokenCount, "1toString", NO_COUNT],
    ["count", tokenCount, "1G", NO_COUNT],
    ["price", microUsd, "$2.50", 2_500_000],
    ["price", microUsd, 2.5, 2_500_000],
    ["price", microUsd, "0.000001", 1],
    ["price", microUsd, 0, 0],
    ["price", microUsd, "$999999999.999999", 999_999_999_999_999],
    ["price", microUsd, "0.0000001", NO_PRICE],
    ["price", microUsd, 1e-7, NO_PRICE],
    ["price", microUsd, "-1", NO_PRICE],
    ["price", microUsd, "2,50", NO_PRICE],
    ["price", microUsd, "€2", NO_PRICE],
    ["price", microUsd, "$", NO_PRICE],
  ])("%s: %3$j", (_, unit, text, expected) => {
    expect(read(unit, text)).toBe(expected);
  });

  test("what is neither text nor a number is refused", () => {
    for (const unit of [durationMs, sizeBytes, tokenCount, microUsd]) {
      for (const value of [null, true, [], {}]) expect(unit.safeParse(value).success).toBe(false);
    }
  });

  test("a price is read to the last micro-dollar, never through a fraction", () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), fc.nat(999_999), (dollars, micro) => {
        const text = `$${dollars}.${String(micro).padStart(6, "0")}`;
        expect(read(microUsd, text)).toBe(dollars * 1_000_000 + micro);
      }),
    );
  });

  test("the command line reads durations the same way", () => {
    expect(parseDurationMs("30s")).toBe(30_000);
    expect(parseDurationMs("soon")).toBeUndefined();
  });
});
