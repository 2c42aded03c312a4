// What the ledger has about one request: the rule that decided, what was weighed then, and every call that was made.
import { isObject, objectsIn } from "../json.ts";
import { formatUsd } from "../pricing.ts";
import { StartError } from "../settings.ts";
import { requestReport } from "../store/reports.ts";
import type { RequestReport } from "../store/request-list.ts";

export function explainPast(dataDir: string, requestId: string, asJson: boolean): string {
  const report = read(dataDir, requestId);
  if (report === undefined) {
    throw new StartError(`${requestId} is not in the ledger of ${dataDir}: it never came here, or is still running.`);
  }
  const trace: unknown = report.request.trace === null ? undefined : JSON.parse(report.request.trace);
  if (asJson) {
    const request = { ...report.request, trace: trace ?? null };
    return `${JSON.stringify({ request, attempts: report.attempts }, null, 2)}\n`;
  }
  return `${[...requestLines(report), ...traceLines(trace), ...report.attempts.map(attemptLine)].join("\n")}\n`;
}

function read(dataDir: string, requestId: string): RequestReport | undefined {
  try {
    return requestReport(dataDir, requestId);
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

function requestLines({ request }: RequestReport): string[] {
  const failed = request.errorKind === null ? "" : ` ${request.errorKind}`;
  return [
    `received   ${new Date(request.receivedAtMs).toISOString()}, key "${request.callerKey}", rules ${request.snapshotId}`,
    `model      ${request.modelRequested}`,
    `decision   ${request.decision}`,
    ...(request.queuedMs === null ? [] : [`waited     ${seconds(request.queuedMs)} for a place at a provider`]),
    ...request.warnings.map((warning) => `warning    ${warning}`),
    `answered   ${request.status}${failed} after ${seconds(request.endedAtMs - request.receivedAtMs)}`,
  ];
}

/** The short names are those of `traceText`. */
function traceLines(trace: unknown): string[] {
  if (!isObject(trace)) return [];
  const strings = (list: unknown) => (Array.isArray(list) ? list.map(String) : []);
  return [
    ...strings(trace.over).map((rule) => `not        rule "${rule}"`),
    ...objectsIn(trace.targets).map(({ t, c, ms, x }) => {
      const cost = typeof c === "number" ? `, expected $${formatUsd(c)}` : "";
      const latency = typeof ms === "number" ? `, expected ${seconds(ms)}` : "";
      const out = strings(x).length === 0 ? "" : `, out: ${strings(x).join(", ")}`;
      return `weighed    ${String(t)}${cost}${latency}${out}`;
    }),
    ...(typeof trace.more === "number" ? [`weighed    ${trace.more} more`] : []),
    ...strings(trace.off).map((target) => `weighed    ${target}, out: not_enabled`),
  ];
}

function attemptLine(row: RequestReport["attempts"][number]): string {
  const end = row.endReason ?? row.state;
  const error =
    row.errorKind === null ? "" : ` (${row.errorKind}${row.httpStatus === null ? "" : ` ${row.httpStatus}`})`;
  const time = row.endedAtMs === null ? "" : ` in ${seconds(row.endedAtMs - row.openedAtMs)}`;
  const cost = row.costNanoUsd === null ? "no cost known" : `$${formatUsd(row.costNanoUsd)}`;
  const tokens = `${row.inputTokens ?? "?"} tokens in, ${row.outputTokens ?? "?"} out`;
  const account = row.account === null ? "" : ` with ${row.account}`;
  return `call ${row.attempt}     ${row.provider}/${row.model}${account}: ${end}${error}${time}, ${tokens}, ${cost}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
