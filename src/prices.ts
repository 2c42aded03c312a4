// What a model costs: prices by class of use, and by what changes them.
/** Prices as integers: micro-dollars per million (tokens, or calls), which is the same number as picodollars each. */
export interface RateCard {
  input: number;
  output: number;
  cacheRead?: number;
  cacheWrite?: number;
  cacheWrite1h?: number;
  audioInput?: number;
  audioCacheRead?: number;
  audioOutput?: number;
  imageInput?: number;
  imageOutput?: number;
  reasoningOutput?: number;
  citation?: number;
  /** Each call of the model. */
  request?: number;
  /** Each search on the web. */
  search?: number;
}

/** Replaces the rates of *all* tokens of a request by the size of its whole prompt. Vendors write both "272,000 or more"
 *  (`fromInputTokens`) and "more than 200,000" (`aboveInputTokens`): exactly one of the two is there. */
export interface Tier {
  fromInputTokens?: number;
  aboveInputTokens?: number;
  rates: RateCard;
}

export interface Prices extends RateCard {
  tiers?: Tier[];
}

/** Prices that hold at some times only, all of them UTC: all the conditions there are must be met. */
export interface Period {
  /** First day, `2027-01-01`. */
  fromDate?: string;
  /** First day on which it no longer holds. */
  untilDate?: string;
  /** Every day from `fromTime` until before `untilTime` (`16:30`), over midnight where the first is the later one. */
  fromTime?: string;
  untilTime?: string;
  /** Days of the week on which it holds, 0 = Sunday. */
  days?: number[];
  rates: Prices;
}

/** Everything that decides what a call of a model costs. */
export interface Rates extends Prices {
  /** The last one that holds when the call is opened replaces the prices above. */
  periods?: Period[];
  /** By the tier that answered: millionths of the token prices, or prices of its own. */
  serviceTiers?: Record<string, number | Prices>;
  /** By the region that answered: millionths of the token prices. */
  regions?: Record<string, number>;
}

/** How a model's price was found: under its own id, under another name of the same model, under the id that its id begins
 *  with, or in what the operator wrote. */
export type PriceBasis = "exact" | "alias" | "prefix" | "override";

/** `reported`: the provider's own figure. `unknown`: there is no cost, which is not a cost of zero. */
export type PriceStatus = PriceBasis | "reported" | "unknown";
