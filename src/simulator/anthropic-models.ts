// What the simulated Anthropic knows of Claude models: which parameters a model takes, as of November 2026.

export interface ClaudeProfile {
  contextTokens: number;
  maxTokens: number;
  /** `both`: temperature and top_p together; `one`: either; `none`: only the defaults. */
  sampling: "both" | "one" | "none";
  thinking: ("enabled" | "disabled" | "adaptive" | "between_tools")[];
  efforts: string[];
  forcedTools: boolean;
  /** A forced tool and thinking in one request. */
  forcedWithThinking: boolean;
  prefill: boolean;
  structuredOutputs: boolean;
  /** `role: "system"` is accepted inside `messages`. */
  midSystem: boolean;
  /** Thinking text is shown unless the request says otherwise. */
  thinkingShown: boolean;
}

const threeEfforts = ["low", "medium", "high"];
const fourEfforts = [...threeEfforts, "max"];
const allEfforts = [...threeEfforts, "xhigh", "max"];

const old: ClaudeProfile = {
  contextTokens: 200_000,
  maxTokens: 4_096,
  sampling: "both",
  thinking: [],
  efforts: [],
  forcedTools: true,
  forcedWithThinking: false,
  prefill: true,
  structuredOutputs: false,
  midSystem: false,
  thinkingShown: true,
};
const four5: ClaudeProfile = {
  ...old,
  maxTokens: 64_000,
  sampling: "one",
  thinking: ["enabled", "disabled"],
  structuredOutputs: true,
};
const four6: ClaudeProfile = {
  ...four5,
  contextTokens: 1_000_000,
  maxTokens: 128_000,
  thinking: ["adaptive", "disabled", "enabled"],
  efforts: fourEfforts,
  prefill: false,
};
const four7: ClaudeProfile = {
  ...four6,
  sampling: "none",
  thinking: ["adaptive", "disabled"],
  efforts: allEfforts,
  thinkingShown: false,
};
const five: ClaudeProfile = { ...four7, forcedWithThinking: true };
const five5: ClaudeProfile = { ...five, thinking: ["adaptive"], forcedTools: false, midSystem: true };

/** Longest prefix wins. */
const profiles: Record<string, ClaudeProfile> = {
  "claude-3": old,
  "claude-opus-4-1": { ...four5, maxTokens: 32_000 },
  "claude-opus-4-5": { ...four5, efforts: threeEfforts },
  "claude-sonnet-4-5": four5,
  "claude-haiku-4-5": four5,
  "claude-opus-4-6": four6,
  "claude-sonnet-4-6": four6,
  "claude-opus-4-7": four7,
  "claude-opus-4-8": { ...four7, midSystem: true },
  "claude-sonnet-5": five,
  "claude-opus-5": { ...five, midSystem: true },
  "claude-haiku-5-5": { ...five, midSystem: true },
  "claude-sonnet-5-5": { ...five5, thinking: ["adaptive", "between_tools"] },
  "claude-opus-5-5": five5,
  "claude-fable-5": five5,
  "claude-mythos-5": five5,
};

/** Made-up models take whatever any model takes, so that a simulated name never fails for what it is called. */
const madeUp: ClaudeProfile = {
  ...old,
  contextTokens: 1_000_000,
  maxTokens: 128_000,
  thinking: ["adaptive", "disabled", "enabled", "between_tools"],
  efforts: allEfforts,
  forcedWithThinking: true,
  structuredOutputs: true,
  midSystem: true,
};

export function claudeProfile(model: string): ClaudeProfile {
  let found = "";
  for (const prefix of Object.keys(profiles)) {
    const fits = model === prefix || model.startsWith(`${prefix}-`);
    if (fits && prefix.length > found.length) found = prefix;
  }
  return profiles[found] ?? madeUp;
}
