// `signalbox usage waste`: what was paid for nothing, and by whose key.
import type { Environment } from "../config.ts";
import { formatUsd } from "../pricing.ts";
import { readSettings } from "../settings.ts";
import { reading } from "../store/reader.ts";
import { WASTE_KINDS, type Waste, type WasteKind, wasteReport } from "../store/waste.ts";
import { table } from "../table.ts";
import { parse } from "./arguments.ts";
import { cacheSavingNanoUsd, pricesNow } from "./prices.ts";
import {
  type AskedTime,
  bigJson,
  PLACE_OPTIONS,
  reported,
  TIME_HELP,
  TIME_OPTIONS,
  timeOf,
  timeText,
} from "./report-options.ts";

const HELP = `signalbox usage waste: what was paid for nothing, or for less than it could have been.

Usage: signalbox usage waste [--since 7d] [--json]

Options:
${TIME_HELP}
                 default of --since: 7d
  --json         As JSON; money in integer nanodollars
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  -h, --help     This text

cut off         The output met its limit (max_tokens): paid for in full, and maybe of no use.
repeated        Answered, and asked again word for word by the same key: all but the first.
cache missed    A prompt of 1,024 tokens or more, nothing of it read from the cache, within 5 minutes of another of the same
                session (or, without one, of the same key and model). Money is what reading all of it would have saved.
failed, billed  Attempts that failed or were cut short and cost something all the same.
`;

const NAMES: Record<WasteKind, string> = {
  cut_off: "cut off",
  repeated: "repeated",
  cache_missed: "cache missed",
  failed_billed: "failed, billed",
};

export function waste(args: string[], env: Environment, nowMs: number): string {
  const { values } = parse(args, { ...TIME_OPTIONS, ...PLACE_OPTIONS, json: { type: "boolean", default: false } });
  if (values.help) return HELP;
  const time = timeOf(values, nowMs, "7d");
  const settings = readSettings({ flags: values, env });
  const prices = pricesNow(settings);
  const report = reported(() =>
    reading(settings.config.dataDir, (db) =>
      wasteReport(db, {
        ...time,
        cacheSavingNanoUsd: ({ provider, model, inputTokens, openedAtMs }) => {
          const rates = prices.listed(provider, model);
          return rates === undefined ? undefined : cacheSavingNanoUsd(inputTokens, rates, openedAtMs);
        },
      }),
    ),
  );
  return values.json ? bigJson(report) : printed(report, time);
}

function printed({ kinds, attemptsLookedAt, requestsLookedAt }: Waste, time: AskedTime): string {
  const rows = WASTE_KINDS.map((kind) => {
    const { count, nanoUsd, unpriced, keys } = kinds[kind];
    const top = keys.map((sum) => `${sum.key} ${sum.count} ($${formatUsd(sum.nanoUsd)})`).join(", ");
    return [NAMES[kind], top, String(count), formatUsd(nanoUsd), String(unpriced)];
  });
  const header = ["kind", "top keys", "count", "money $", "unpriced"];
  const looked = `${attemptsLookedAt} attempts and ${requestsLookedAt} requests looked at`;
  return `${table([header, ...rows], 2)}${timeText(time)}; ${looked}.\n`;
}
