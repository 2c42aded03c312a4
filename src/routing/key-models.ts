// Which models a key may use, as patterns: `claude-*`, `openai/*`, an alias.
import type { Target } from "../dialect.ts";
import { globMatcher } from "./glob.ts";

export interface ModelMatcher {
  /** As the operator wrote them. */
  patterns: readonly string[];
  allowsTarget(target: Target): boolean;
  /** For names that are no model themselves: whoever may ask for an alias may use what it stands for. */
  allowsAlias(name: string): boolean;
}

/** A pattern with a slash is about `provider/model`; one without is about the model alone, whoever serves it: so that
 *  `openai/*` does not also mean a model that somebody else calls `openai/…`. */
export function modelMatcher(patterns: readonly string[]): ModelMatcher {
  const qualified = globMatcher(patterns.filter((pattern) => pattern.includes("/")));
  const bare = globMatcher(patterns.filter((pattern) => !pattern.includes("/")));
  return {
    patterns,
    allowsTarget: ({ provider: { id, standsInFor }, model }) =>
      bare(model) || qualified(`${id}/${model}`) || (standsInFor !== undefined && qualified(`${standsInFor}/${model}`)),
    allowsAlias: (name) => bare(name) || qualified(name),
  };
}
