// What a compiled set of rules keeps so that hundreds of rules cost a request no more than a few.
import { expect, test } from "vitest";
import { clockIn } from "../src/routing/facts.ts";
import { compile, type RuleSet } from "../src/routing/rules.ts";

function compiled(...texts: string[]): RuleSet {
  const made = compile(
    texts.map((text, at) => ({ file: `${at}.yaml`, text: `version: 1\n${text}` })),
    () => undefined,
  );
  if ("errors" in made) throw new Error(JSON.stringify(made.errors));
  return made;
}

test("of all rules those are looked at that speak about the model, in their order, however often and whatever is asked", () => {
  const { rules, rulesFor } = compiled(`rules:
  - { name: exact, model: gpt, from: [openai/a] }
  - { name: pattern, model: "g*", from: [openai/b] }
  - { name: other, model: claude, from: [openai/c] }
  - { name: any, from: [openai/d] }`);
  for (const model of ["gpt", "gpt", "g", "claude", "nothing", "x".repeat(5_000), "gpt"]) {
    expect(rulesFor(model)).toEqual(rules.filter((rule) => rule.matches(model)));
  }
  for (let at = 0; at < 3_000; at += 1) rulesFor(`made-up-${at}`);
  expect(rulesFor("gpt").map(({ name }) => name)).toEqual(["exact", "pattern", "any"]);
  // Nobody's model has so long a name; what it matches is not kept.
  expect(rulesFor("x".repeat(201))).not.toBe(rulesFor("x".repeat(201)));
  expect(rulesFor("x".repeat(200))).toBe(rulesFor("x".repeat(200)));
});

test("conditions and zones that say the same are compiled once, over all files", () => {
  const file = (name: string, zone: string) => `timezone: ${zone}
rules:
  - { name: ${name} 1, when: "turns > 1", from: [openai/a] }
  - { name: ${name} 2, when: "turns > 2", from: [openai/a] }`;
  const { rules } = compiled(file("a", "Asia/Tokyo"), file("b", "Asia/Tokyo"), file("c", "UTC"));
  const [a1, a2, b1, b2, c1] = rules;
  expect(b1?.when).toBe(a1?.when);
  expect(b2?.when).toBe(a2?.when);
  expect(a2?.when).not.toBe(a1?.when);
  expect(b1?.clock).toBe(a1?.clock);
  expect(c1?.when).toBe(a1?.when);
  expect(c1?.clock).not.toBe(a1?.clock);
});

test("the time is told anew when the minute is over, not before", () => {
  const clock = clockIn("UTC");
  const lastMs = Date.UTC(2026, 2, 1, 10, 59, 59, 999);
  expect(clock(lastMs).hour).toBe(10n);
  expect(clock(lastMs - 59_999)).toBe(clock(lastMs));
  expect(clock(lastMs + 1).hour).toBe(11n);
  expect(clock(lastMs).hour).toBe(10n);
});
