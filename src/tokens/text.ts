// Hides how many tokens a text probably is: an automaton over classes of characters, one table look-up per character.
//
// The weights are a least-squares fit to o200k_base over 700 texts (prose in 60 languages, code, JSON, tables, logs,
// encoded bytes); `node bench/tokens.ts` prints what they are worth on other texts. Calibration does the rest.
import assert from "node:assert/strict";

const CLASSES = [
  "lower",
  "upper",
  "digit",
  "space",
  "newline",
  "mark",
  "joint",
  "sign",
  "accented",
  "cyrillic",
  "semitic",
  "syllabic",
  "han",
  "kana",
  "hangul",
  "symbol",
  "surrogate",
  "padding",
] as const;
type CharClass = (typeof CLASSES)[number];

/**
 * Tokens a character adds, by what it follows. Never negative: more text is never fewer tokens.
 * Words cost by where they begin and how long they get; digits go three to a token; runs of blanks and of punctuation are
 * cheap; `noise*` is for letters and digits that alternate like base64, hashes and ids.
 */
const WEIGHTS = {
  wordAfterSpace: 0.404,
  capitalAfterSpace: 0.392,
  wordAfterSign: 0.782,
  capitalAfterSign: 0.852,
  wordAfterDigit: 0.946,
  camel: 0.476,
  capitals: 0.04,
  letter: 0.09,
  letter5: 0.042,
  letter9: 0.117,
  letter13: 0.389,
  letterForeign: 0.575,
  accented: 0.159,
  accentedFirst: 0.437,
  noiseLower: 0.454,
  noiseUpper: 1.33,
  noiseDigit: 0.641,
  digit1: 1.1,
  digit2: 0.002,
  digit3: 0.002,
  space: 0.388,
  spaceMore: 0.018,
  spaceIndent: 0.016,
  newline: 1.06,
  newlineMore: 0.004,
  mark: 0.86,
  markAfterSpace: 1.14,
  markMore: 0.134,
  joint: 0.963,
  jointAfterSpace: 1.18,
  jointMore: 0.008,
  sign: 0.449,
  signAfterSpace: 0.472,
  signMore: 0.176,
  cyrillicFirst: 0.18,
  cyrillic: 0.423,
  cyrillic5: 0.114,
  semiticFirst: 0.618,
  semitic: 0.229,
  syllabicFirst: 0.128,
  syllabic: 0.388,
  han: 0.688,
  kana: 0.686,
  hangulFirst: 1.46,
  hangul: 0.183,
  symbol: 1.78,
  symbolMore: 0.25,
  surrogate: 0.574,
  padding: 1,
} as const satisfies Record<string, number>;
type WeightName = keyof typeof WEIGHTS;

/** Where the automaton is after a character. */
interface State {
  weight: WeightName;
  class: CharClass;
  /** Letters of the current word, or digits of the current group, so far (1-based, capped). */
  position: number;
  /** How often letters and digits have alternated within the current run. */
  noise: number;
}

/** Also where padding leads, so that what is filled up in front of a text counts as its start. */
const START: State = { weight: "padding", class: "padding", position: 0, noise: 0 };
/** From here on a run of letters and digits is taken for encoded bytes. */
const NOISE_MAX = 4;
const POSITION_MAX = 13;

function next(from: State, to: CharClass): State {
  if (to === "lower" || to === "upper" || to === "digit") return nextAlphanumeric(from, to);
  // A hash or a base64 text goes on behind `-`, `_`, `/` and `+`.
  const noise = to === "joint" ? from.noise : 0;
  return { ...nextOther(from, to), class: to, noise };
}

function nextAlphanumeric(from: State, to: "lower" | "upper" | "digit"): State {
  const position = positionIn(from, to);
  const noise = noiseAfter(from, to, position);
  const weight = noise === NOISE_MAX ? NOISE_WEIGHT[to] : alphanumericWeight(from, to, position);
  return { weight, class: to, position, noise };
}

const NOISE_WEIGHT = { lower: "noiseLower", upper: "noiseUpper", digit: "noiseDigit" } as const;

function positionIn(from: State, to: CharClass): number {
  if (to === "digit") return from.class === "digit" ? (from.position % 3) + 1 : 1;
  const isCamel = to === "upper" && from.class !== "upper";
  return isLatin(from.class) && !isCamel ? Math.min(from.position + 1, POSITION_MAX) : 1;
}

function noiseAfter(from: State, to: CharClass, position: number): number {
  const isTurn = (from.class === "digit") !== (to === "digit") && (from.class === "digit" || isLatin(from.class));
  // Parts of camelCase names are longer than two letters.
  const isShortPart = to === "upper" && from.class === "lower" && from.position <= 2;
  if (isTurn || isShortPart) return Math.min(from.noise + 1, NOISE_MAX);
  // Five small letters in a row: words again.
  return to === "lower" && position >= 5 ? 0 : from.noise;
}

