// The differences between two sets of rules, for a terminal.
import { changesText } from "./changes.ts";
import type { Difference, Route, RulesDiff } from "./diff.ts";

const NAMES_SHOWN = 6;
const TARGETS_SHOWN = 6;

export function diffText(diff: RulesDiff): string {
  const blocks = [`Rules: ${changesText(diff.changes)}.`];
  blocks.push(...diff.differences.map((difference) => blockOf(difference, diff.shapes)));
  if (diff.unseen.length > 0) {
    const names = diff.unseen.map((name) => JSON.stringify(name)).join(", ");
    blocks.push(
      `Decided none of the requests looked at, so their effect is not shown: ${names}.\n(Their conditions ask for something else: a key, a header, a time …)`,
    );
  }
  const names = new Set(diff.differences.flatMap((difference) => difference.names));
  const kinds = diff.shapes.join(", ");
  const result = names.size === 0 ? "all go where they went" : `${names.size} go elsewhere or otherwise`;
  blocks.push(`${diff.names} model names, each ${kinds}: ${result}.`);
  return `${blocks.join("\n\n")}\n`;
}

function blockOf({ names, shapes, before, after }: Difference, all: string[]): string {
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  const which = shapes.length === all.length ? "every request" : shapes.join(", ");
  return [
    `${names.slice(0, NAMES_SHOWN).join(", ")}${more}: ${which}`,
    `  before  ${routeText(before, after)}`,
    `  after   ${routeText(after, before)}`,
  ].join("\n");
}

/** Says of a route what sets it apart from the other. */
function routeText(route: Route, other: Route): string {
  const origin = route.rule === null ? "no rule" : `rule ${JSON.stringify(route.rule)}`;
  if (route.refused !== null) return `${origin}: refused, ${route.refused}`;
  const differs = (member: keyof Route) =>
    other.refused === null && JSON.stringify(route[member]) !== JSON.stringify(other[member]);
  const notes: string[] = [];
  if (differs("attempts")) notes.push(`${route.attempts} attempts`);
  if (differs("timeouts_ms")) notes.push(`timeouts ${timeoutsText(route.timeouts_ms)}`);
  if (differs("queue")) notes.push(`queue ${route.queue}`);
  if (differs("affordable_max_tokens")) notes.push(`affordable_max_tokens ${route.affordable_max_tokens}`);
  if (differs("on_filter")) notes.push(`on_filter ${route.on_filter}`);
  if (differs("hedge")) notes.push(`hedge ${route.hedge ?? "off"}`);
  if (differs("set")) notes.push(`set ${JSON.stringify(route.set[0])}`);
  const tail = notes.length === 0 ? "" : ` (${notes.join(", ")})`;
  return `${origin}, ${route.pick}: ${targetsText(route)}${tail}`;
}

function targetsText({ targets, shares }: Route): string {
  const shown = targets.slice(0, TARGETS_SHOWN).map((name) => {
    const share = shares?.[name];
    return share === undefined ? name : `${name} (first in ${Math.round(share)} %)`;
  });
  const more = targets.length > TARGETS_SHOWN ? ` and ${targets.length - TARGETS_SHOWN} more` : "";
  return `${shown.join(", ")}${more}`;
}

function timeoutsText(timeoutsMs: (number | null)[]): string {
  const [connect, firstByte, idle, contentIdle, total] = timeoutsMs.map((ms) =>
    ms === null ? "default" : `${ms / 1000} s`,
  );
  return `connect ${connect}, first byte ${firstByte}, idle ${idle}, content idle ${contentIdle}, total ${total}`;
}
