// Hides how an estimate becomes a prediction: what providers billed teaches, per model and per (model, key), how many tokens
// of theirs an estimated token is. Nothing here reads a clock; what was learned can be written down and read back.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { Lru } from "../lru.ts";

/** A call as the estimator saw it. */
export interface EstimatedCall {
  /** The target, with its version: tokenizers differ between versions of one family. */
  model: string;
  /** Who calls. Texts of one caller resemble each other. */
  key: string;
  /** Tokens of the text, uncalibrated. */
  rawTokens: number;
  /** Tokens of images and files: added as they are, no ratio of the text applies to them. */
  mediaTokens?: number;
  /** How many tools the call defines: templates wrap them in a preamble nobody sees. */
  tools?: number;
}

/** In tokens. Admission takes the mean, budgets mean + 2 σ, context checks mean + 3 σ. */
export interface Prediction {
  mean: number;
  stdDev: number;
}

export interface Calibration {
  predict(call: EstimatedCall): Prediction;
  /** `actualTokens`: the whole prompt as the provider billed it. Nonsense (zero, negative, not a number) teaches nothing. */
  learn(call: EstimatedCall, actualTokens: number): void;
  /** Mean of |predicted − actual| ÷ actual over the last calls, of one model or of all; undefined before the first. */
  meanAbsoluteError(model?: string): number | undefined;
  /** Plain data for `restore`, oldest first. */
  export(): JsonObject;
  /** Replaces what is known. Total: what does not look like an export is left out. */
  restore(json: unknown): void;
}

/** Least recently used models and keys are forgotten above this: about 300 bytes a key, 3 KB a model. */
const MODELS_MAX = 1_000;
const KEYS_MAX = 10_000;
const WINDOW_CALLS = 256;

/** A new call counts at least this much: a changed template or tokenizer is learned within about 20 calls. */
const ALPHA_MIN = 0.05;
/** The spread needs more calls than the mean: one in twenty is what it has to cover. */
const SPREAD_ALPHA_MIN = 0.02;
/** Before anything is known. Tokenizers of large vendors are between 0.85 and 1.35 of the estimate. */
const UNKNOWN: Ratio = { calls: 0, mean: 0, variance: 0.15 ** 2 };
/** The model speaks with the weight of so many calls of the key, and the prior with that of so many of the model. */
const PARENT_CALLS = 2;
/** |ln(actual ÷ estimate)| above this is not a tokenizer: hidden context of the provider's own, or a wrong count. */
const QUOTIENT_MAX = 8;
const LOG_RATIO_MAX = Math.log(QUOTIENT_MAX);
/** Once a ratio has settled, one call moves it by no more than this many standard deviations. */
const OUTLIER_STD_DEVS = 4;
const SETTLED_CALLS = 10;
const STD_DEV_MIN = 0.02;
/** A text of this size counts half for the ratio: beside a shorter one an error of the constant is too large. */
const BALANCED_TOKENS = 200;
/** What the constant usually is, before anything is known: it takes evidence to leave zero by more. */
const CONSTANT_TOKENS = 200;
/** Below zero where the estimator puts more around a message than the provider does. */
const CONSTANT_TOKENS_MIN = -50;
const CONSTANT_TOKENS_MAX = 5_000;
/** Of the regression: the constant is remembered over about 100 calls of the model. */
const CONSTANT_ALPHA_MIN = 0.01;
/** A mean of fewer calls is no mean to deviate from. */
const KEY_CALLS_MIN = 3;
/** Upper ends of the classes of calls that share a constant, by number of tools; the last class has no end. */
const TOOL_CLASSES = [0, 1, 3, 7, 15, 31] as const;

interface Ratio {
  calls: number;
  /** Of ln(actual ÷ estimate). */
  mean: number;
  variance: number;
}

/**
 * Regression of actual ÷ raw on 1 ÷ raw: its slope is the constant, whatever the ratio is. Dividing by the text makes the
 * scatter even, as it grows with the text. Both are taken as deviations from their means over the key's calls, or a key with
 * short texts and a ratio of its own would pass for a constant. Running means of both and of their products.
 */
interface Constant {
  calls: number;
  perRaw: number;
  quotient: number;
  perRawSquared: number;
  perRawTimesQuotient: number;
}

const NO_MEANS: KeyMeans = { calls: 0, perRaw: 0, quotient: 0 };
const NO_CONSTANT: Constant = { calls: 0, perRaw: 0, quotient: 0, perRawSquared: 0, perRawTimesQuotient: 0 };

interface ModelState {
  ratio: Ratio;
  /** By class of tools: tokens that do not depend on the text. */
  constants: Constant[];
  errors: Window;
}

interface KeyState {
  ratio: Ratio;
  means: KeyMeans;
}

interface KeyMeans {
  calls: number;
  perRaw: number;
  quotient: number;
}

/** The last values of a series. */
interface Window {
  values: number[];
  next: number;
  /** `undefined` while there is none. */
  mean: number | undefined;
}

