// The two translations of JSON Schema: one for models that know it, one for those that know a subset of OpenAPI.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toJsonSchema } from "../../providers/dialects/google/json-schema.ts";
import { toOpenApiSchema } from "../../providers/dialects/google/openapi-schema.ts";
import type { JsonObject } from "../../src/chat.ts";
import { isObject } from "../../src/json.ts";

function jsonSchemaOf(schema: JsonObject): unknown {
  const result = toJsonSchema(schema);
  return "problem" in result ? result : result.schema;
}

/** The translation of a property, since roots have rules of their own. */
function openApiOf(schema: unknown, root: JsonObject = {}): unknown {
  const result = toOpenApiSchema({ ...root, type: "object", properties: { p: schema } });
  return "problem" in result ? result : (result.schema?.properties as JsonObject | undefined)?.p;
}

const tree = {
  type: "object",
  properties: { left: { $ref: "#/$defs/tree" }, value: { type: "number" } },
};

describe("JSON Schema for newer models", () => {
  const table: [name: string, from: JsonObject, to: JsonObject][] = [
    [
      "keywords Gemini ignores stay",
      { type: "string", pattern: "^a", minLength: 1 },
      { type: "string", pattern: "^a", minLength: 1 },
    ],
    [
      "a property named like a keyword is a property",
      { properties: { $schema: { const: 1 }, const: { type: "string" } } },
      { properties: { $schema: { enum: [1] }, const: { type: "string" } } },
    ],
    [
      "old definitions and references to them are renamed together",
      { properties: { a: { $ref: "#/definitions/x" } }, definitions: { x: { type: "string" } } },
      { properties: { a: { $ref: "#/$defs/x" } }, $defs: { x: { type: "string" } } },
    ],
    [
      "a reference with siblings is replaced by its target",
      {
        properties: { a: { $ref: "#/$defs/x", description: "here" } },
        $defs: { x: { type: "string", description: "there" } },
      },
      {
        properties: { a: { type: "string", description: "here" } },
        $defs: { x: { type: "string", description: "there" } },
      },
    ],
    [
      "allOf is merged, with the references in it",
      {
        allOf: [{ $ref: "#/$defs/x" }, { properties: { b: { type: "number" } }, required: ["b"] }],
        required: ["a"],
        $defs: { x: { type: "object", properties: { a: { type: "string" } } } },
      },
      {
        type: "object",
        properties: { a: { type: "string" }, b: { type: "number" } },
        required: ["a", "b"],
        $defs: { x: { type: "object", properties: { a: { type: "string" } } } },
      },
    ],
    [
      "exclusive bounds become inclusive ones, the tighter bound wins",
      {
        properties: {
          a: { type: "integer", exclusiveMinimum: 0, minimum: 5 },
          b: { type: "number", exclusiveMaximum: 1 },
          c: { type: "integer", exclusiveMaximum: true, maximum: 9 },
        },
      },
      {
        properties: {
          a: { type: "integer", minimum: 5 },
          b: { type: "number", maximum: 1 },
          c: { type: "integer", maximum: 8 },
        },
      },
    ],
  ];

  test.each(table)("%s", (_, from, to) => {
    const before = structuredClone(from);
    expect(jsonSchemaOf(from)).toEqual(to);
    expect(from).toEqual(before);
  });

  test("a recursive reference stays a reference, even with siblings", () => {
    const schema = {
      $ref: "#/$defs/tree",
      description: "root",
      $defs: { tree: { ...tree, properties: { left: { $ref: "#/$defs/tree", description: "left" } } } },
    };
    expect(jsonSchemaOf(schema)).toMatchObject({
      description: "root",
      properties: { left: { $ref: "#/$defs/tree" } },
    });
  });

  test("a recursive model as pydantic 1 writes it, with allOf around the reference, ends", () => {
    const node = { type: "object", properties: { next: { title: "Next", allOf: [{ $ref: "#/definitions/Node" }] } } };
    const result = jsonSchemaOf({ $ref: "#/definitions/Node", definitions: { Node: node } });
    expect(result).toMatchObject({ type: "object", properties: { next: { $ref: "#/$defs/Node" } } });
    expect(JSON.stringify(result).length).toBeLessThan(1000);
  });
});

