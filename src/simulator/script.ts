// What a simulated request should do beyond answering: one table of directives, read from a header or a model name.
import { flavours } from "./flavours.ts";

/** Absent members mean: behave normally. Built by `parseScript`, or by hand for the `script` option of the simulator. */
export interface Script {
  /** Wait before the first byte of the answer. */
  ttftMs?: number;
  tokensPerSecond?: number;
  /** Exact length of the answer text. */
  tokens?: number;
  status?: number;
  fault?: FaultName;
  retryAfterS?: number;
  hang?: "headers" | "preamble" | "stream";
  cut?: boolean;
  error?: "preamble" | "stream";
  malformed?: boolean;
  refuse?: boolean;
  empty?: boolean;
  finish?: "stop" | "length" | "tool" | "filter";
  text?: string;
  halves?: boolean;
  cachedTokens?: number;
  reasoningTokens?: number;
}

export type ParsedScript = { kind: "script"; script: Script } | { kind: "bad"; message: string };

interface Directive {
  /** What follows `=`, as shown in help and errors; empty for a directive without a value. */
  value: string;
  help: string;
  read(value: string): Script | undefined;
}

const scriptedStatuses = [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529];

/** Failures by what they are about, with the status most providers give them. */
export const STATUSES = {
  auth: 401,
  quota: 402,
  rate: 429,
  model: 404,
  context: 400,
  filter: 400,
  params: 400,
  overloaded: 503,
  server: 500,
} as const;
export type FaultName = keyof typeof STATUSES;
const faultNames = Object.keys(STATUSES) as FaultName[];

const tokensMax = 100_000;
const waitMsMax = 600_000;

const directives: Record<string, Directive> = {
  ttft: {
    value: "<n>ms|<n>s",
    help: "wait this long before the first byte of the answer (up to 600s)",
    read: (value) => pick(durationMs(value), (ttftMs) => ({ ttftMs })),
  },
  tps: {
    value: "<n>",
    help: "tokens per second; without it answers come as fast as possible",
    read: (value) => pick(decimal(value, 0.1, 1_000_000), (tokensPerSecond) => ({ tokensPerSecond })),
  },
  tokens: {
    value: `<0..${tokensMax}>`,
    help: "length of the answer text",
    read: (value) => pick(integer(value, 0, tokensMax), (tokens) => ({ tokens })),
  },
  status: {
    value: scriptedStatuses.join("|"),
    help: "fail with this status and the provider's own error body",
    read: (value) => pick(oneOf(value, scriptedStatuses.map(String)), (status) => ({ status: Number(status) })),
  },
  fault: {
    value: faultNames.join("|"),
    help: "fail for this reason, with whatever status and words the provider has for it",
    read: (value) => pick(oneOf(value, faultNames), (fault) => ({ fault })),
  },
  "retry-after": {
    value: "<seconds>",
    help: "with status=429 or 5xx: tell the client when to come back (default: not told)",
    read: (value) => pick(decimal(value, 0, 86_400), (retryAfterS) => ({ retryAfterS })),
  },
  hang: {
    value: "headers|preamble|stream",
    help: "never answer | fall silent before any content | fall silent after some content",
    read: (value) => pick(oneOf(value, ["headers", "preamble", "stream"] as const), (hang) => ({ hang })),
  },
  cut: {
    value: "",
    help: "send some content, then drop the connection",
    read: (value) => flag(value, { cut: true }),
  },
  error: {
    value: "preamble|stream",
    help: "fail inside the stream, before any content | after some content",
    read: (value) => pick(oneOf(value, ["preamble", "stream"] as const), (error) => ({ error })),
  },
  malformed: {
    value: "",
    help: "answer 200 with broken JSON",
    read: (value) => flag(value, { malformed: true }),
  },
  refuse: {
    value: "",
    help: "drop the connection without a byte, like a refused connection",
    read: (value) => flag(value, { refuse: true }),
  },
  empty: {
    value: "",
    help: "answer 200 without any content",
    read: (value) => flag(value, { empty: true }),
  },
  finish: {
    value: "stop|length|tool|filter",
    help: "end for this reason, in the provider's own words",
    read: (value) => pick(oneOf(value, ["stop", "length", "tool", "filter"] as const), (finish) => ({ finish })),
  },
  text: {
    value: "<percent-encoded text>",
    help: "answer with this text",
    read: (value) => pick(percentDecoded(value), (text) => ({ text })),
  },
  halves: {
    value: "",
    help: "stream the halves of surrogate pairs (most emoji) in different pieces",
    read: (value) => flag(value, { halves: true }),
  },
  cached: {
    value: `<0..${tokensMax}>`,
    help: "report this many cached prompt tokens",
    read: (value) => pick(integer(value, 0, tokensMax), (cachedTokens) => ({ cachedTokens })),
  },
  reasoning: {
    value: `<0..${tokensMax}>`,
    help: "think for this many tokens before answering",
    read: (value) => pick(integer(value, 0, tokensMax), (reasoningTokens) => ({ reasoningTokens })),
  },
};