/** `limits` are for tests. */
export function createCalibration(limits: { modelsMax?: number; keysMax?: number } = {}): Calibration {
  const { modelsMax = MODELS_MAX, keysMax = KEYS_MAX } = limits;
  let models = new Lru<ModelState>(modelsMax);
  let keys = new Lru<KeyState>(keysMax);
  let errors: Window = newWindow();
  return {
    predict: (call) => predictWith(models.peek(call.model), keys.peek(keyName(call.model, call.key)), call),
    learn(call, actualTokens) {
      if (!isCount(actualTokens) || !isCount(call.rawTokens)) return;
      const model = models.touch(call.model, newModel);
      const key = keys.touch(keyName(call.model, call.key), newKey);
      const error = Math.abs(predictWith(model, key, call).mean - actualTokens) / actualTokens;
      remember(errors, error);
      remember(model.errors, error);
      learnInto(model, key, call, actualTokens);
    },
    meanAbsoluteError(model) {
      const window = model === undefined ? errors : models.peek(model)?.errors;
      return window?.mean;
    },
    export: () => ({
      version: 1,
      models: models.newest(modelsMax).map(([model, { ratio, constants }]) => ({ model, ...ratio, constants })),
      keys: keys.newest(keysMax).map(([name, { ratio, means }]) => ({ name, ...ratio, means })),
    }),
    restore(json) {
      models = new Lru(modelsMax);
      keys = new Lru(keysMax);
      errors = newWindow();
      const { models: savedModels, keys: savedKeys } = isObject(json) ? json : {};
      for (const saved of objectsIn(savedModels)) {
        if (typeof saved.model === "string") models.touch(saved.model, () => restoredModel(saved));
      }
      for (const saved of objectsIn(savedKeys)) {
        const ratio = restoredRatio(saved);
        if (typeof saved.name === "string" && ratio !== undefined)
          keys.touch(saved.name, () => ({ ratio, means: restoredMeans(saved.means) }));
      }
    },
  };
}

function predictWith(model: ModelState | undefined, key: KeyState | undefined, call: EstimatedCall): Prediction {
  const ratio = blended(key?.ratio, blended(model?.ratio, UNKNOWN));
  const text = Math.max(
    1,
    call.rawTokens * Math.exp(ratio.mean) + (model === undefined ? 0 : constantTokens(model, call)),
  );
  return { mean: text + (call.mediaTokens ?? 0), stdDev: text * Math.sqrt(ratio.variance) };
}

/** What `own` says, as far as it has seen enough, else what its parent says. */
function blended(own: Ratio | undefined, parent: Ratio): Ratio {
  if (own === undefined) return parent;
  const share = own.calls / (own.calls + PARENT_CALLS);
  const mean = share * own.mean + (1 - share) * parent.mean;
  // The spread of the calls, and how little a few of them say about where their middle is.
  const spread = share * own.variance + (1 - share) * parent.variance;
  return { calls: own.calls, mean, variance: spread * (1 + 1 / (own.calls + PARENT_CALLS)) };
}

function learnInto(model: ModelState, key: KeyState, call: EstimatedCall, actualTokens: number): void {
  const actualTextTokens = Math.max(1, actualTokens - (call.mediaTokens ?? 0));
  if (Math.abs(Math.log(actualTextTokens / call.rawTokens)) > LOG_RATIO_MAX) return;
  learnConstant(model, key, call, actualTextTokens);
  const logRatio = Math.log(Math.max(1, actualTextTokens - constantTokens(model, call)) / call.rawTokens);
  const weight = call.rawTokens / (call.rawTokens + BALANCED_TOKENS);
  model.ratio = moved(model.ratio, logRatio, weight);
  key.ratio = moved(key.ratio, logRatio, weight);
}

function moved(ratio: Ratio, logRatio: number, weight: number): Ratio {
  const calls = ratio.calls + 1;
  const alpha = Math.max(ALPHA_MIN, 1 / calls) * (calls === 1 ? 1 : weight);
  const stepMax =
    calls > SETTLED_CALLS ? OUTLIER_STD_DEVS * Math.max(STD_DEV_MIN, Math.sqrt(ratio.variance)) : LOG_RATIO_MAX;
  const step = Math.min(stepMax, Math.max(-stepMax, logRatio - ratio.mean));
  // The first call says nothing about the spread.
  const spreadAlpha = Math.max(SPREAD_ALPHA_MIN, 1 / calls);
  const variance = calls === 1 ? ratio.variance : (1 - spreadAlpha) * (ratio.variance + spreadAlpha * step ** 2);
  return { calls, mean: ratio.mean + alpha * step, variance };
}

function learnConstant(model: ModelState, key: KeyState, call: EstimatedCall, actualTokens: number): void {
  const perRaw = 1 / call.rawTokens;
  const quotient = actualTokens / call.rawTokens;
  const { means } = key;
  if (means.calls >= KEY_CALLS_MIN) {
    const at = toolClass(call);
    const constant = model.constants[at] ?? NO_CONSTANT;
    model.constants[at] = movedConstant(constant, perRaw - means.perRaw, quotient - means.quotient);
  }
  const toward = running(means.calls + 1, ALPHA_MIN);
  key.means = {
    calls: means.calls + 1,
    perRaw: toward(means.perRaw, perRaw),
    quotient: toward(means.quotient, quotient),
  };
}

