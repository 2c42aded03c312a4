// What the simulated Gemini API knows of its models: which parameters a model takes, as of November 2026.

export interface GeminiProfile {
  /** Function calls must come back with the thought signature they were given. */
  signatures: boolean;
  functionIds: boolean;
  thinking: "none" | "budget" | "level";
  thinkingLevels: string[];
  /** Least and most thinking budget, besides 0 and -1 (dynamic). */
  budget: [number, number];
  /** Budget 0 turns thinking off. */
  canStopThinking: boolean;
  multiCandidate: boolean;
  trailingModelTurn: boolean;
  functionRole: boolean;
  jsonWithTools: boolean;
  externalUrls: boolean;
}

const allLevels = ["minimal", "low", "medium", "high"];

/** Made-up names (and `gemini-flash-latest`) behave like the newest generation, except that nothing is refused for the name. */
const madeUp: GeminiProfile = {
  signatures: true,
  functionIds: true,
  thinking: "level",
  thinkingLevels: allLevels,
  budget: [1, 65_536],
  canStopThinking: true,
  multiCandidate: true,
  trailingModelTurn: true,
  functionRole: true,
  jsonWithTools: true,
  externalUrls: true,
};

export function geminiProfile(model: string): GeminiProfile {
  const match = /^(?:.*\/)?gemini-(\d+)(?:\.(\d+))?-(.*)$/.exec(model.toLowerCase());
  if (match === null) return model.startsWith("gemini-") ? strict(99, "flash", model) : madeUp;
  return strict(Number(match[1]) * 10 + Number(match[2] ?? 0), match[3] ?? "", model);
}

/** `generation` is 25 for 2.5, 30 for 3. */
function strict(generation: number, variant: string, model: string): GeminiProfile {
  const turnsRefused = generation >= 36 || (generation === 35 && variant.startsWith("flash-lite"));
  return {
    signatures: generation >= 30,
    functionIds: generation >= 35,
    thinking: generation < 25 ? "none" : generation < 30 ? "budget" : "level",
    thinkingLevels: levels(generation, variant),
    budget:
      generation >= 30
        ? [1, 65_536]
        : variant.startsWith("pro")
          ? [128, 32_768]
          : variant.includes("lite")
            ? [512, 24_576]
            : [1, 24_576],
    canStopThinking: !model.includes("2.5-pro"),
    multiCandidate: generation < 37,
    trailingModelTurn: !turnsRefused,
    functionRole: generation < 36,
    jsonWithTools: generation >= 30,
    externalUrls: generation >= 25,
  };
}

function levels(generation: number, variant: string): string[] {
  if (variant.startsWith("pro")) return generation === 30 ? ["low", "high"] : ["low", "medium", "high"];
  return generation >= 37 && !variant.includes("lite") ? ["low", "medium", "high"] : allLevels;
}
