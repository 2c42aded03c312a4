// `when:` conditions in CEL: the variables a rule can see, with their types, checked when the file loads.
import { Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js";

/** What a condition can look at. Integers are bigint because CEL's `int` is 64 bits wide. */
export interface Facts {
  model: string;
  stream: boolean;
  turns: bigint;
  has: FactsHas;
  key: FactsKey;
}

export class FactsHas {
  tools = false;
  images = false;
  json_schema = false;
}

export class FactsKey {
  name = "";
}

/** True when the condition holds; an evaluation error counts as "does not hold" and is returned for the explanation. */
export type Condition = (facts: Facts) => boolean | { error: string };

/** Documented in routing-rules/README.md; a test keeps the two equal. */
export const CONDITION_VARIABLES: readonly { name: string; type: string; meaning: string }[] = [
  { name: "model", type: "string", meaning: "the model name the caller asked for" },
  { name: "stream", type: "bool", meaning: "the caller wants a stream" },
  { name: "turns", type: "int", meaning: "messages of role user" },
  { name: "has.tools", type: "bool", meaning: "the request offers tools" },
  { name: "has.images", type: "bool", meaning: "a message holds an image" },
  { name: "has.json_schema", type: "bool", meaning: "the answer must follow a JSON schema" },
  { name: "key.name", type: "string", meaning: "name of the caller's key" },
];

const environment = new Environment()
  .registerType("Has", { fields: { tools: "bool", images: "bool", json_schema: "bool" }, ctor: FactsHas })
  .registerType("Key", { fields: { name: "string" }, ctor: FactsKey })
  .registerVariable("model", "string")
  .registerVariable("stream", "bool")
  .registerVariable("turns", "int")
  .registerVariable("has", "Has")
  .registerVariable("key", "Key");

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

function evaluate(run: () => unknown): boolean | { error: string } {
  try {
    return run() === true;
  } catch (error) {
    if (error instanceof EvaluationError) return { error: error.message };
    throw error;
  }
}

function explain(message: string): string {
  const names = CONDITION_VARIABLES.map(({ name }) => name).join(", ");
  return `${message}\nVariables: ${names}.`;
}