function movedConstant(constant: Constant, perRaw: number, quotient: number): Constant {
  const calls = constant.calls + 1;
  const toward = running(calls, CONSTANT_ALPHA_MIN);
  return {
    calls,
    perRaw: toward(constant.perRaw, perRaw),
    quotient: toward(constant.quotient, quotient),
    perRawSquared: toward(constant.perRawSquared, perRaw ** 2),
    perRawTimesQuotient: toward(constant.perRawTimesQuotient, perRaw * quotient),
  };
}

/** How the `calls`th value moves a mean: at first all values count alike, later the old ones fade. */
function running(calls: number, alphaMin: number): (mean: number, value: number) => number {
  const alpha = Math.max(alphaMin, 1 / calls);
  return (mean, value) => mean + alpha * (value - mean);
}

/** The slope, drawn to zero as far as the calls are few, of one size, or scattered (ridge regression). */
function constantTokens(model: ModelState, call: EstimatedCall): number {
  const { calls, perRaw, quotient, perRawSquared, perRawTimesQuotient } =
    model.constants[toolClass(call)] ?? NO_CONSTANT;
  if (calls === 0) return 0;
  const evidence = Math.min(calls, 1 / CONSTANT_ALPHA_MIN);
  const ridge = Math.max(STD_DEV_MIN ** 2, model.ratio.variance) / (evidence * CONSTANT_TOKENS ** 2);
  const slope = (perRawTimesQuotient - perRaw * quotient) / (Math.max(0, perRawSquared - perRaw ** 2) + ridge);
  return Math.min(CONSTANT_TOKENS_MAX, Math.max(CONSTANT_TOKENS_MIN, slope));
}

function toolClass({ tools = 0 }: EstimatedCall): number {
  const found = TOOL_CLASSES.findIndex((toolsMax) => tools <= toolsMax);
  return found === -1 ? TOOL_CLASSES.length : found;
}

function isCount(tokens: number): boolean {
  return Number.isFinite(tokens) && tokens > 0;
}

/** One text for two names, whatever characters they hold. */
function keyName(model: string, key: string): string {
  return `${model.length}:${model}${key}`;
}

function newModel(): ModelState {
  const constants = Array.from({ length: TOOL_CLASSES.length + 1 }, () => NO_CONSTANT);
  return { ratio: UNKNOWN, constants, errors: newWindow() };
}

function newKey(): KeyState {
  return { ratio: UNKNOWN, means: NO_MEANS };
}

function newWindow(): Window {
  return { values: [], next: 0, mean: undefined };
}

function remember(window: Window, value: number): void {
  window.values[window.next] = value;
  window.next = (window.next + 1) % WINDOW_CALLS;
  // Asked for with every call. Worked out anew, so that rounding does not add up.
  let sum = 0;
  for (const one of window.values) sum += one;
  window.mean = sum / window.values.length;
}

function restoredModel(saved: JsonObject): ModelState {
  const model = newModel();
  model.ratio = restoredRatio(saved) ?? UNKNOWN;
  const constants = Array.isArray(saved.constants) ? saved.constants.slice(0, model.constants.length) : [];
  for (const [index, constant] of constants.entries()) model.constants[index] = restoredConstant(constant);
  return model;
}

function restoredConstant(saved: unknown): Constant {
  const { calls, perRaw, quotient, perRawSquared, perRawTimesQuotient } = isObject(saved) ? saved : {};
  const isUsable =
    isWhole(calls) &&
    isWithin(perRaw, -1, 1) &&
    isWithin(quotient, -QUOTIENT_MAX, QUOTIENT_MAX) &&
    isWithin(perRawSquared, 0, 1) &&
    isWithin(perRawTimesQuotient, -QUOTIENT_MAX, QUOTIENT_MAX);
  return isUsable ? { calls, perRaw, quotient, perRawSquared, perRawTimesQuotient } : NO_CONSTANT;
}

function restoredMeans(saved: unknown): KeyMeans {
  const { calls, perRaw, quotient } = isObject(saved) ? saved : {};
  const isUsable = isWhole(calls) && isWithin(perRaw, 0, 1) && isWithin(quotient, 0, QUOTIENT_MAX);
  return isUsable ? { calls, perRaw, quotient } : NO_MEANS;
}

/** Undefined without a mean that could be one. A spread that is missing or impossible is the one before learning. */
function restoredRatio({ calls, mean, variance }: JsonObject): Ratio | undefined {
  if (!isWhole(calls) || !isWithin(mean, -LOG_RATIO_MAX, LOG_RATIO_MAX)) return undefined;
  return { calls, mean, variance: isWithin(variance, 0, LOG_RATIO_MAX ** 2) ? variance : UNKNOWN.variance };
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && value >= min && value <= max;
}