function alphanumericWeight(from: State, to: CharClass, position: number): WeightName {
  if (to === "digit") return position === 1 ? "digit1" : position === 2 ? "digit2" : "digit3";
  if (to === "upper" && from.class === "upper") return "capitals";
  if (isLatin(from.class)) return to === "upper" ? "camel" : longWord(from, position);
  if (from.class === "digit") return "wordAfterDigit";
  const isAfterSpace = from.class === "space" || from.class === "padding";
  if (to === "upper") return isAfterSpace ? "capitalAfterSpace" : "capitalAfterSign";
  return isAfterSpace ? "wordAfterSpace" : "wordAfterSign";
}

function longWord(from: State, position: number): WeightName {
  if (from.weight === "letterForeign" || from.class === "accented") return "letterForeign";
  if (position >= 13) return "letter13";
  if (position >= 9) return "letter9";
  return position >= 5 ? "letter5" : "letter";
}

function isLatin(of: CharClass): boolean {
  return of === "lower" || of === "upper" || of === "accented";
}

type Unnumbered = Pick<State, "weight" | "position">;

function nextOther(from: State, to: CharClass): Unnumbered {
  const isSame = from.class === to;
  const isWritten = from.class === "mark" || from.class === "joint" || from.class === "sign";
  const isAfterSpace = from.class === "space";
  const word = isSame ? Math.min(from.position + 1, 5) : 1;
  switch (to) {
    case "space":
      return { position: 0, weight: isSame ? "spaceMore" : from.class === "newline" ? "spaceIndent" : "space" };
    case "newline":
      return { position: 0, weight: isSame ? "newlineMore" : "newline" };
    case "mark":
    case "joint":
    case "sign":
      return { position: 0, weight: isWritten ? `${to}More` : isAfterSpace ? `${to}AfterSpace` : to };
    case "accented":
      return isLatin(from.class)
        ? { position: Math.min(from.position + 1, POSITION_MAX), weight: "accented" }
        : { position: 1, weight: "accentedFirst" };
    case "cyrillic":
      return { position: word, weight: word === 1 ? "cyrillicFirst" : word === 5 ? "cyrillic5" : "cyrillic" };
    case "semitic":
    case "syllabic":
    case "hangul":
      return { position: 0, weight: isSame ? to : `${to}First` };
    case "symbol":
      return { position: 0, weight: isSame ? "symbolMore" : "symbol" };
    default:
      return { position: 0, weight: to as "han" | "kana" | "surrogate" | "padding" };
  }
}

/** First code of each block and its class; a block ends where the next begins. From U+0080 on. */
const BLOCKS: [firstCode: number, blockClass: CharClass][] = [
  [0x80, "symbol"],
  [0xc0, "accented"],
  [0x340, "cyrillic"], // with Greek
  [0x540, "syllabic"], // Armenian
  [0x580, "semitic"], // Hebrew, Arabic, Syriac
  [0x900, "syllabic"], // the scripts of India and South East Asia, Georgian, Ethiopic
  [0x1100, "hangul"],
  [0x1200, "syllabic"],
  [0x1e00, "accented"],
  [0x1f00, "cyrillic"],
  [0x2000, "symbol"],
  [0x2e80, "han"],
  [0x3000, "symbol"],
  [0x3040, "kana"],
  [0x3100, "han"],
  [0xa000, "syllabic"],
  [0xac00, "hangul"],
  [0xd800, "surrogate"],
  [0xe000, "symbol"],
  [0xf900, "han"],
  [0xfb00, "semitic"],
  [0xff00, "symbol"],
  [0xffff, "padding"], // a code that is no character
];
const PADDING_CODE = 0xffff;

/**
 * A text is cut into blocks, each walked from what its last few characters before it suggest, so that four of them can be walked
 * at once: one walk waits for its own last look-up, four keep the processor busy (half the time, Node 24, 2026-11). Blocks
 * begin at fixed places, so a longer text is never fewer tokens.
 */
const BLOCK_CHARS = 256;
const GROUP_CHARS = 4 * BLOCK_CHARS;
const LEAD_CHARS = 12;

/** Low bits of a step: the next state. High bits: what the step costs. */
const WEIGHT_SHIFT = 16;
const STATE_MASK = (1 << WEIGHT_SHIFT) - 1;

const AUTOMATON = build();
const PADDING_MILLI_TOKENS = milliTokens("padding");

/** Below this a rest is cheaper to walk than to fill up to a group. */
const PADDED_CHARS_MIN = 2 * BLOCK_CHARS;

/** Counts the tokens of texts, in thousandths. Total; never less for a text than for a beginning of it.
 *  Holds two kilobytes to copy into, which cost a fifth of measuring 4 KB to make: keep it. */
export function textMeter(): (text: string) => number {
  let scratch: Scratch | undefined;
  return (text) => {
    let sum = 0;
    let at = 0;
    for (; text.length - at >= PADDED_CHARS_MIN; at += GROUP_CHARS) {
      scratch ??= newScratch();
      sum += milliTokensInGroup(text, at, scratch);
    }
    for (; at < text.length; at += BLOCK_CHARS) sum += milliTokensInBlock(text, at);
    return sum;
  };
}

