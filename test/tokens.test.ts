// How many tokens a request will weigh: against an exact tokenizer, the vendors' own image examples, and hostile input.
import fc from "fast-check";
import { countTokens as countO200k } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, test } from "vitest";
import { loadCatalog } from "../src/catalog.ts";
import type { ChatBody } from "../src/chat.ts";
import { imageTokens, type MediaFormulaName, mediaFormula, mediaFormulaOf } from "../src/tokens/media.ts";
import { fileBytesOf, imageSizeOf } from "../src/tokens/media-size.ts";
import { textMeter } from "../src/tokens/text.ts";
import { estimateTokens, inputTokens, mediaTokens } from "../src/tokens.ts";
import { samples } from "./support/texts.ts";

const measure = textMeter();

function ask(content: unknown, more: object = {}): ChatBody {
  return { model: "m", messages: [{ role: "user", content }], ...more } as unknown as ChatBody;
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function quantile(values: number[], q: number): number {
  return [...values].sort((a, b) => a - b)[Math.ceil(q * values.length) - 1] ?? Number.NaN;
}

describe("text", () => {
  const errors = samples().map(({ domain, text }) => {
    const exact = countO200k(text, { disallowedSpecial: new Set() });
    return { domain, error: Math.abs(measure(text) / 1_000 / exact - 1) };
  });
  const errorsOf = (pattern: RegExp) => errors.filter(({ domain }) => pattern.test(domain)).map(({ error }) => error);

  test("the estimate is within 5 % of an exact tokenizer on average, 95 of 100 texts within 15 %", () => {
    expect(errors.length).toBeGreaterThan(80);
    expect(mean(errorsOf(/./))).toBeLessThan(0.05);
    expect(quantile(errorsOf(/./), 0.95)).toBeLessThan(0.15);
  });

  test.each<[string, RegExp, number, number]>([
    ["TypeScript", /^(typescript|tests)$/, 0.05, 0.1],
    ["Markdown", /^markdown$/, 0.05, 0.1],
    ["JSON", /^json/, 0.05, 0.08],
    ["tables, numbers and logs", /^(csv|numbers|log)$/, 0.06, 0.1],
    ["base64, hashes and ids", /^(base64|hashes|ids)/, 0.08, 0.18],
    ["English", /^english$/, 0.06, 0.06],
    ["prose in twelve languages and seven scripts", /^[a-z]+(?<!typescript|tests|markdown|csv|log|ids)$/, 0.1, 0.3],
  ])("%s", (_, pattern, meanMax, p95Max) => {
    expect(errorsOf(pattern).length).toBeGreaterThan(0);
    expect(mean(errorsOf(pattern))).toBeLessThan(meanMax);
    expect(quantile(errorsOf(pattern), 0.95)).toBeLessThan(p95Max);
  });

  test("the same text has the same estimate, whichever texts were measured before it", () => {
    const texts = samples().map(({ text }) => text);
    const alone = texts.map((text) => textMeter()(text));
    expect(texts.map((text) => measure(text))).toEqual(alone);
    expect([...texts].reverse().map((text) => measure(text))).toEqual([...alone].reverse());
  });

  test("each further character adds nothing or a little, whatever the length: the seams of the blocks do not show", () => {
    const text = samples()
      .filter(({ domain }) => /english|korean|base64|json|typescript/.test(domain))
      .map((sample) => sample.text.slice(0, 300))
      .join("\n")
      .slice(0, 3_500);
    let before = 0;
    for (let chars = 1; chars <= text.length; chars += 1) {
      const after = measure(text.slice(0, chars));
      expect(after, `after ${chars} characters`).toBeGreaterThanOrEqual(before);
      expect(after - before, `character ${chars}`).toBeLessThan(2_500);
      before = after;
    }
  });

  test("a text is never fewer tokens than its beginning", () => {
    const unit = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: "binary" }),
      fc.constantFrom(..."\uffff\ud800 \n0aZ"),
    );
    const texts = fc.array(unit, { maxLength: 20 }).map((parts) => parts.join("").repeat(40).slice(0, 2_600));
    fc.assert(
      fc.property(texts, texts, (start, rest) => {
        expect(measure(start + rest)).toBeGreaterThanOrEqual(measure(start));
      }),
      { numRuns: 200 },
    );
  });

  test("code points that are no characters are not free", () => {
    expect(measure("\uffff".repeat(5_000))).toBeGreaterThanOrEqual(1_000 * 5_000);
  });
});

