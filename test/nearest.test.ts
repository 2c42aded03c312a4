import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nearest } from "../src/nearest.ts";

describe("the names closest to a misspelt one", () => {
  test.each<[string, string, string[], string[]]>([
    ["one letter off", "gpt-6-sul", ["gpt-6-luna", "gpt-6-sol"], ["gpt-6-sol", "gpt-6-luna"]],
    ["capitals do not count, and an equal name comes first", "FAST", ["breakfast", "fast"], ["fast", "breakfast"]],
    ["a name that holds what was asked", "luna", ["openai/gpt-6-luna", "x"], ["openai/gpt-6-luna"]],
    ["what was asked holds a name", "openai/gpt-6-sol", ["gpt-6-sol"], ["gpt-6-sol"]],
    ["one or two letters are part of everything and mean nothing", "openai/gpt-6-o1-x", ["o1", "a"], []],
    ["nothing that differs in more than half its letters", "abcd", ["abxy", "axyz"], ["abxy"]],
    ["a name that comes twice is told once", "smrt", ["smart", "smart"], ["smart"]],
    ["equal distances in the order of the alphabet", "ax", ["ay", "aa"], ["aa", "ay"]],
    ["no names", "x", [], []],
    ["nothing was asked", "", ["a", "abc"], []],
  ])("%s", (_, wrong, names, close) => {
    expect(nearest(wrong, names, 3)).toEqual(close);
  });

  test("no more of them than were asked for", () => {
    expect(nearest("aa", ["ab", "ac", "ad"], 2)).toEqual(["ab", "ac"]);
  });

  test("the distance is the least number of letters to change, add or take away", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 4, maxLength: 8 });
    fc.assert(
      fc.property(letters, fc.nat(7), fc.constantFrom("change", "add", "take"), (name, at, edit) => {
        const i = at % name.length;
        const after = edit === "add" ? i : i + 1;
        const wrong = name.slice(0, i) + (edit === "take" ? "" : "z") + name.slice(after);
        expect(nearest(wrong, ["zzzzzzzzzzzzzzzz", name], 2)).toEqual([name]);
      }),
    );
  });
});