/** The same memory twice. Reading characters out of a typed array costs half of `charCodeAt`. */
interface Scratch {
  bytes: Buffer;
  units: Uint16Array;
}

function newScratch(): Scratch {
  const unitsMax = LEAD_CHARS + GROUP_CHARS;
  const bytes = Buffer.allocUnsafe(2 * unitsMax);
  return { bytes, units: new Uint16Array(bytes.buffer, bytes.byteOffset, unitsMax) };
}

function milliTokensInGroup(text: string, from: number, { bytes, units }: Scratch): number {
  const lead = Math.min(from, LEAD_CHARS);
  const end = LEAD_CHARS + Math.min(GROUP_CHARS, text.length - from);
  if (lead < LEAD_CHARS) units.fill(PADDING_CODE, 0, LEAD_CHARS - lead);
  bytes.write(text.substring(from - lead, from + GROUP_CHARS), 2 * (LEAD_CHARS - lead), "utf16le");
  if (end < units.length) units.fill(PADDING_CODE, end);
  return walkGroup(units) - (units.length - end) * PADDING_MILLI_TOKENS;
}

function walkGroup(units: Uint16Array): number {
  const { classes, steps } = AUTOMATON;
  let [a, b, c, d, sum] = [0, 0, 0, 0, 0];
  for (let at = 0; at < LEAD_CHARS + BLOCK_CHARS; at += 1) {
    if (at === LEAD_CHARS) sum = 0;
    const stepA = steps[a + classes[units[at]!]!]!;
    const stepB = steps[b + classes[units[at + BLOCK_CHARS]!]!]!;
    const stepC = steps[c + classes[units[at + 2 * BLOCK_CHARS]!]!]!;
    const stepD = steps[d + classes[units[at + 3 * BLOCK_CHARS]!]!]!;
    a = stepA & STATE_MASK;
    b = stepB & STATE_MASK;
    c = stepC & STATE_MASK;
    d = stepD & STATE_MASK;
    // Four states added do not carry into the weights (see `build`).
    sum += (stepA + stepB + stepC + stepD) >> WEIGHT_SHIFT;
  }
  return sum;
}

/** The same for the block that begins at `from` and may be shorter. */
function milliTokensInBlock(text: string, from: number): number {
  const { classes, steps } = AUTOMATON;
  const to = Math.min(from + BLOCK_CHARS, text.length);
  let state = 0;
  for (let at = Math.max(0, from - LEAD_CHARS); at < from; at += 1)
    state = steps[state + classes[text.charCodeAt(at)]!]! & STATE_MASK;
  let sum = 0;
  for (let at = from; at < to; at += 1) {
    const step = steps[state + classes[text.charCodeAt(at)]!]!;
    state = step & STATE_MASK;
    sum += step >>> WEIGHT_SHIFT;
  }
  return sum;
}

interface Automaton {
  /** By character code. */
  classes: Uint8Array;
  /** By state + class: the weight in thousandths of a token, and the next state. A state is the place of its row. */
  steps: Int32Array;
}

function build(): Automaton {
  const states = [START];
  const numbers = new Map([[keyOf(START), 0]]);
  const steps: number[] = [];
  // Grows while it is walked: every state that can be reached gets a row.
  for (const state of states) {
    for (const to of CLASSES) {
      const reached = next(state, to);
      const number = numbers.get(keyOf(reached)) ?? states.push(reached) - 1;
      numbers.set(keyOf(reached), number);
      // In whole numbers, so that the sum does not depend on the order.
      steps.push(number * CLASSES.length + (milliTokens(reached.weight) << WEIGHT_SHIFT));
    }
  }
  assert(4 * steps.length <= STATE_MASK, "the rows of the automaton are numbered by 16 bits");
  return { classes: classesByCode(), steps: Int32Array.from(steps) };
}

function milliTokens(weight: WeightName): number {
  return Math.round(1000 * WEIGHTS[weight]);
}

function keyOf(state: State): string {
  return `${state.weight} ${state.class} ${state.position} ${state.noise}`;
}

function classesByCode(): Uint8Array {
  const classes = new Uint8Array(0x10000);
  for (let code = 0; code < 128; code += 1) classes[code] = CLASSES.indexOf(asciiClassOf(String.fromCharCode(code)));
  for (const [firstCode, blockClass] of BLOCKS) classes.fill(CLASSES.indexOf(blockClass), firstCode);
  return classes;
}

function asciiClassOf(char: string): CharClass {
  if (/[a-z]/.test(char)) return "lower";
  if (/[A-Z]/.test(char)) return "upper";
  if (/[0-9]/.test(char)) return "digit";
  if (/[\n\r]/.test(char)) return "newline";
  if (/[ \t]/.test(char)) return "space";
  if (/['",.;:!?]/.test(char)) return "mark";
  return /[-_/+]/.test(char) ? "joint" : "sign";
}
