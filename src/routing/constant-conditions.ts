// Conditions that say less than they seem to: parts that are always true or never, and header names that cannot occur.
import type { ASTNode } from "@marcbachmann/cel-js";

export interface ConditionReview {
  /** What the whole condition always is; `undefined` when it depends on the request. */
  constant: boolean | undefined;
  /** Sentences about parts of it. */
  remarks: string[];
}

export function reviewCondition(ast: ASTNode): ConditionReview {
  const constant = truthOf(ast);
  const remarks = constant === undefined ? partsOf(ast).flatMap(constantParts) : [];
  return { constant, remarks: [...remarks, ...headerRemarks(ast)] };
}

/** The outermost parts that are constant while the whole is not. */
function constantParts(node: ASTNode): string[] {
  // The branches of `?:` may well be true and false.
  if (node.op === "value") return [];
  const truth = truthOf(node);
  if (truth === undefined) return partsOf(node).flatMap(constantParts);
  return [`the part \`${textOf(node)}\` is ${truth ? "always" : "never"} true`];
}

/** What a condition is put together from by `&&`, `||`, `!` and `?:`. */
function partsOf(node: ASTNode): ASTNode[] {
  switch (node.op) {
    case "&&":
    case "||":
    case "?:":
      return node.args;
    case "!_":
      return [node.args];
    default:
      return [];
  }
}

function truthOf(node: ASTNode): boolean | undefined {
  switch (node.op) {
    case "value":
      return typeof node.args === "boolean" ? node.args : undefined;
    case "!_": {
      const truth = truthOf(node.args);
      return truth === undefined ? undefined : !truth;
    }
    case "&&":
      return any(node.args, false) ? false : all(node.args, true) ? true : undefined;
    case "||":
      return any(node.args, true) ? true : all(node.args, false) ? false : undefined;
    case "?:": {
      const [condition, yes, no] = node.args;
      const truth = truthOf(condition);
      if (truth !== undefined) return truthOf(truth ? yes : no);
      return truthOf(yes) === truthOf(no) ? truthOf(yes) : undefined;
    }
    case "==":
    case "!=": {
      const equal = equality(...node.args);
      return equal === undefined || node.op === "==" ? equal : !equal;
    }
    case "<":
    case "<=":
    case ">":
    case ">=":
      return order(node.op, ...node.args);
    case "in":
      return membership(...node.args);
    default:
      return undefined;
  }
}

function any(nodes: ASTNode[], truth: boolean): boolean {
  return nodes.some((node) => truthOf(node) === truth);
}

function all(nodes: ASTNode[], truth: boolean): boolean {
  return nodes.every((node) => truthOf(node) === truth);
}

/** What a number can be; without `max` anything above. */
interface Range {
  min: bigint;
  max: bigint | undefined;
}

const RANGES: Readonly<Record<string, Range>> = {
  turns: { min: 0n, max: undefined },
  "tokens.input": { min: 0n, max: undefined },
  "tokens.max_output": { min: 0n, max: undefined },
  "time.hour": { min: 0n, max: 23n },
};
const WORDS: Readonly<Record<string, RegExp>> = {
  "time.weekday": /^(mon|tue|wed|thu|fri|sat|sun)$/,
  "time.date": /^\d{4}-\d{2}-\d{2}$/,
};

function rangeOf(node: ASTNode): Range | undefined {
  if (node.op === "value") return typeof node.args === "bigint" ? { min: node.args, max: node.args } : undefined;
  if (node.op !== "-_") return RANGES[textOf(node).replaceAll(/\s/g, "")];
  const { args } = node;
  return args.op === "value" && typeof args.args === "bigint" ? { min: -args.args, max: -args.args } : undefined;
}

function equality(left: ASTNode, right: ASTNode): boolean | undefined {
  if (left.op === "value" && right.op === "value") return left.args === right.args;
  if (left.op !== "value" && textOf(left) === textOf(right)) return true;
  if (isImpossibleWord(left, right) || isImpossibleWord(right, left)) return false;
  const [a, b] = [rangeOf(left), rangeOf(right)];
  if (a === undefined || b === undefined) return undefined;
  return isBelow(a, b) || isBelow(b, a) ? false : undefined;
}

function isImpossibleWord(variable: ASTNode, value: ASTNode): boolean {
  const words = WORDS[textOf(variable).replaceAll(/\s/g, "")];
  return words !== undefined && value.op === "value" && typeof value.args === "string" && !words.test(value.args);
}

function order(op: "<" | "<=" | ">" | ">=", left: ASTNode, right: ASTNode): boolean | undefined {
  if (op === ">" || op === ">=") return order(op === ">" ? "<" : "<=", right, left);
  const [a, b] = [rangeOf(left), rangeOf(right)];
  if (a === undefined || b === undefined) return undefined;
  if (op === "<") return isBelow(a, b) ? true : isAtMost(b, a) ? false : undefined;
  return isAtMost(a, b) ? true : isBelow(b, a) ? false : undefined;
}

/** Every value of `a` is below every value of `b`. */
function isBelow(a: Range, b: Range): boolean {
  return a.max !== undefined && a.max < b.min;
}

function isAtMost(a: Range, b: Range): boolean {
  return a.max !== undefined && a.max <= b.min;
}

function membership(needle: ASTNode, hay: ASTNode): boolean | undefined {
  if (hay.op !== "list") return undefined;
  const found = hay.args.map((item) => equality(needle, item));
  return found.includes(true) ? true : found.every((truth) => truth === false) ? false : undefined;
}

/** Header names arrive in lower case, so `header["X-App"]` is never there. */
function headerRemarks(node: ASTNode): string[] {
  const name = headerNameIn(node);
  const own =
    name !== undefined && name !== name.toLowerCase()
      ? [`header names are in lower case here: write "${name.toLowerCase()}" instead of "${name}"`]
      : [];
  return [...own, ...childrenOf(node).flatMap(headerRemarks)];
}

function headerNameIn(node: ASTNode): string | undefined {
  if (node.op !== "[]" && node.op !== "in") return undefined;
  const [map, key] = node.op === "[]" ? node.args : [node.args[1], node.args[0]];
  const isHeader = map.op === "id" && map.args === "header";
  return isHeader && key.op === "value" && typeof key.args === "string" ? key.args : undefined;
}

/** Every node below this one, whatever the shape of its operands. */
function childrenOf({ args }: ASTNode): ASTNode[] {
  const operands: unknown[] = Array.isArray(args) ? args.flat(2) : [args];
  return operands.filter((operand): operand is ASTNode => {
    return typeof operand === "object" && operand !== null && "op" in operand;
  });
}

function textOf(node: ASTNode): string {
  return node.input.slice(node.start, node.end);
}
