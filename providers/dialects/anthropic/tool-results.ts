// Tool results directly after their calls: all of one turn's results, in the order of the calls, each exactly once.
import type { Report } from "../report.ts";
import type { Entry, HistoryCall, ResultEntry } from "./entry.ts";
import { IdRegister } from "./ids.ts";
import type { Block, ToolResultBlockParam } from "./wire.ts";

interface OpenCall extends HistoryCall {
  /** Index of the assistant entry that made the call. */
  entry: number;
  result: ToolResultBlockParam | undefined;
}

/**
 * Gives every call a legal unique id and moves each result to the user turn right behind its call, wherever the caller
 * had it. Anthropic wants all results of a turn in one message (Portkey-AI/gateway#980) and one for each call.
 */
export function pairResults(entries: Entry[], report: Report): Entry[] {
  const { byEntry, orphans } = bindResults(entries, report);
  const paired: Entry[] = [];
  let waiting: OpenCall[] = [];
  entries.forEach((entry, i) => {
    const orphan = orphans.get(i);
    if (orphan !== undefined) paired.push(orphan);
    if (entry.kind === "result") return;
    paired.push(entry);
    if (entry.kind !== "assistant") return;
    waiting.push(...(byEntry.get(i) ?? []));
    // A run of assistant messages becomes one turn, so its results wait for the end of the run.
    if (entries[i + 1]?.kind === "assistant" || waiting.length === 0) return;
    paired.push({ kind: "user", at: entry.at, blocks: resultBlocks(waiting, report) });
    waiting = [];
  });
  return paired;
}

function bindResults(entries: Entry[], report: Report) {
  const ids = new IdRegister();
  const byEntry = new Map<number, OpenCall[]>();
  const orphans = new Map<number, Entry>();
  /** The latest calls by key: a result belongs to the nearest call before it. */
  const latest = new Map<string, OpenCall[]>();
  entries.forEach((entry, i) => {
    if (entry.kind === "assistant") {
      const opened = entry.calls.map((call): OpenCall => ({ ...call, entry: i, result: undefined }));
      for (const { block } of opened) block.id = ids.claim(block.id);
      for (const { key } of opened)
        latest.set(
          key,
          opened.filter((other) => other.key === key),
        );
      byEntry.set(i, opened);
    } else if (entry.kind === "result") {
      const candidates = latest.get(entry.key);
      if (candidates === undefined) {
        orphans.set(i, orphanText(entry));
        report.note("repaired", "tool_results");
        return;
      }
      const open = candidates.find((call) => call.result === undefined) ?? candidates.at(-1)!;
      if (open.result !== undefined || somethingBetween(entries, open.entry, i)) {
        report.note("repaired", "tool_results");
      }
      open.result = { ...entry.result, tool_use_id: open.block.id };
    }
  });
  return { byEntry, orphans };
}

/** Something other than results, system text and the call's own turn stands between a call and its result. */
function somethingBetween(entries: Entry[], call: number, result: number): boolean {
  for (let i = result - 1; i > call; i -= 1) {
    const kind = entries[i]!.kind;
    if (kind === "user") return true;
    if (kind === "assistant") return entries.slice(call + 1, i).some((entry) => entry.kind !== "assistant");
  }
  return false;
}

/** "each tool_use must have a single result": a call nobody answered gets a failed one. */
function resultBlocks(calls: OpenCall[], report: Report): Block[] {
  return calls.map(({ block, result }) => {
    if (result !== undefined) return result;
    report.note("repaired", "tool_results");
    const content = [{ type: "text" as const, text: "No result provided" }];
    return { type: "tool_result", tool_use_id: block.id, is_error: true, content };
  });
}

/** A result whose call is not in the history ("unexpected tool_use_id found in tool_result blocks") becomes text. */
function orphanText({ at, key, result }: ResultEntry): Entry {
  const blocks = Array.isArray(result.content) ? (result.content as Block[]) : [];
  const text = blocks.map((block) => (block.type === "text" ? block.text : "")).join("");
  const label = `[tool result ${key.slice(key.indexOf(":") + 1)}]`;
  const media = blocks.filter((block) => block.type !== "text");
  return { kind: "user", at, blocks: [{ type: "text", text: `${label}\n${text}` }, ...media] };
}
