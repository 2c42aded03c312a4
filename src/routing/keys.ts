// Every key of a rule file and what it means: the one place from which routing-rules/README.md and the JSON schema for
// editors take their words; tests keep all three equal.

export interface RuleKey {
  /** Dotted; `[]` marks lists. */
  key: string;
  /** Markdown. */
  meaning: string;
  /** Markdown; what holds where the key is absent. */
  absent: string;
}

export const RULE_KEYS: readonly RuleKey[] = [
  { key: "version", meaning: "Of this format: `1`.", absent: "required" },
  { key: "timezone", meaning: "Of `time.*` in conditions, such as `Europe/Berlin`.", absent: "`UTC`" },
  { key: "aliases", meaning: "Names callers may ask for, each with its targets.", absent: "none" },
  { key: "rules[].name", meaning: "Unique; appears in the ledger and in `x-signalbox-decision`.", absent: "required" },
  {
    key: "rules[].model",
    meaning: "Name or names the caller may have asked for; `*` stands for any characters.",
    absent: "any",
  },
  {
    key: "rules[].when",
    meaning: "Condition in [CEL](https://cel.dev) over the variables below, type-checked when the file is read.",
    absent: "always",
  },
  {
    key: "rules[].pick",
    meaning:
      "How to choose within a tier: `order` as written, `cheapest`, `fastest`, `balanced` (drawn, cost and time weighed) or `weighted` (drawn by `weight`).",
    absent: "`balanced`",
  },
  {
    key: "rules[].from",
    meaning: "The targets: strings, or `{ use: …, weight: 3, quality: 8, set: { … } }`.",
    absent: "required, unless `deny`",
  },
  {
    key: "rules[].fallback",
    meaning:
      "The next tier, tried when every target above failed or was excluded; lists inside it are tiers of their own.",
    absent: "none",
  },
  { key: "rules[].require.min_context", meaning: "Context window of at least so many tokens.", absent: "any" },
  {
    key: "rules[].require.max_cost",
    meaning: "Expected cost of the request of at most so much; a target without a price is out.",
    absent: "any",
  },
  {
    key: "rules[].require.max_input_price",
    meaning: "Price per million input tokens of at most so much.",
    absent: "any",
  },
  {
    key: "rules[].require.max_output_price",
    meaning: "Price per million output tokens of at most so much.",
    absent: "any",
  },
  {
    key: "rules[].require.supports",
    meaning: "Known to support `tools`, `vision`, `audio`, `files`, `json_schema`, `reasoning`.",
    absent: "what the request needs",
  },
  {
    key: "rules[].require.regions",
    meaning: "The provider is in one of these (`regions:` in `signalbox.yaml`).",
    absent: "any",
  },
  {
    key: "rules[].require.data_policy",
    meaning: "The provider promises `no_training` or `no_retention` (`data_policy:` in `signalbox.yaml`).",
    absent: "any",
  },
  {
    key: "rules[].require.max_ttft",
    meaning: "Median time to the first content of late of at most so long; never measured passes.",
    absent: "any",
  },
  {
    key: "rules[].require.quality",
    meaning: 'The target\'s own `quality` of at least so much: `">= 7"`.',
    absent: "any",
  },
  { key: "rules[].attempts", meaning: "Calls to providers per request, 1 to 10.", absent: "3" },
  { key: "rules[].timeouts.connect", meaning: "To open a connection, TLS included.", absent: "`3s`" },
  {
    key: "rules[].timeouts.first_byte",
    meaning: "Until the first content of a stream; keep-alives do not count.",
    absent: "four times what nearly all streams of the target take, `10s` to `120s`",
  },
  {
    key: "rules[].timeouts.idle",
    meaning: "Between two pieces of anything once a stream has content, keep-alives included: the connection is dead.",
    absent: "`30s`",
  },
  {
    key: "rules[].timeouts.content_idle",
    meaning: "Between two pieces of content of a stream; keep-alives do not count.",
    absent: "`120s`",
  },
  {
    key: "rules[].timeouts.total",
    meaning:
      "For the request, all its attempts together. A buffered attempt that has a successor gets half of what is left, since it shows no sign of life before it is complete.",
    absent: "`10m`",
  },
  {
    key: "rules[].queue.priority",
    meaning:
      "Whose turn it is where providers allow less than is asked for: `interactive`, `default` and `batch` share what there is as 16 : 4 : 1, and the keys within each equally.",
    absent: "`default`",
  },
  {
    key: "rules[].queue.max_wait",
    meaning:
      "How long a request may wait for its turn. One that is expected to wait longer is refused at once: 429, with the time after which to come back.",
    absent: "`10s`, `30s` or `10m` by priority",
  },
  {
    key: "rules[].affinity.by",
    meaning:
      "`session`: a conversation's prompt cache counts in cost and time, so it stays where it is warm while that pays. `none`: it does not.",
    absent: "`session`",
  },
  {
    key: "rules[].affinity.ttl",
    meaning: "How long a cache is taken to live after its last use.",
    absent: "the model's, else `5m`",
  },
  {
    key: "rules[].on_client_abort",
    meaning:
      "`cancel`: a caller that leaves ends the call at once; it is booked with what was told until then. `drain`, or `{ drain: 20s }`: the answer is read on for at most so long and paid for, so that the ledger has its exact usage.",
    absent: "`cancel`",
  },
  {
    key: "rules[].stream_failover",
    meaning:
      "What happens when a provider fails after the first content of a stream. `error`: the stream ends in an error event. `continue`: the next target is asked once to go on with the text; not with tools, JSON formats, `n` above 1 or log-probabilities, nor after reasoning. The second call reads the prompt again and is paid for.",
    absent: "`error`",
  },
  {
    key: "rules[].hedge.after",
    meaning:
      "When a call has shown no content for so long, the next target is asked as well; the first that answers wins, the other is cut off at once, and both are paid. A duration, or `p95`: longer than 95 of 100 calls of the target take, as far as that is known. Only while nobody waits for a provider and the other target has half of its limits free; it counts as one of `attempts`. `0ms` asks both at once and needs `require.max_cost`.",
    absent: "required in `hedge`",
  },
  {
    key: "rules[].hedge.max",
    meaning: "Of the rule's requests at most so many get a second call.",
    absent: "`2%`",
  },
  {
    key: "rules[].set",
    meaning:
      "Parameters: a value replaces the caller's, `{ min, max, default }` bounds it. Reported in `x-signalbox-warnings`.",
    absent: "none",
  },
  { key: "rules[].value_of_time", meaning: "What a second is worth to `balanced`.", absent: "`$0.001/s`" },
  { key: "rules[].deny.status", meaning: "Refuse instead: with this status, 400 to 499.", absent: "403" },
  { key: "rules[].deny.message", meaning: "What the caller is told.", absent: "required in `deny`" },
  {
    key: "rules[].affordable_max_tokens",
    meaning:
      "`true`: a call that a hard budget does not cover is made with a lower `max_tokens`, as much as the budget holds, instead of being refused. Reported in `x-signalbox-warnings`.",
    absent: "`false`",
  },
  {
    key: "rules[].on_filter",
    meaning:
      "What follows when a provider's content policy refuses: `stop`, the caller hears it; `next`, the next target is asked.",
    absent: "`stop`",
  },
  {
    key: "rules[].caller_overrides",
    meaning: "`deny`: the caller's `provider` object, `:floor` and `:nitro` are ignored.",
    absent: "`allow`",
  },
];

