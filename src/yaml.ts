// YAML that people edit: checked against a schema, every complaint with file, line, column and what would be accepted.
import { Alias, type Node, parseDocument } from "yaml";
import { z } from "zod";
import { isObject } from "./json.ts";
import { nearest } from "./nearest.ts";

/** One thing wrong with a file. `line` and `column` count from 1. */
export interface FileError {
  file: string;
  line: number;
  column: number;
  message: string;
}

export interface Source {
  file: string;
  text: string;
}

/** A checked file. `at` finds the position of a value for complaints that only later checks can make. */
export interface Checked<T> {
  value: T;
  at(path: PropertyKey[], message: string): FileError;
}

// `${NAME}` is not YAML inside `{…}`. The braces are swapped for characters of the same length before parsing and put
// back in every string, so that columns stay true.
const OPEN = "\uE000\uE001";
const CLOSE = "\uE002";

/** Parses and checks one file; all errors found, or the value. An empty file is an empty mapping. */
export function readYaml<S extends z.ZodType>(
  source: Source,
  schema: S,
): Checked<z.output<S>> | { errors: FileError[] } {
  const text = source.text.replaceAll(/\$\{([^{}\n]*)\}/g, `${OPEN}$1${CLOSE}`);
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: true });
  const place = placesIn(text);
  const position: Position = (offset, message) => ({ file: source.file, ...place(offset), message });
  if (document.errors.length > 0) {
    const first = document.errors.findIndex(({ code }) => code === "UNEXPECTED_TOKEN");
    // Everything behind the first token out of place is out of place too.
    const told = document.errors.filter(({ code }, index) => code !== "UNEXPECTED_TOKEN" || index === first);
    return { errors: told.map((error) => position(error.pos[0], restore(error.message))) };
  }
  const at = (path: PropertyKey[], message: string) => position(offsetOf(document, path), message);
  const read = contentOf(document);
  if ("error" in read) return { errors: [position(0, read.error)] };
  const checked = schema.safeParse(read.value);
  if (checked.success) return { value: checked.data, at };
  return { errors: checked.error.issues.flatMap((issue) => describe(issue, schema, document, position)) };
}

/** Line and column, from 1, of offsets. The parser's own counter misses the line breaks inside text that is out of place. */
function placesIn(text: string): (offset: number) => { line: number; column: number } {
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  return (offset) => {
    const line = starts.findLastIndex((start) => start <= offset);
    return { line: line + 1, column: offset - (starts[line] ?? 0) + 1 };
  };
}

/** `file:line:column  message`, the form editors make clickable. */
export function formatFileError({ file, line, column, message }: FileError): string {
  return `${file}:${line}:${column}  ${message}`;
}

type Document = ReturnType<typeof parseDocument>;

/** Aliases are only followed here, so this is where missing, endless and exploding ones show. */
function contentOf(document: Document): { value: unknown } | { error: string } {
  try {
    return { value: restoreAll(document.toJS() ?? {}) };
  } catch (error) {
    const reason =
      error instanceof ReferenceError ? error.message : "an alias refers to itself, or nesting is too deep";
    return { error: `the aliases (*name) of this file cannot be resolved: ${reason}.` };
  }
}

/** Offset of the value at `path`, or of the deepest part of it that exists. */
function offsetOf(document: Document, path: PropertyKey[]): number {
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const node = document.getIn(path.slice(0, depth), true) as Node | undefined;
    if (node?.range) return node.range[0];
  }
  return 0;
}

/** Offset of the key itself: an unknown key should be pointed at, not its value. */
function keyOffset(document: Document, path: PropertyKey[], key: string): number {
  const holder = document.getIn(path, true) as
    | { items?: { key?: { value?: unknown; range?: number[] } }[] }
    | undefined;
  const pair = holder?.items?.find((item) => item.key?.value === key);
  return pair?.key?.range?.[0] ?? offsetOf(document, path);
}

type Position = (offset: number, message: string) => FileError;

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, document: Document, position: Position): FileError[] {
  const where = issue.path.length === 0 ? "" : `${pathText(issue.path)}: `;
  if (issue.code === "unrecognized_keys") {
    const accepted = keysAt(schema, issue.path);
    return issue.keys.map((key) => {
      const close = nearest(key, accepted, 1)[0];
      const hint = close === undefined ? "" : ` Did you mean "${close}"?`;
      const message = `${where}unknown key "${key}".${hint} Accepted: ${accepted.join(", ")}.`;
      return position(keyOffset(document, issue.path, key), message);
    });
  }
  const closest = issue.code === "invalid_union" ? issue.errors.find(isAboutThePart) : undefined;
  if (closest !== undefined) {
    const inner = closest.map((part) => ({ ...part, path: [...issue.path, ...part.path] }));
    return inner.flatMap((part) => describe(part, schema, document, position));
  }
  const found = foundText(document.getIn(issue.path), issue.path);
  return [position(offsetOf(document, issue.path), `${where}${plain(issue)}; found ${found}.`)];
}

/** Of the forms a value may have, the one it was meant to have: its complaints are not about the form itself. */
function isAboutThePart(issues: z.core.$ZodIssue[]): boolean {
  return issues.every(({ path, code }) => path.length > 0 || code === "unrecognized_keys" || code === "custom");
}

/** The name of a place that holds secrets. */
const SECRET_NAME = /key|secret|token|password|webhook|slack/i;

/** A key that was written in the wrong place or type must not end up in a log, nor an address that is as good as one. */
function foundText(value: unknown, path: PropertyKey[]): string {
  if (value === undefined) return "nothing";
  const isSecret = path.some((name) => SECRET_NAME.test(String(name)));
  if (isSecret && value !== null) return `a ${typeof value}`;
  if (value instanceof Alias) return `*${value.source}`.slice(0, 80);
  const json = JSON.stringify(value, (name, part) => (SECRET_NAME.test(name) ? "…" : part));
  return restore(json)
    .replaceAll(/(https?:\/\/[^/\s"]*)[^\s"]*/g, "$1/…")
    .slice(0, 80);
}

function plain(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return `expected one of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "invalid_type") return `expected ${EXPECTED[issue.expected] ?? issue.expected}`;
  return issue.message;
}

const EXPECTED: Record<string, string> = {
  array: "a list",
  boolean: "true or false",
  int: "a whole number",
  object: "a mapping",
  record: "a mapping",
  string: "text",
};

function pathText(path: PropertyKey[]): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .slice(1);
}

/** The keys a (strict) object schema accepts at a path. */
function keysAt(schema: z.ZodType, path: PropertyKey[]): string[] {
  let current: unknown = schema;
  for (const key of path) {
    const inner = unwrap(current);
    if (inner instanceof z.ZodObject) current = inner.shape[key as string];
    else if (inner instanceof z.ZodRecord) current = inner.valueType;
    else if (inner instanceof z.ZodArray) current = inner.element;
    else return [];
  }
  const found = unwrap(current);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

function unwrap(schema: unknown): unknown {
  let current = schema;
  while (current instanceof z.ZodOptional || current instanceof z.ZodDefault || current instanceof z.ZodPrefault) {
    current = current.unwrap();
  }
  if (current instanceof z.ZodUnion) return current.options.map(unwrap).find((option) => option instanceof z.ZodObject);
  return current;
}

function restore(text: string): string {
  return text.replaceAll(OPEN, "${").replaceAll(CLOSE, "}");
}

function restoreAll(value: unknown): unknown {
  if (typeof value === "string") return restore(value);
  if (Array.isArray(value)) return value.map(restoreAll);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [restore(key), restoreAll(inner)]));
}
