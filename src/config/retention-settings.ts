// The section `retention` of signalbox.yaml: how long the ledger keeps what.
import { z } from "zod";
import { parseDurationMs } from "../units.ts";

/** In ms; `undefined` for ever. */
export interface RetentionSettings {
  requestsMs: number | undefined;
  tracesMs: number | undefined;
  minutesMs: number | undefined;
  hoursMs: number | undefined;
  daysMs: number | undefined;
}

const DAY_MS = 86_400_000;

/** What is kept for a shorter time than reports (sums by minute: two days, by hour: a month) or the nightly check of
 *  yesterday's rows rely on would make them wrong. */
const kept = (daysMin: number) =>
  z.union([z.string(), z.number()]).transform((value, context): number | undefined => {
    if (value === "forever") return undefined;
    const ms = parseDurationMs(String(value));
    if (ms !== undefined && ms >= daysMin * DAY_MS) return ms;
    context.addIssue({ code: "custom", message: `expected a duration of at least ${daysMin}d, or forever` });
    return z.NEVER;
  });

export const RETENTION = z
  .strictObject({
    requests: kept(3).prefault("90d"),
    traces: kept(1).prefault("30d"),
    minutes: kept(2).prefault("2d"),
    hours: kept(31).prefault("90d"),
    days: kept(62).prefault("forever"),
  })
  .prefault({});

export function retentionOf(settings: z.output<typeof RETENTION>): RetentionSettings {
  const { requests, traces, minutes, hours, days } = settings;
  return { requestsMs: requests, tracesMs: traces, minutesMs: minutes, hoursMs: hours, daysMs: days };
}