/** Groups of keys and the inside of lists, which have no row of their own in the table. */
export const RULE_KEY_GROUPS: readonly Omit<RuleKey, "absent">[] = [
  { key: "rules", meaning: "Read from top to bottom; the first that matches decides." },
  {
    key: "rules[].require",
    meaning: "What a target must fulfil for this request; all others are out, with the reason.",
  },
  { key: "rules[].timeouts", meaning: "How long to wait for what." },
  { key: "rules[].queue", meaning: "What happens when no provider is free." },
  { key: "rules[].affinity", meaning: "Whether a conversation stays where its prompt cache is." },
  { key: "rules[].hedge", meaning: "Whether a slow call gets a rival. Off where it is absent." },
  { key: "rules[].on_client_abort.drain", meaning: "How long it is read on, `2m` at the most." },
  { key: "rules[].deny", meaning: "Refuse the request instead of sending it anywhere." },
  { key: "rules[].from[].use", meaning: "An alias, `provider/model`, `provider/*` or a model of the catalogue." },
  { key: "rules[].from[].weight", meaning: "Share of requests, with `pick: weighted`." },
  { key: "rules[].from[].quality", meaning: "How good you think it is, 0 to 100, for `require.quality`." },
  { key: "rules[].from[].set", meaning: "Parameters for this target; they win over those of the rule." },
];
