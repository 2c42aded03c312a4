// What Google's two platforms do differently with the same protocol, as data.
import type { Platform } from "./gates.ts";

export interface GoogleProfile extends Platform {
  /** Put before the id of a model. An id with a slash is a resource path of its own (`tunedModels/x`). */
  modelPrefix: string;
  /** The header that names the service tier; without it the tier is a member of the body. */
  serviceTierHeader?: string;
  outputTokensMax?: number;
  /** Members of `google: {…}` beyond those that both platforms know. */
  extraTop: readonly string[];
  extraGeneration: readonly string[];
  /** Wait after a 429 that names none; without it the caller of the dialect backs off. */
  quotaWaitMs?: number;
  /** `countTokens` takes the whole request in a member of its own; at the top level it takes the messages only. */
  wrapsCountedRequest: boolean;
}

export const DEVELOPER_API: GoogleProfile = {
  modelPrefix: "models/",
  switches: {},
  extraTop: [],
  extraGeneration: [],
  quotaWaitMs: 15_000,
  wrapsCountedRequest: true,
};