describe("what of a body counts", () => {
  const plain = estimateTokens(ask("Hello")).textTokens;

  test.each<[string, ChatBody]>([
    [
      "a content part",
      ask([
        { type: "text", text: "Hello" },
        { type: "text", text: "How do you do today?" },
      ]),
    ],
    ["a bare string among the parts", ask([{ type: "text", text: "Hello" }, "How do you do today?"])],
    [
      "a part of an unknown type",
      ask([
        { type: "text", text: "Hello" },
        { type: "new", words: "How do you do?" },
      ]),
    ],
    ["a name", { model: "m", messages: [{ role: "user", content: "Hello", name: "Margaret" }] }],
    ["a further message", { model: "m", messages: [{ role: "user", content: "Hello" }, { role: "user" }] }],
    [
      "a tool call",
      {
        model: "m",
        messages: [
          {
            role: "assistant",
            content: "Hello",
            tool_calls: [{ id: "1", function: { name: "find", arguments: '{"q":1}' } }],
          },
        ],
      },
    ],
    ["a tool", ask("Hello", { tools: [{ type: "function", function: { name: "find" } }] })],
    ["a function of old", ask("Hello", { functions: [{ name: "find", parameters: {} }] })],
    [
      "the schema of the answer",
      ask("Hello", { response_format: { type: "json_schema", json_schema: { name: "x" } } }),
    ],
    [
      "reasoning that is sent back",
      ask("Hello", { messages: [{ content: "Hello", reasoning_content: "Let me see." }] }),
    ],
  ])("%s", (_, body) => {
    expect(estimateTokens(body).textTokens).toBeGreaterThan(plain);
  });

  test("a tool's description and every level of its schema count", () => {
    const tool = (description: string, text: string) => ({
      type: "function",
      function: {
        name: "find",
        description,
        parameters: { properties: { a: { items: { anyOf: [{ description: text }] } } } },
      },
    });
    const of = (...tools: object[]) => estimateTokens(ask("Hello", { tools }));
    const words = "the quick brown fox jumps over the lazy dog ".repeat(10);
    expect(of(tool(words, "")).textTokens - of(tool("", "")).textTokens).toBeGreaterThan(80);
    expect(of(tool("", words)).textTokens - of(tool("", "")).textTokens).toBeGreaterThan(80);
    expect(of(tool("", ""), tool("", ""))).toMatchObject({ tools: 2, messages: 1 });
  });

  test("images and files are weighed by themselves, not as the text of their bytes", () => {
    const url = png(1_024, 1_024, 100_000);
    const estimate = estimateTokens(
      ask([
        { type: "image_url", image_url: { url, detail: "low" } },
        { type: "image_url", image_url: "https://example.com/a.png" },
        { type: "file", file: { file_data: `data:application/pdf;base64,${"A".repeat(160_000)}` } },
        { type: "file", file: { file_data: url } },
        { type: "input_audio", input_audio: { data: "A".repeat(64_000), format: "mp3" } },
      ]),
    );
    expect(estimate.textTokens).toBeLessThan(20);
    expect(estimate.images).toEqual([
      { widthPx: 1_024, heightPx: 1_024, detail: "low" },
      { widthPx: undefined, heightPx: undefined, detail: undefined },
      { widthPx: 1_024, heightPx: 1_024, detail: undefined },
    ]);
    expect(estimate.attachments).toEqual([
      { kind: "document", bytes: 120_000 },
      { kind: "audio", bytes: 48_000 },
    ]);
    const formula = mediaFormula("patches-1536");
    // Images 1,024 + 1,536 (unknown) + 1,024; two pages of 1,700; three seconds of 10.
    expect(mediaTokens(estimate, formula)).toBe(1_024 + 1_536 + 1_024 + 3_400 + 30);
    expect(inputTokens(estimate, formula)).toBe(estimate.textTokens + 7_014);
  });

  test("a body of any shape has an estimate", () => {
    const json = fc.jsonValue({ maxDepth: 5 });
    const part = fc.record(
      {
        type: fc.oneof(fc.constantFrom("text", "image_url", "file", "input_audio", "video_url"), json),
        text: json,
        image_url: fc.oneof(
          json,
          fc.record({ url: fc.oneof(json, fc.constant("data:image/png;base64,")), detail: json }),
        ),
        file: json,
        input_audio: json,
        video_url: json,
      },
      { requiredKeys: [] },
    );
    const call = fc.record(
      { function: fc.oneof(json, fc.record({ name: json, arguments: json })) },
      { requiredKeys: [] },
    );
    const message = fc.record(
      {
        role: json,
        content: fc.oneof(json, fc.array(fc.oneof(part, json))),
        name: json,
        tool_calls: fc.oneof(json, fc.array(fc.oneof(call, json))),
        function_call: json,
        reasoning_details: json,
      },
      { requiredKeys: [] },
    );
    const body = fc.record(
      {
        messages: fc.oneof(json, fc.array(fc.oneof(message, json))),
        tools: fc.oneof(json, fc.array(fc.oneof(json, fc.record({ function: json })))),
        response_format: fc.oneof(json, fc.record({ json_schema: json })),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(body, (value) => {
        const { textTokens, images } = estimateTokens(value as unknown as ChatBody);
        expect(Number.isSafeInteger(textTokens) && textTokens > 0).toBe(true);
        for (const image of images) expect(imageTokens(image, mediaFormula("patches-all"))).toBeGreaterThan(0);
      }),
    );
  });

  test("JSON nested a hundred thousand times overflows nothing", () => {
    const deep = JSON.parse(`${"[".repeat(100_000)}"x"${"]".repeat(100_000)}`) as unknown;
    const tools = [{ type: "function", function: { name: "f", parameters: { deep } } }];
    expect(estimateTokens(ask("Hello", { tools })).textTokens).toBeGreaterThan(10_000);
  });
});

describe("image formulas", () => {
  test.each<[MediaFormulaName, number, number, number]>([
    // The vendors' own examples.
    ["patches-1536", 1_024, 1_024, 1_024],
    ["patches-1536", 1_800, 2_400, 1_452],
    ["patches-1536-mini", 1_024, 1_024, 1_659],
    ["patches-1536-nano", 1_800, 2_400, 3_572],
    ["tiles-85", 1_024, 1_024, 765],
    ["tiles-85", 2_048, 4_096, 1_105],
    ["tiles-85", 512, 512, 255],
    ["tiles-2833", 1_024, 1_024, 25_501],
    ["gemini-2", 384, 384, 258],
    ["gemini-2", 960, 540, 516],
    ["gemini-3", 4_000, 3_000, 1_120],
    ["anthropic-area", 1_000, 1_000, 1_334],
    ["anthropic-area", 3_000, 3_000, 1_600],
    // ⌈200/28⌉² = 64; 39 × 39 cells of 28 px are the largest square under 1,568.
    ["anthropic", 200, 200, 64],
    ["anthropic", 1_092, 1_092, 1_521],
    // Scaled to the edge: 1,568 × 588 px are 56 × 21 cells.
    ["anthropic", 3_136, 1_176, 1_176],
    ["anthropic-large", 2_000, 1_500, 3_888],
    // By hand: budgets that are not reached, and one pixel more than a patch.
    ["patches-1536", 33, 32, 2],
    ["patches-2500", 1_600, 1_600, 2_500],
    ["patches-10000", 3_200, 3_200, 10_000],
    ["patches-all", 4_000, 4_000, 15_625],
  ])("%s: %i × %i px are %i tokens", (name, widthPx, heightPx, tokens) => {
    expect(imageTokens({ widthPx, heightPx, detail: undefined }, mediaFormula(name))).toBe(tokens);
  });

  test("`detail: low` costs the base of a tiled formula, and an unknown size the most an image can cost", () => {
    const unknown = { widthPx: undefined, heightPx: undefined, detail: undefined };
    const weigh = (name: MediaFormulaName) => imageTokens(unknown, mediaFormula(name));
    expect(imageTokens({ widthPx: 900, heightPx: 900, detail: "low" }, mediaFormula("tiles-70"))).toBe(70);
    expect([weigh("anthropic"), weigh("anthropic-large"), weigh("anthropic-area")]).toEqual([1_568, 4_784, 1_600]);
    expect([weigh("patches-1536-mini"), weigh("patches-all")]).toEqual([2_489, 10_000]);
    expect([weigh("tiles-85"), weigh("gemini-2"), weigh("gemini-3")]).toEqual([1_445, 4_128, 1_120]);
  });

  test("no image of any size costs more than its cap", () => {
    const capped: MediaFormulaName[] = ["anthropic", "anthropic-large", "anthropic-area", "tiles-85", "gemini-2"];
    const budgeted: MediaFormulaName[] = ["patches-1536", "patches-2500", "patches-10000", "patches-1536-o4"];
    const edge = fc.integer({ min: 1, max: 16_384 });
    fc.assert(
      fc.property(edge, edge, fc.constantFrom(...capped, ...budgeted), (widthPx, heightPx, name) => {
        const tokens = imageTokens({ widthPx, heightPx, detail: undefined }, mediaFormula(name));
        expect(tokens).toBeGreaterThan(0);
        const cap = imageTokens({ widthPx: undefined, heightPx: undefined, detail: undefined }, mediaFormula(name));
        expect(tokens).toBeLessThanOrEqual(cap);
      }),
    );
  });

  test("a model's entry names its formula, else the dialect has one; a name nobody knows is not followed", () => {
    const entry = (imageFormula: unknown) => ({ id: "x", features: { imageFormula } });
    expect(mediaFormulaOf("openai-chat", entry("tiles-85"))).toBe(mediaFormula("tiles-85"));
    expect(mediaFormulaOf("openai-chat", undefined)).toBe(mediaFormula("patches-1536"));
    expect(mediaFormulaOf("anthropic-messages", { id: "x" })).toBe(mediaFormula("anthropic"));
    for (const name of ["toString", "__proto__", 7, null])
      expect(mediaFormulaOf("google-generate", entry(name))).toBe(mediaFormula("gemini-3"));
  });
});

type Bytes = readonly number[];
const big = (value: number, count: number): Bytes =>
  Array.from({ length: count }, (_, index) => Math.floor(value / 256 ** (count - 1 - index)) % 256);
const little = (value: number, count: number): Bytes => [...big(value, count)].reverse();
const ascii = (text: string): Bytes => [...text].map((char) => char.charCodeAt(0));
const dataUrl = (bytes: Bytes, label = "image/png") => `data:${label};base64,${Buffer.from(bytes).toString("base64")}`;

function pngBytes(widthPx: number, heightPx: number): Bytes {
  return [0x89, ...ascii("PNG\r\n\x1a\n"), ...big(13, 4), ...ascii("IHDR"), ...big(widthPx, 4), ...big(heightPx, 4)];
}

function png(widthPx: number, heightPx: number, bytes: number): string {
  const head = pngBytes(widthPx, heightPx);
  return dataUrl([...head, ...new Array<number>(bytes - head.length).fill(7)]);
}

function segment(marker: number, payload: Bytes): Bytes {
  return [0xff, marker, ...big(payload.length + 2, 2), ...payload];
}

const IMAGES: [name: string, bytes: Bytes][] = [
  ["PNG", pngBytes(640, 480)],
  ["GIF", [...ascii("GIF89a"), ...little(640, 2), ...little(480, 2), 0]],
  [
    "JPEG behind 120 KB of EXIF and colour profile",
    [
      ...[0xff, 0xd8],
      ...segment(0xe1, new Array<number>(65_000).fill(1)),
      ...segment(0xe2, new Array<number>(60_000).fill(2)),
      ...segment(0xc4, [1, 2, 3]),
      0xff, // padding
      ...segment(0xc0, [8, ...big(480, 2), ...big(640, 2), 3]),
    ],
  ],
  [
    "progressive JPEG",
    [0xff, 0xd8, ...segment(0xdb, [0, 1]), ...segment(0xc2, [8, ...big(480, 2), ...big(640, 2), 3])],
  ],
  [
    "lossy WebP",
    [
      ...[...ascii("RIFF"), ...little(99, 4), ...ascii("WEBPVP8 "), ...little(99, 4)],
      ...[0, 0, 0, 0x9d, 0x01, 0x2a, ...little(640 | 0x4000, 2), ...little(480, 2)],
    ],
  ],
  [
    "lossless WebP",
    [
      ...[...ascii("RIFF"), ...little(99, 4), ...ascii("WEBPVP8L"), ...little(99, 4), 0x2f],
      ...little(639 + 479 * 2 ** 14, 4),
    ],
  ],
  [
    "extended WebP",
    [
      ...[...ascii("RIFF"), ...little(99, 4), ...ascii("WEBPVP8X"), ...little(10, 4), 0, 0, 0, 0],
      ...[...little(639, 3), ...little(479, 3)],
    ],
  ],
];

describe("the size of an image from the head of its data URL", () => {
  test.each(IMAGES)("%s", (_, bytes) => {
    const size = { widthPx: 640, heightPx: 480, detail: undefined };
    expect(imageSizeOf(dataUrl(bytes))).toEqual(size);
    expect(imageSizeOf(dataUrl(bytes, "image/jpg;name=a.jpg"))).toEqual(size);
    expect(imageSizeOf(dataUrl(bytes).replaceAll("+", "-").replaceAll("/", "_").replace("image_png", "x/y"))).toEqual(
      size,
    );
  });

  test.each(IMAGES)("%s, cut anywhere: the size, or none, and never a throw", (_, bytes) => {
    for (let length = 0; length < bytes.length; length += length < 40 || length > bytes.length - 40 ? 1 : 997) {
      const { widthPx, heightPx } = imageSizeOf(dataUrl(bytes.slice(0, length)));
      expect(widthPx === undefined).toBe(heightPx === undefined);
    }
  });

  test.each([
    ["an address", "https://example.com/a.png"],
    ["nothing", ""],
    ["a data URL without data", "data:image/png;base64"],
    ["percent-encoded SVG", "data:image/svg+xml,%3Csvg%20width='640'%3E"],
    ["a forged size", dataUrl(pngBytes(2 ** 31, 2 ** 31))],
    ["no width", dataUrl(pngBytes(0, 480))],
    ["a JPEG of nothing but markers", dataUrl([0xff, 0xd8, ...new Array<number>(5_000).fill(0xff)])],
    [
      "a JPEG whose segments have no length",
      dataUrl([0xff, 0xd8, ...[0xff, 0xe0, 0, 0].concat(new Array(400).fill(0))]),
    ],
  ])("%s has no size", (_, url) => {
    expect(imageSizeOf(url, "high")).toEqual({ widthPx: undefined, heightPx: undefined, detail: "high" });
  });

  test("no bytes throw, whatever they begin with", () => {
    const heads = fc.constantFrom(...IMAGES.map(([, bytes]) => bytes.slice(0, 40)), []);
    const tails = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 120 });
    fc.assert(
      fc.property(heads, fc.nat(40), tails, (head, keep, tail) => {
        const { widthPx } = imageSizeOf(dataUrl([...head.slice(0, keep), ...tail]));
        expect(widthPx === undefined || (widthPx > 0 && widthPx <= 16_384)).toBe(true);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => void imageSizeOf(`data:image/png;base64,${text}`)));
  });

  test("a file has as many bytes as its base64 says; at an address it has an unknown number", () => {
    expect(fileBytesOf(dataUrl(new Array<number>(300).fill(1), "application/pdf"))).toBe(300);
    expect(fileBytesOf("A".repeat(400))).toBe(300);
    expect(fileBytesOf("https://example.com/a.pdf")).toBeUndefined();
    expect(fileBytesOf(`data:${"x".repeat(500)}`)).toBeUndefined();
  });
});

test("every formula the catalogue names is one that exists", () => {
  const catalog = loadCatalog();
  const named = ["anthropic", "google", "openai"]
    .flatMap((id) => [...catalog.models(id).values()])
    .flatMap(({ features }) => {
      return typeof features?.imageFormula === "string" ? [features.imageFormula] : [];
    });
  expect(new Set(named).size).toBeGreaterThan(8);
  for (const name of new Set(named)) expect(mediaFormula(name as MediaFormulaName), name).toBeDefined();
});
