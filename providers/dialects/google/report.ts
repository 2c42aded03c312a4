// What a translation had to give up: warnings for the caller, and the first reason to refuse the request altogether.
import type { ProviderError } from "../../../src/chat.ts";
import type { Refusal } from "../../../src/dialect.ts";

/** A request with a thousand unknown keys must not become a thousand warnings. */
const WARNINGS_MAX = 50;

/**
 * Collects the findings of one encoding. Translation goes on after a refusal, since it is pure and bounded, and the
 * first refusal is the answer: so helpers need not hand refusals up through every level.
 */
export class Report {
  readonly #strict: boolean;
  readonly #warnings = new Set<string>();
  #error: ProviderError | undefined;

  constructor(strict: boolean) {
    this.#strict = strict;
  }

  get warnings(): string[] {
    return [...this.#warnings];
  }

  get refusal(): Refusal | undefined {
    return this.#error && { kind: "refusal", error: this.#error };
  }

  /** A field the target cannot honour was left out. */
  dropped(field: string): void {
    this.#warn(`dropped:${token(field)}`);
    if (this.#strict) this.unsupported(field, "unsupported_parameter", strictMessage(field, "dropping it"));
  }

  /** A value outside what the target takes was moved to the nearest one it does. */
  clamped(field: string, from: string | number, to: string | number): void {
    this.#warn(`clamped:${token(field)}=${token(String(from))}->${token(String(to))}`);
    if (this.#strict) this.unsupported(field, "unsupported_value", strictMessage(field, `changing it to ${to}`));
  }

  /** A guarantee the caller asked for is only approximated. */
  downgraded(field: string): void {
    this.#warn(`downgraded:${token(field)}`);
    if (this.#strict) this.unsupported(field, "unsupported_value", strictMessage(field, "approximating it"));
  }

  /** History the target would refuse was put right. Its meaning is clear, so strict requests get it as well. */
  repaired(what: string): void {
    this.#warn(`repaired:${token(what)}`);
  }

  /** The request is wrong for everybody. */
  invalid(param: string, code: string, message: string): void {
    this.#error ??= { kind: "invalid_request", message, code, param };
  }

  /** This target cannot do it; another one may. */
  unsupported(param: string, code: string, message: string): void {
    this.#error ??= { kind: "unsupported", message, code, param };
  }

  #warn(warning: string): void {
    if (this.#warnings.size < WARNINGS_MAX) this.#warnings.add(warning);
  }
}

function strictMessage(field: string, remedy: string): string {
  return `'${field}' is not supported by this model as it was sent, and x-signalbox-strict forbids ${remedy}.`;
}

/** Field names may come from the caller, and the warnings travel in a header: ASCII only, without its separators. */
function token(text: string): string {
  return text
    .slice(0, 100)
    .toWellFormed()
    .replace(/[^\x21-\x7e]|[,;%]/gu, (character) => encodeURIComponent(character));
}