/** A model name without its directives, and what they say: `gpt-5-mini+ttft=200ms` → `gpt-5-mini`, `{ ttftMs: 200 }`. */
export function splitModel(name: string): { model: string; directives: string[] } {
  const plus = name.indexOf("+");
  if (plus === -1) return { model: name, directives: [] };
  return { model: name.slice(0, plus), directives: name.slice(plus + 1).split("+") };
}

/** Reads directives (`status=429`, `cut`, …). Later ones win. The message of a bad one says what would be accepted. */
export function parseScript(texts: string[]): ParsedScript {
  const script: Script = {};
  for (const raw of texts) {
    const text = raw.trim();
    if (text === "") continue;
    const equals = text.indexOf("=");
    const name = equals === -1 ? text : text.slice(0, equals);
    const directive = Object.hasOwn(directives, name) ? directives[name] : undefined;
    if (directive === undefined) {
      return { kind: "bad", message: `simulator directive "${text}" is unknown; use one of: ${accepted()}` };
    }
    const read = directive.read(equals === -1 ? "" : text.slice(equals + 1));
    if (read === undefined) {
      return { kind: "bad", message: `simulator directive "${text}" is not valid; use ${usage(name, directive)}` };
    }
    Object.assign(script, read);
  }
  return { kind: "script", script };
}

export const simulatorHelp = `The simulator plays these providers on one port:

  OpenAI      POST /openai/v1/chat/completions      GET /openai/v1/models
  Anthropic   POST /anthropic/v1/messages           GET /anthropic/v1/models
  Gemini      POST /google/v1beta/models/<model>:generateContent, :streamGenerateContent?alt=sse
              GET /google/v1beta/models
  Vertex AI   POST /vertex/v1/publishers/google/models/<model>:generateContent, like Gemini
  Bedrock     POST /bedrock-converse/model/<model>/converse, /converse-stream

and, as strictly as each of them, the providers that speak OpenAI's protocol, at POST /<provider>/v1/chat/completions:

  ${wrapped([...flavours.keys()], 110).join("\n  ")}

Any non-empty key is accepted, except keys that start with "sk-wrong". Any model name is accepted. Answers are
deterministic. Directives change what happens, in the model name or in a header:

  "model": "gpt-5-mini+ttft=200ms+tps=50"
  x-simulate: status=429; retry-after=2

When both are there the header decides alone. Directives:

${Object.entries(directives)
  .map(([name, directive]) => `  ${usage(name, directive)}\n      ${directive.help}`)
  .join("\n")}
`;

function wrapped(words: string[], lineChars: number): string[] {
  const lines = [""];
  for (const word of words) {
    const line = lines.pop() ?? "";
    if (line.length + word.length < lineChars) lines.push(`${line}${line === "" ? "" : " "}${word}`);
    else lines.push(line, word);
  }
  return lines;
}

function accepted(): string {
  return Object.entries(directives)
    .map(([name, directive]) => usage(name, directive))
    .join(", ");
}

function usage(name: string, directive: Directive): string {
  return directive.value === "" ? name : `${name}=${directive.value}`;
}

function pick<T>(value: T | undefined, make: (value: T) => Script): Script | undefined {
  return value === undefined ? undefined : make(value);
}

function flag(value: string, script: Script): Script | undefined {
  return value === "" ? script : undefined;
}

function decimal(value: string, min: number, max: number): number | undefined {
  if (!/^\d+(\.\d+)?$/.test(value)) return undefined;
  const number = Number(value);
  return number >= min && number <= max ? number : undefined;
}

function integer(value: string, min: number, max: number): number | undefined {
  return /^\d+$/.test(value) ? decimal(value, min, max) : undefined;
}

function durationMs(value: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(value);
  if (match === null) return undefined;
  const ms = Number(match[1]) * (match[2] === "s" ? 1000 : 1);
  return ms <= waitMsMax ? ms : undefined;
}

function oneOf<T extends string>(value: string, choices: readonly T[]): T | undefined {
  return choices.find((choice) => choice === value);
}

function percentDecoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
