// Patterns on model names: `*` stands for any characters, everything else for itself.

/** Matches a name against one pattern or any of several; without a pattern everything matches. */
export function globMatcher(patterns: string | readonly string[] | undefined): (name: string) => boolean {
  if (patterns === undefined) return () => true;
  const tests = (typeof patterns === "string" ? [patterns] : patterns).map(toRegExp);
  return (name) => tests.some((test) => test.test(name));
}

function toRegExp(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  // Lazy on purpose: model names are short, and `.*` never crosses a line here.
  return new RegExp(`^${parts.join(".*")}$`);
}
