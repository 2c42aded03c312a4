// What an encoding does to the caller's request beyond translating it, collected on the way: reports and the refusal.
import type { ProviderError } from "../../../src/chat.ts";
import type { Refusal } from "../../../src/dialect.ts";

export type Verb = "dropped" | "clamped" | "repaired" | "folded" | "moved" | "downgraded" | "emulated";

/** Verbs that take something from the caller. `x-signalbox-strict` turns them into refusals; repairs stay allowed. */
const LOSSES: Verb[] = ["dropped", "clamped", "downgraded"];

/** The header that carries the reports is cut at 1,000 bytes anyway; a thousand unknown fields must not cost more. */
const WARNINGS_MAX = 100;

/** Conversions stay total: they note what they cannot do here and go on, and the encoder asks once at the end. */
export class Deviations {
  readonly #warnings = new Set<string>();
  #refusal: ProviderError | undefined;
  #firstLoss: { verb: Verb; path: string } | undefined;

  /** `path` in OpenAI's notation (`tools[1].strict`); the same token is reported once. */
  report(verb: Verb, path: string, detail?: string): void {
    const token = detail === undefined ? `${verb}:${path}` : `${verb}:${path}=${detail}`;
    if (this.#warnings.size < WARNINGS_MAX) this.#warnings.add(token);
    if (LOSSES.includes(verb)) this.#firstLoss ??= { verb, path };
  }

  warnings(): string[] {
    return [...this.#warnings];
  }

  /** The first refusal is the one the caller sees. */
  refuse(code: string, param: string, message: string): void {
    const kind = code.startsWith("unsupported_") ? "unsupported" : "invalid_request";
    this.#refusal ??= { kind, message, code, param };
  }

  refusal(strict: boolean): Refusal | undefined {
    if (this.#refusal !== undefined) return { kind: "refusal", error: this.#refusal };
    if (!strict || this.#firstLoss === undefined) return undefined;
    const { verb, path } = this.#firstLoss;
    const code = verb === "dropped" ? "unsupported_parameter" : "unsupported_value";
    const message = `'${path}' would be ${verb} for this model, and x-signalbox-strict forbids it.`;
    return { kind: "refusal", error: { kind: "unsupported", message, code, param: path } };
  }
}
