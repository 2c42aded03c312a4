// `when:` conditions in CEL: the variables a rule can see, with their types, checked when the file loads.
import { Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js";
import { type ConditionReview, reviewCondition } from "./constant-conditions.ts";

/** What a condition can look at. Integers are bigint because CEL's `int` is 64 bits wide. */
export interface Facts {
  model: string;
  endpoint: string;
  stream: boolean;
  turns: bigint;
  tags: string[];
  metadata: Record<string, string>;
  header: Record<string, string>;
  has: FactsHas;
  key: FactsKey;
  tokens: FactsTokens;
  time: FactsTime;
}

export class FactsHas {
  tools = false;
  images = false;
  audio = false;
  files = false;
  json_schema = false;
  reasoning = false;
}

export class FactsKey {
  name = "";
  team = "";
  tags: string[] = [];
}

/** The estimate is made when a condition looks at it. */
export class FactsTokens {
  readonly max_output: bigint;
  readonly #input: () => number;
  constructor(maxOutput: number | undefined, input: () => number) {
    this.max_output = BigInt(Math.max(0, Math.trunc(maxOutput ?? 0)));
    this.#input = input;
  }
  get input(): bigint {
    return BigInt(Math.round(this.#input()));
  }
}

export interface ZonedTime {
  hour: bigint;
  weekday: string;
  date: string;
}

/** In the time zone of the rule's file; told when a condition looks at it. */
export class FactsTime implements ZonedTime {
  readonly #tell: () => ZonedTime;
  #told: ZonedTime | undefined;
  constructor(tell: () => ZonedTime) {
    this.#tell = tell;
  }
  get hour(): bigint {
    return this.#now().hour;
  }
  get weekday(): string {
    return this.#now().weekday;
  }
  get date(): string {
    return this.#now().date;
  }
  #now(): ZonedTime {
    this.#told ??= this.#tell();
    return this.#told;
  }
}

/** True when the condition holds; an evaluation error counts as "does not hold" and is returned for the explanation. */
export type Condition = (facts: Facts) => boolean | { error: string };

/** Documented in routing-rules/README.md; a test keeps the two equal. */
export const CONDITION_VARIABLES: readonly { name: string; type: string; meaning: string }[] = [
  { name: "model", type: "string", meaning: "the model name the caller asked for" },
  { name: "endpoint", type: "string", meaning: "the path of the request, such as `/v1/chat/completions`" },
  { name: "stream", type: "bool", meaning: "the caller wants a stream" },
  { name: "turns", type: "int", meaning: "messages of role user" },
  { name: "tags", type: "list(string)", meaning: "what the caller put into `x-signalbox-tags`, split at commas" },
  {
    name: "metadata",
    type: "map(string, string)",
    meaning: 'the request\'s `metadata`; `"k" in metadata` asks whether it is there',
  },
  {
    name: "header",
    type: "map(string, string)",
    meaning: 'request headers by lower-case name: `header["x-app"] == "cli"`; credentials are left out',
  },
  { name: "tokens.input", type: "int", meaning: "estimated tokens of the prompt" },
  {
    name: "tokens.max_output",
    type: "int",
    meaning: "the caller's `max_completion_tokens` or `max_tokens`; 0 when not given",
  },
  { name: "has.tools", type: "bool", meaning: "the request offers tools" },
  { name: "has.images", type: "bool", meaning: "a message holds an image" },
  { name: "has.audio", type: "bool", meaning: "a message holds audio" },
  { name: "has.files", type: "bool", meaning: "a message holds a file" },
  { name: "has.json_schema", type: "bool", meaning: "the answer must follow a JSON schema" },
  {
    name: "has.reasoning",
    type: "bool",
    meaning: "the request asks for reasoning (`reasoning_effort` other than none, `reasoning`, `thinking`)",
  },
  { name: "key.name", type: "string", meaning: "name of the caller's key" },
  { name: "key.team", type: "string", meaning: "team of the caller's key" },
  { name: "key.tags", type: "list(string)", meaning: "tags of the caller's key" },
  { name: "time.hour", type: "int", meaning: "0 to 23, in the file's `timezone`" },
  { name: "time.weekday", type: "string", meaning: "`mon` to `sun`" },
  { name: "time.date", type: "string", meaning: "`2026-11-24`" },
];

const environment = new Environment()
  .registerType("Has", {
    fields: { tools: "bool", images: "bool", audio: "bool", files: "bool", json_schema: "bool", reasoning: "bool" },
    ctor: FactsHas,
  })
  .registerType("Key", { fields: { name: "string", team: "string", tags: "list<string>" }, ctor: FactsKey })
  .registerType("Tokens", { fields: { input: "int", max_output: "int" }, ctor: FactsTokens })
  .registerType("Time", { fields: { hour: "int", weekday: "string", date: "string" }, ctor: FactsTime })
  .registerVariable("model", "string")
  .registerVariable("endpoint", "string")
  .registerVariable("stream", "bool")
  .registerVariable("turns", "int")
  .registerVariable("tags", "list<string>")
  .registerVariable("metadata", "map<string, string>")
  .registerVariable("header", "map<string, string>")
  .registerVariable("has", "Has")
  .registerVariable("key", "Key")
  .registerVariable("tokens", "Tokens")
  .registerVariable("time", "Time");

/** Parses and type-checks a condition. The error text holds CEL's own caret and the variables that exist. */
export function compileCondition(text: string): Condition | { error: string } {
  try {
    const parsed = environment.parse(text);
    const checked = parsed.check();
    if (!checked.valid) return { error: explain(checked.error?.message ?? "this is not a valid condition") };
    if (checked.type !== "bool")
      return { error: `a condition must be true or false, but this is of type ${checked.type}.` };
    return (facts) => evaluate(() => parsed(facts as unknown as Record<string, unknown>));
  } catch (error) {
    if (error instanceof ParseError) return { error: explain(error.message) };
    throw error;
  }
}

/** What is odd about a condition that compiles. */
export function reviewOf(text: string): ConditionReview {
  return reviewCondition(environment.parse(text).ast);
}

function evaluate(run: () => unknown): boolean | { error: string } {
  // A header that is not there is an error in CEL, and ordinary: its stack, which nobody reads, is most of what such a
  // condition costs.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run() === true;
  } catch (error) {
    if (error instanceof EvaluationError) return { error: error.message };
    throw error;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function explain(message: string): string {
  const names = CONDITION_VARIABLES.map(({ name }) => name).join(", ");
  return `${message}\nVariables: ${names}.`;
}
