// The JSON schema of a rule file, with which editors complete keys, show what they mean and underline mistakes.
import { z } from "zod";
import { isObject } from "../json.ts";
import { RULE_KEY_GROUPS, RULE_KEYS } from "./keys.ts";
import { RULE_FILE } from "./schema.ts";

export function rulesJsonSchema(): Record<string, unknown> {
  const meanings = new Map(RULE_KEY_GROUPS.map(({ key, meaning }) => [key, meaning]));
  for (const { key, meaning, absent } of RULE_KEYS) meanings.set(key, `${meaning}\n\nDefault: ${absent}.`);
  const schema = z.toJSONSchema(RULE_FILE, { io: "input", unrepresentable: "any", target: "draft-7" });
  const described = describe(schema, "", meanings) as Record<string, unknown>;
  return { ...described, title: "Signalbox routing rules" };
}

/** The schema with a description at every key that has a meaning; lists and alternatives are looked through. */
function describe(schema: unknown, path: string, meanings: ReadonlyMap<string, string>): unknown {
  if (!isObject(schema)) return schema;
  const described = { ...schema };
  const meaning = meanings.get(path);
  // Links become their words.
  if (meaning !== undefined) described.description = meaning.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1");
  if (Array.isArray(schema.anyOf)) {
    // Said once, where the alternatives begin.
    const inside = new Map([...meanings].filter(([key]) => key !== path));
    described.anyOf = schema.anyOf.map((option) => describe(option, path, inside));
  }
  if (isObject(schema.items)) described.items = describe(schema.items, `${path}[]`, meanings);
  if (!isObject(schema.properties)) return described;
  const properties = Object.entries(schema.properties).map(([key, inner]) => {
    return [key, describe(inner, path === "" ? key : `${path}.${key}`, meanings)];
  });
  return { ...described, properties: Object.fromEntries(properties) };
}
