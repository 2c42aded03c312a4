// The check by hand of a caller's body against the schema it stands for.
import fc from "fast-check";
import { expect, test } from "vitest";
import { BODY, isBody } from "../../providers/dialects/openai/shape.ts";
import type { JsonObject } from "../../src/chat.ts";

const WHOLE: JsonObject = {
  model: "m",
  messages: [
    { role: "system", content: "s" },
    { role: "user", content: [{ type: "text", text: "q" }] },
    { role: "assistant", content: null, tool_calls: [{ id: "1", type: "function" }] },
    { role: "tool", content: "r", tool_call_id: "1" },
  ],
  stream: true,
  stream_options: { include_usage: true },
  tools: [{ type: "function", function: { name: "f" } }],
  max_tokens: 1,
  max_completion_tokens: 1,
  temperature: 1,
  top_p: 1,
  n: 1,
};

/** Where something may be put: after each member of the way. */
const PATHS = waysInto(WHOLE);

function waysInto(value: unknown): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...waysInto(inner).map((way) => [key, ...way])]);
}

/** What is at the edges of what is accepted; `undefined`: nothing. */
const EDGES = [
  ...[undefined, null, true, "", "x", "user", "bot", "m".repeat(256), "m".repeat(257), [], {}, [[]], [null], [{}]],
  ...[-1, 0, 0.5, 1, 1.5, 2, 2.1, 128, 129, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e308],
  ...[[{ type: "text" }], [{ type: 1 }], { type: "function" }, { name: 1 }, { name: "f" }, { include_usage: 1 }],
];

interface Change {
  way: (string | number)[];
  /** `undefined`: what is there goes. */
  value: unknown;
}

function changed(body: JsonObject, { way, value }: Change): JsonObject {
  const copy = structuredClone(body);
  let at: JsonObject = copy;
  for (const key of way.slice(0, -1)) {
    // An earlier change may have taken the rest of the way away.
    if (typeof at[key] !== "object" || at[key] === null) return copy;
    at = at[key] as JsonObject;
  }
  const last = way.at(-1) as string;
  if (value !== undefined) at[last] = value;
  else if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
  return copy;
}

function bodyWith(...changes: Change[]): JsonObject {
  return changes.reduce(changed, WHOLE);
}

test.each(PATHS.map((way) => [way.join("."), way] as const))("agrees on every edge at %s", (_, way) => {
  for (const value of EDGES) {
    const body = bodyWith({ way, value });
    expect(isBody(body), JSON.stringify(value)).toBe(BODY.safeParse(body).success);
  }
});

test("agrees on whatever else JSON can say", () => {
  const change = fc.record({
    way: fc.constantFrom(...PATHS),
    value: fc.oneof(fc.constantFrom(...EDGES), fc.jsonValue()),
  });
  const seen = { accepted: 0, refused: 0 };
  fc.assert(
    fc.property(fc.array(change, { maxLength: 4 }), (changes) => {
      const body = bodyWith(...changes);
      const isAccepted = BODY.safeParse(body).success;
      seen[isAccepted ? "accepted" : "refused"] += 1;
      expect(isBody(body)).toBe(isAccepted);
    }),
    { numRuns: 2_000 },
  );
  expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(200);
});
