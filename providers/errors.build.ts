// Writes errors.md from the table of src/taxonomy.ts: `npm run errors-doc`.
import { writeFileSync } from "node:fs";
import { type Blame, hurtsHealth, type Policy, TAXONOMY } from "../src/taxonomy.ts";

const HEAD = `# What a failed call leads to

Generated from \`src/taxonomy.ts\` by \`npm run errors-doc\`; a test holds the two together.

Each dialect turns what a provider answers into one of these kinds, some with a subkind where it leads to something else.
All that follows is this table's: whether the same target is asked again, whether the next one is, whose breaker or limit is
touched, and what the caller hears when nothing is left to try. Only failures before the first content can lead to another
call; after it the caller gets an error event.

* **Again**: another try on the same target. *once, if alone*: after a back-off, when no other candidate can take the call.
  *in turn*: when its limits have room again, in the order of the queue.
* **Next**: the next candidate of the plan, at once. *larger window*: only one whose context window is known to be larger.
  *by rule*: where the rule says \`on_filter: next\`.
* **Fault**: whose it is and what follows. *Opens after n*: so many in a row open the breaker for 5 s, doubled each time up to
  a minute; so do more than half of the last calls. *Out for*: doubled each time up to the second figure.
* **Price**: of the retry, out of what the process may retry (a fifth for each request and one a second, 60 at the most); 2
  once output had begun. What a failed call had cost all the same is counted apart: of the last hour's spend at most 5 %, or
  $0.50 where that is more, may be paid a second time.
* **Status**, \`code\`: for the caller, when nothing is left to try. \`*\`: unless the provider's own may be shown.
* **Hopeless**: the answer carries \`x-should-retry: false\` at once. All others carry it after more than one call, unless it
  is known when to come back (\`Retry-After\`).
`;

const COLUMNS = ["Kind", "What was answered", "Again", "Next", "Fault", "Price", "Status", "Code", "Hopeless"];

/** The page, from the table. */
export function errorsPage(): string {
  const rows = Object.entries(TAXONOMY).map(([name, policy]: [string, Policy]) => {
    return [
      `\`${name.replace("/", "` `")}\``,
      policy.means,
      { never: "no", once_if_alone: "once, if alone", in_turn: "in turn" }[policy.again],
      { yes: "yes", no: "no", larger_window: "larger window", by_rule: "by rule" }[policy.next],
      faultOf(policy.blame),
      String(policy.retryPrice),
      String(policy.status),
      codeOf(policy),
      policy.isHopeless ? "yes" : "",
    ];
  });
  const table = [COLUMNS, COLUMNS.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const scored = Object.keys(TAXONOMY).filter((name) => {
    const [kind, subkind] = name.split("/");
    return hurtsHealth({ kind, subkind } as Parameters<typeof hurtsHealth>[0]);
  });
  const scores = `Those whose breaker opens count in the target's failure rate as well, by which targets are chosen: ${scored
    .map((name) => `\`${name}\``)
    .join(", ")}.`;
  return `${HEAD}\n${table}\n\n${scores}\n`;
}

function codeOf({ code, message }: Policy): string {
  if (code === null) return "the provider's";
  return message === undefined ? `\`${code}\`*` : `\`${code}\``;
}

const POOL_SAYS = {
  lower: "limit: blocked for the time told, then 15 % less is sent",
  slow_down:
    "limit: blocked for the time told, then 30 % less is sent, and no minute takes more than 1.5 × the largest of the 15 before it",
  block: "limit: blocked for the time told",
  day: "limit: the time told is kept once; then blocked until the provider's next day, with one try an hour",
} as const;

function faultOf(blame: Blame): string {
  if (blame.on === "pool") return POOL_SAYS[blame.reaction];
  if (!("opensAfter" in blame || "parkMs" in blame)) return blame.on;
  if ("opensAfter" in blame)
    return `${blame.on}: opens after ${blame.opensAfter}${blame.weight === undefined ? "" : `, counts as ${blame.weight}`}`;
  const { on, parkMs, parkMsMax } = blame;
  return `${on}: out for ${duration(parkMs)}${parkMsMax > parkMs ? ` to ${duration(parkMsMax)}` : ""}`;
}

function duration(ms: number): string {
  return ms < 60_000 ? `${ms / 1_000} s` : `${ms / 60_000} min`;
}

if (import.meta.main) writeFileSync(new URL("errors.md", import.meta.url), errorsPage());
