// `node bench/decision.ts [--seconds 5]`: how long a decision takes. Exit code 1 when a target is missed.
import { measureDecisions } from "./decision-figures.ts";

const P50_MS = 0.1;
const P99_MS = 0.5;
const ADMITTED_P50_MS = 0.15;

const seconds = Number(process.argv[process.argv.indexOf("--seconds") + 1]) || 5;
const { decisions, bodyBytes, planMs, admittedMs } = await measureDecisions(seconds);
console.log(`${decisions} decisions, 50 rules, 5 candidates, body of ${bodyBytes} bytes`);
const figures = `p50 ${planMs.p50.toFixed(4)} ms (target ${P50_MS})   p99 ${planMs.p99.toFixed(4)} ms (target ${P99_MS})`;
console.log(`${figures}   p99.9 ${planMs.p999.toFixed(4)} ms`);
console.log(`with admission and limits: p50 ${admittedMs.p50.toFixed(4)} ms (target ${ADMITTED_P50_MS})`);
if (!(planMs.p50 <= P50_MS && planMs.p99 <= P99_MS && admittedMs.p50 <= ADMITTED_P50_MS)) process.exitCode = 1;