describe("the OpenAPI subset for older models", () => {
  const table: [name: string, from: unknown, to: JsonObject | undefined][] = [
    [
      "a nullable union of one is that one",
      { anyOf: [{ type: "string" }, { type: "null" }], title: "T" },
      { type: "STRING", nullable: true, title: "T" },
    ],
    [
      "a union of nothing but null is a nullable string",
      { anyOf: [{ type: "null" }] },
      { type: "STRING", nullable: true },
    ],
    [
      "a list of types is a union",
      { type: ["string", "integer", "null"], description: "d" },
      { anyOf: [{ type: "STRING" }, { type: "INTEGER" }], nullable: true, description: "d" },
    ],
    [
      "a type beside a union is dropped",
      { type: "object", oneOf: [{ type: "string" }, { type: "number" }] },
      { anyOf: [{ type: "STRING" }, { type: "NUMBER" }] },
    ],
    ["a constant is an enumeration of one", { const: "a" }, { type: "STRING", enum: ["a"] }],
    [
      "an integer enumeration holds strings",
      { type: "integer", enum: [1, 2, null] },
      { type: "INTEGER", format: "enum", enum: ["1", "2"], nullable: true },
    ],
    ["booleans likewise", { enum: [true] }, { type: "BOOLEAN", format: "enum", enum: ["true"] }],
    [
      "a mixed enumeration moves to the description",
      { enum: ["a", 1], description: "d" },
      { type: "STRING", description: 'd (one of: "a",1)' },
    ],
    ["a format Gemini knows stays", { type: "string", format: "date-time" }, { type: "STRING", format: "date-time" }],
    [
      "a format of another type moves to the description",
      { type: "string", format: "int32" },
      { type: "STRING", description: "(format: int32)" },
    ],
    [
      "a tuple is an array of its types",
      { prefixItems: [{ type: "string" }, { type: "number" }, { type: "string" }] },
      { type: "ARRAY", items: { anyOf: [{ type: "STRING" }, { type: "NUMBER" }] } },
    ],
    ["anything goes is an object", true, { type: "OBJECT" }],
    ["nothing goes is no property", false, undefined],
    [
      "required names must exist",
      { type: "object", properties: { a: {}, b: false }, required: ["a", "b", "c"] },
      { type: "OBJECT", properties: { a: { type: "STRING" } }, required: ["a"] },
    ],
    [
      "an exclusive bound of an integer is exact",
      { type: "integer", exclusiveMinimum: 0, exclusiveMaximum: 10 },
      { type: "INTEGER", minimum: 1, maximum: 9 },
    ],
    [
      "null alone is a nullable string",
      { type: "null", description: "d" },
      { type: "STRING", nullable: true, description: "d" },
    ],
    [
      "alternatives that only require something do not cost the properties",
      { type: "object", properties: { a: {}, b: {} }, anyOf: [{ required: ["a"] }, { required: ["b"] }] },
      { type: "OBJECT", properties: { a: { type: "STRING" }, b: { type: "STRING" } } },
    ],
    [
      "alternatives with properties of their own get the common ones",
      {
        type: "object",
        properties: { a: {} },
        required: ["a"],
        oneOf: [{ properties: { b: {} } }, { properties: { c: {} }, required: ["c"] }],
      },
      {
        anyOf: [
          { type: "OBJECT", properties: { a: { type: "STRING" }, b: { type: "STRING" } }, required: ["a"] },
          { type: "OBJECT", properties: { a: { type: "STRING" }, c: { type: "STRING" } }, required: ["c", "a"] },
        ],
      },
    ],
    [
      "a nullable enumeration stays one",
      { type: ["string", "null"], enum: ["a", null] },
      { type: "STRING", enum: ["a"], nullable: true },
    ],
    [
      "unknown keywords vanish",
      { type: "string", contentEncoding: "base64", examples: ["a"], not: {} },
      { type: "STRING" },
    ],
  ];

  test.each(table)("%s", (_, from, to) => {
    expect(openApiOf(from)).toEqual(to);
  });

  test("a recursive reference ends in an object", () => {
    expect(openApiOf({ $ref: "#/$defs/tree" }, { $defs: { tree } })).toEqual({
      type: "OBJECT",
      properties: { left: { type: "OBJECT" }, value: { type: "NUMBER" } },
    });
  });

  test("a root without properties is left out, whatever else it says", () => {
    expect(toOpenApiSchema({ type: "object", additionalProperties: false })).toEqual({ schema: undefined });
  });
});

