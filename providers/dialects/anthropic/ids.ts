// Tool call ids that Anthropic accepts: `^[a-zA-Z0-9_-]+$`, unique over the whole request.

/**
 * The id itself when it is legal and short, else its legal characters and a hash of the original: plain replacement
 * would make `a:1` and `a.1` the same (theopenco/llmgateway#3389). The same for a call and its result, without a map.
 */
export function legalId(id: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return id;
  return `${id.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 50)}_${fnv1a32(id)}`;
}

/** Hands out ids, with `-2`, `-3`, … for those used before (`call_0` in every turn: HKUDS/nanobot#4356). */
export class IdRegister {
  readonly #used = new Set<string>();
  readonly #uses = new Map<string, number>();

  claim(id: string): string {
    const legal = legalId(id);
    let uses = this.#uses.get(legal) ?? 0;
    let unique: string;
    do {
      uses += 1;
      unique = uses === 1 ? legal : `${legal}-${uses}`;
    } while (this.#used.has(unique));
    this.#uses.set(legal, uses);
    this.#used.add(unique);
    return unique;
  }
}

/** FNV-1a over the UTF-8 bytes, eight lower-case hex digits. */
function fnv1a32(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text, "utf8")) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
