// What a translation does to a request beyond translating it, collected on the way: warnings, and the first refusal.
import type { ErrorKind, ProviderError } from "../../src/chat.ts";
import type { Refusal } from "../../src/dialect.ts";

export type Verb = "dropped" | "clamped" | "repaired" | "folded" | "moved" | "downgraded" | "emulated";

/** Verbs that take something from the caller. `x-signalbox-strict` turns them into refusals; repairs stay allowed. */
const LOSSES: Verb[] = ["dropped", "clamped", "downgraded"];

/** The header that carries the warnings is cut at 1,000 bytes anyway; a thousand unknown fields must not cost more. */
const WARNINGS_MAX = 100;
const TOKEN_CHARS_MAX = 100;
const FOUND_CHARS_MAX = 60;

/** Fields of OpenRouter's request dialect that only the router reads: no provider gets them, and nobody is told. */
export const ROUTER_FIELDS = ["models", "plugins", "provider", "route", "session_id", "transforms", "usage"] as const;

/**
 * The findings of one encoding. Conversions stay total: they note what they cannot do here and go on, and the encoder
 * asks once at the end, so that helpers need not hand refusals up through every level.
 */
export class Report {
  readonly #isStrict: boolean;
  readonly #warnings = new Set<string>();
  #refusal: ProviderError | undefined;
  #firstLoss: { verb: Verb; path: string } | undefined;

  constructor(isStrict: boolean) {
    this.#isStrict = isStrict;
  }

  /** `path` in OpenAI's notation (`tools[1].strict`); the same token is noted once. */
  note(verb: Verb, path: string, detail?: string): void {
    const warning = `${verb}:${token(path)}${detail === undefined ? "" : `=${token(detail)}`}`;
    if (this.#warnings.size < WARNINGS_MAX) this.#warnings.add(warning);
    if (LOSSES.includes(verb)) this.#firstLoss ??= { verb, path };
  }

  /**
   * The request cannot be sent; the first reason is the one the caller sees. Codes that start with `unsupported_` say
   * that another target may be able to, unless `kind` says otherwise.
   */
  refuse(code: string, param: string, message: string, kind = kindOf(code)): void {
    this.#refusal ??= { kind, message, code, param };
  }

  /** A field that this model could only ignore, and a caller who set it relies on. */
  refuseField(code: string, field: string, value: unknown): void {
    const found = JSON.stringify(value).slice(0, FOUND_CHARS_MAX);
    this.refuse(
      code,
      field,
      `'${field}' is ${found}, which this model does not support: leave it out, or ask another model.`,
    );
  }

  get warnings(): string[] {
    return [...this.#warnings];
  }

  get refusal(): Refusal | undefined {
    if (this.#refusal !== undefined) return { kind: "refusal", error: this.#refusal };
    if (!this.#isStrict || this.#firstLoss === undefined) return undefined;
    const { verb, path } = this.#firstLoss;
    const code = verb === "dropped" ? "unsupported_parameter" : "unsupported_value";
    const message = `'${path}' would be ${verb} for this model, and x-signalbox-strict forbids it.`;
    return { kind: "refusal", error: { kind: "unsupported", message, code, param: path } };
  }
}

function kindOf(code: string): ErrorKind {
  return code.startsWith("unsupported_") ? "unsupported" : "invalid_request";
}

/** Field names may come from the caller, and warnings travel in a header: ASCII only, without its separators. */
function token(text: string): string {
  return text
    .slice(0, TOKEN_CHARS_MAX)
    .toWellFormed()
    .replace(/[^\x21-\x7e]|[,;%]/gu, (character) => encodeURIComponent(character));
}