test("a schema whose references double at every level is refused instead of eating the memory", () => {
  const $defs: JsonObject = { d0: { type: "string" } };
  for (let i = 1; i < 40; i += 1) {
    const half = { $ref: `#/$defs/d${i - 1}`, description: "x" };
    $defs[`d${i}`] = { type: "object", properties: { a: half, b: half } };
  }
  const bomb = { $ref: "#/$defs/d39", $defs };
  expect(toOpenApiSchema(bomb)).toHaveProperty("problem");
  expect(toJsonSchema({ ...bomb, description: "y" })).toHaveProperty("problem");
});

test("a schema deeper than the stack is refused", () => {
  let deep: JsonObject = { type: "string" };
  for (let i = 0; i < 5000; i += 1) deep = { type: "array", items: deep };
  expect(toOpenApiSchema(deep)).toHaveProperty("problem");
  expect(toJsonSchema(deep)).toHaveProperty("problem");
});

const KEYS = new Set(
  (
    "type format title description nullable enum items minItems maxItems minLength maxLength pattern minimum maximum " +
    "minProperties maxProperties properties required propertyOrdering anyOf default example"
  ).split(" "),
);

/** Keys of a schema the API would refuse the whole request for. */
function strangeKeys(schema: unknown): string[] {
  if (!isObject(schema)) return [];
  const branches = Array.isArray(schema.anyOf) ? schema.anyOf : [];
  const below = [schema.items, ...branches, ...Object.values(isObject(schema.properties) ? schema.properties : {})];
  return [...Object.keys(schema).filter((key) => !KEYS.has(key)), ...below.flatMap(strangeKeys)];
}

test("whatever goes in, only keys the API knows come out, and every node has a type or alternatives", () => {
  const { schema } = fc.letrec((tie) => {
    const nested = { maxLength: 3, depthSize: "small" as const };
    const anything = fc.oneof({ maxDepth: 4 }, fc.boolean(), fc.constant(null), tie("schema"));
    return {
      schema: fc.record(
        {
          type: fc.constantFrom("string", "integer", "array", "object", "null", "bogus", ["string", "null"], 5),
          properties: fc.dictionary(fc.constantFrom("a", "title", "__proto__", "constructor"), anything, {
            maxKeys: 3,
          }),
          items: fc.oneof(anything, fc.array(anything, nested)),
          anyOf: fc.array(anything, nested),
          oneOf: fc.array(anything, nested),
          allOf: fc.array(anything, nested),
          enum: fc.array(fc.oneof(fc.string(), fc.integer(), fc.constant(null))),
          const: fc.constantFrom("a", 1, null, {}),
          $ref: fc.constantFrom("#", "#/properties/a", "#/nowhere", "x"),
          required: fc.oneof(fc.array(fc.constantFrom("a", "b", 1)), fc.boolean()),
          format: fc.constantFrom("uuid", "int32", 3),
          exclusiveMinimum: fc.constantFrom(1, true, "x"),
          additionalProperties: fc.boolean(),
          $schema: fc.string(),
        },
        { requiredKeys: [] },
      ),
    };
  });
  fc.assert(
    fc.property(schema, (value) => {
      const result = toOpenApiSchema(value as JsonObject);
      if ("problem" in result || result.schema === undefined) return;
      expect(strangeKeys(result.schema)).toEqual([]);
      expect(result.schema.type ?? result.schema.anyOf).toBeDefined();
      expect(() => toJsonSchema(value as JsonObject)).not.toThrow();
    }),
    { numRuns: 500 },
  );
});
