// Prompt-cache markers: where callers put them, and the rules Anthropic answers 400 for when they are broken.
import { isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import type { AnyTool, Block, CacheControlEphemeral, TextBlockParam, Turn } from "./wire.ts";

/** "A maximum of 4 blocks with cache_control may be provided"; the top-level marker counts as one. */
const MARKERS_MAX = 4;

/** The marker of a part, message or tool: Anthropic's own, or OpenAI's `prompt_cache_breakpoint`. */
export function markerOf(holder: object): CacheControlEphemeral | undefined {
  const { cache_control, prompt_cache_breakpoint } = holder as Record<string, unknown>;
  if (isObject(cache_control) && cache_control.type === "ephemeral") {
    const { ttl } = cache_control;
    return ttl === "5m" || ttl === "1h" ? { type: "ephemeral", ttl } : { type: "ephemeral" };
  }
  // OpenAI's breakpoint lives 30 minutes, which has no equal here: the default of five minutes is the cheap side.
  if (isObject(prompt_cache_breakpoint)) return { type: "ephemeral" };
  return undefined;
}

/** As members to spread into a block: nothing when there is no marker. */
export function marked(holder: object): { cache_control?: CacheControlEphemeral } {
  const marker = markerOf(holder);
  return marker === undefined ? {} : { cache_control: marker };
}

type Carrier = Exclude<Block, { type: "thinking" | "redacted_thinking" }>;

function canCarry(block: Block): block is Carrier {
  return block.type !== "thinking" && block.type !== "redacted_thinking";
}

/** Puts a marker on the last block that can carry one: never on thinking (400). */
export function markLast(blocks: Block[], marker: CacheControlEphemeral | undefined): void {
  if (marker === undefined) return;
  const carrier = blocks.findLast(canCarry);
  if (carrier !== undefined) carrier.cache_control = marker;
}

/**
 * Removes text without a visible character: "text content blocks must contain non-whitespace text", and a blank
 * stand-in is refused too (anomalyco/opencode#31259). A marker moves to the block before, or is lost with nothing
 * before it ("cache_control cannot be set for empty text blocks", vercel/eve#2753).
 */
export function withoutBlankText<T extends Block>(blocks: T[]): T[] {
  const kept: T[] = [];
  for (const block of blocks) {
    if (block.type !== "text" || /\S/.test(block.text)) kept.push(block);
    else markLast(kept, block.cache_control ?? undefined);
  }
  return kept;
}

export interface Marked {
  tools: AnyTool[];
  system: TextBlockParam[];
  turns: Turn[];
  topLevel: CacheControlEphemeral | undefined;
}

/** Takes markers away until Anthropic accepts what is left: at most four, and no `1h` after a `5m`. */
export function enforceCacheRules({ tools, system, turns, topLevel }: Marked, report: Report): void {
  const isMarked = (holder: { cache_control?: CacheControlEphemeral | null }) => Boolean(holder.cache_control);
  const onTools = tools.filter(isMarked);
  const onSystem = system.filter(isMarked);
  const onTurns = turns.flatMap((turn) => turn.content.filter(canCarry)).filter(isMarked);
  const all = [...onTools, ...onSystem, ...onTurns];
  const room = MARKERS_MAX - (topLevel === undefined ? 0 : 1);
  if (all.length > room) {
    // The last marker on tools and on system cover the most stable prefixes; of the rest the latest reach furthest.
    const byWorth = [...onTools.slice(-1), ...onSystem.slice(-1), ...onTurns.toReversed()];
    const kept = new Set<object>([...byWorth, ...onSystem.toReversed(), ...onTools.toReversed()].slice(0, room));
    for (const holder of all) if (!kept.has(holder)) delete holder.cache_control;
    report.note("repaired", "cache_control");
  }
  let shortSeen = false;
  for (const { cache_control } of [...all, { cache_control: topLevel }]) {
    if (!cache_control) continue;
    if (cache_control.ttl !== "1h") shortSeen = true;
    else if (shortSeen) {
      cache_control.ttl = "5m";
      report.note("repaired", "cache_control");
    }
  }
}
