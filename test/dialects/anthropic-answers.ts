// Answers of Claude made by chance: the same content as a buffered message and as a stream cut into any deltas.
import fc from "fast-check";
import type { JsonObject } from "../../src/chat.ts";

const word = fc.string({ minLength: 1, maxLength: 6, unit: "grapheme" }).filter((text) => /\S/.test(text));
const opaque = fc.base64String({ minLength: 4, maxLength: 12 });

export const thinkingBlock: fc.Arbitrary<JsonObject> = fc.oneof(
  fc.record({ type: fc.constant("thinking"), thinking: fc.oneof(word, fc.constant("")), signature: opaque }),
  fc.record({ type: fc.constant("redacted_thinking"), data: opaque }),
);
const textBlock: fc.Arbitrary<JsonObject> = fc.record({ type: fc.constant("text"), text: word });
const citation = fc.oneof(
  fc.record({ type: fc.constant("web_search_result_location"), url: fc.webUrl(), title: fc.option(word) }),
  fc.record({ type: fc.constant("char_location"), document_index: fc.nat(3) }),
);
const citedBlock = fc.record({
  type: fc.constant("text"),
  text: word,
  citations: fc.array(citation, { minLength: 1 }),
});
const serverBlock = fc.oneof(
  fc.record({
    type: fc.constant("server_tool_use"),
    id: fc.constant("srvtoolu_1"),
    name: fc.constant("web_search"),
    input: fc.record({ query: word }),
  }),
  fc.record({ type: fc.constant("web_search_tool_result"), content: fc.constant([]) }),
);

/** `name`: the tool that is called. Ids are filled in by `withIds`. */
function callBlock(name: string, input: fc.Arbitrary<JsonObject>): fc.Arbitrary<JsonObject> {
  return fc.record({ type: fc.constant("tool_use"), name: fc.constant(name), input });
}
const functionInput = fc.dictionary(fc.constantFrom("a", "b"), fc.oneof(word, fc.nat(), fc.constant(null)));
export const functionCall = callBlock("f", functionInput);
const customCall = callBlock("sh", fc.record({ input: fc.string({ unit: "grapheme" }) }));

/** As Claude answers: thinking and texts, then calls with thinking between them. */
export const turnContent: fc.Arbitrary<JsonObject[]> = fc
  .tuple(
    fc.array(fc.oneof(thinkingBlock, textBlock), { maxLength: 5 }),
    fc.array(fc.oneof(functionCall, thinkingBlock), { maxLength: 4 }),
  )
  .map(([before, after]) => {
    const calls = after.slice(
      Math.max(
        0,
        after.findIndex(({ type }) => type === "tool_use"),
      ),
    );
    // Neighbouring texts come back as one: the caller's format has one text.
    return [...before.filter(({ type }, i) => type !== "text" || before[i - 1]?.type !== "text"), ...calls];
  })
  .filter((content) => content.some(({ type }) => type === "text" || type === "tool_use"));

/** Anything an answer may hold, in any order. */
export const anyContent: fc.Arbitrary<JsonObject[]> = fc
  .array(fc.oneof(thinkingBlock, textBlock, citedBlock, serverBlock, functionCall, customCall), { maxLength: 7 })
  .map((content) => withIds(content, "toolu"));

export function withIds(content: JsonObject[], prefix: string): JsonObject[] {
  return content.map(({ type, ...rest }, i) =>
    type === "tool_use" ? { type, id: `${prefix}_${i}`, ...rest } : { type, ...rest },
  );
}

export interface Ending {
  stop_reason: string;
  usage: JsonObject;
  [member: string]: unknown;
}

export function messageOf(content: JsonObject[], ending: Ending): JsonObject {
  return { id: "msg_1", type: "message", role: "assistant", model: "claude-opus-5", content, ...ending };
}

/** The events of a stream of this content; `size` is how many UTF-16 units a delta holds. */
export function eventsOf(content: JsonObject[], { usage, ...ending }: Ending, size: number): JsonObject[] {
  const blocks = content.flatMap((block, index): JsonObject[] => {
    const [opened, deltas] = partsOf(block, size);
    return [
      { type: "content_block_start", index, content_block: opened },
      ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index },
    ];
  });
  return [
    {
      type: "message_start",
      message: { ...messageOf([], { stop_reason: "", usage: { ...usage, output_tokens: 1 } }) },
    },
    ...blocks,
    { type: "message_delta", delta: ending, usage },
    { type: "message_stop" },
  ];
}

function partsOf(block: JsonObject, size: number): [opened: JsonObject, deltas: JsonObject[]] {
  switch (block.type) {
    case "text": {
      const { citations = [], ...rest } = block;
      const texts = piecesOf(block.text as string, size).map((text) => ({ type: "text_delta", text }));
      const sources = (citations as JsonObject[]).map((one) => ({ type: "citations_delta", citation: one }));
      return [{ ...rest, text: "" }, [...texts.slice(0, 1), ...sources, ...texts.slice(1)]];
    }
    case "thinking": {
      const texts = piecesOf(block.thinking as string, size).map((thinking) => ({ type: "thinking_delta", thinking }));
      const signature = { type: "signature_delta", signature: block.signature };
      return [{ type: "thinking", thinking: "", signature: "" }, [...texts, signature]];
    }
    case "tool_use":
    case "server_tool_use": {
      const json = piecesOf(JSON.stringify(block.input), size);
      const deltas = ["", ...json].map((partial_json) => ({ type: "input_json_delta", partial_json }));
      return [{ ...block, input: {} }, deltas];
    }
    default:
      return [block, []];
  }
}

function piecesOf(text: string, size: number): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
}
