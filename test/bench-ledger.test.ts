import { expect, test } from "vitest";
import { measureLedger } from "../bench/ledger-figures.ts";
import { newDir } from "./store-support.ts";

test("the ledger's bench books every row it makes, finds no sum wrong, and measures each part", async () => {
  const options = { requests: 600, days: 8, aloneMs: 50, tell: () => {} };
  const figures = await measureLedger({ dir: newDir(), ...options });
  expect(figures.parts.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["request_rows", "attempt_rows", "texts"]),
  );
  expect(figures.parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(figures.fileBytes);
  expect(figures.reports.map(({ by, days }) => `${by} ${days}`)).toEqual(["day 30", "model 30", "day 90", "model 90"]);
  expect(figures.retention.removed).toMatch(/^retention removed 2\d\d attempts, 2\d\d requests/);
  expect(figures.bookingAlone.count).toBeGreaterThan(0);
}, 60_000);
