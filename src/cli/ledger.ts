// `signalbox backup` and `signalbox ledger check`: the operator's care for the ledger.
import { resolve } from "node:path";
import type { Environment } from "../config.ts";
import { readSettings, StartError } from "../settings.ts";
import { backUpLedger } from "../store/backup.ts";
import { checkLedger } from "../store/ledger-check.ts";
import { type Printed, parse, UsageError } from "./arguments.ts";

const BACKUP_HELP = `signalbox backup: a copy of the ledger, made while the router runs.

Usage: signalbox backup FILE [--json] [--data DIR] [--config FILE]

The copy is of one moment, checked, and on disk when the command ends. A file that exists is not overwritten.
Rows of the last milliseconds that were still in the router's journal are not in it.
To restore it: stop the router, put the file in the place of signalbox.db in the data folder, remove
signalbox.db-wal and signalbox.db-shm, and start. The journal files stay: they are replayed, and nothing counts twice.

Options:
  --json         One JSON object: file, bytes, requests, attempts
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  --config FILE  Configuration (SIGNALBOX_CONFIG)          default ./signalbox.yaml, if there
  -h, --help     This text
`;

const LEDGER_HELP = `signalbox ledger check: are the ledger's sums what its rows add up to? Works while the router runs, which checks
two days itself every night.

Usage: signalbox ledger check [--days 7] [--json] [--data DIR] [--config FILE]

Options:
  --days N       Today and the days before it, N in all (UTC), as far as their rows are kept   default 7
  --json         One JSON array: day, differences
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  --config FILE  Configuration (SIGNALBOX_CONFIG)          default ./signalbox.yaml, if there
  -h, --help     This text

Exit code 1 when a sum differs.
`;

const COMMON = {
  json: { type: "boolean", default: false },
  data: { type: "string" },
  config: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

export function backup(args: string[], env: Environment): string {
  const { values, positionals } = parse(args, COMMON);
  if (values.help) return BACKUP_HELP;
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) {
    throw new UsageError(`backup: expected the name of one file to write; found ${positionals.length} names.`);
  }
  const { config } = readSettings({ flags: values, env });
  const made = orStartError(() => backUpLedger(config.dataDir, resolve(file)));
  if (values.json) return `${JSON.stringify(made)}\n`;
  return (
    `${made.file}: ${made.requests} requests, ${made.attempts} attempts, ${made.bytes} bytes; checked.\n` +
    "Rows of the last milliseconds that were still in the router's journal are not in it.\n"
  );
}

const DAYS_MAX = 3_660;

export function ledger(args: string[], env: Environment, nowMs: number): Printed | string {
  const { values, positionals } = parse(args, { ...COMMON, days: { type: "string", default: "7" } });
  if (values.help) return LEDGER_HELP;
  if (positionals.length !== 1 || positionals[0] !== "check") {
    throw new UsageError(`ledger: expected "check"; found "${positionals.join(" ")}".`);
  }
  const days = Number(values.days);
  if (!Number.isInteger(days) || days < 1 || days > DAYS_MAX) {
    throw new UsageError(`--days: expected a number from 1 to ${DAYS_MAX}; found "${values.days}".`);
  }
  const { config } = readSettings({ flags: values, env });
  const checked = orStartError(() => checkLedger(config.dataDir, nowMs, days));
  const differences = checked.flatMap((day) => day.differences);
  const exitCode = differences.length > 0 ? 1 : 0;
  if (values.json) return { text: `${JSON.stringify(checked, null, 2)}\n`, exitCode };
  const summary =
    differences.length === 0
      ? `${checked.length} days: every sum is what its rows add up to.`
      : `${checked.length} days: ${differences.length} sums differ from their rows.`;
  return { text: `${[...differences, summary].join("\n")}\n`, exitCode };
}

/** What goes wrong here is for the operator: a line, not a stack. */
function orStartError<Result>(action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}
