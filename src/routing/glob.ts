// Patterns on model names: `*` stands for any characters, everything else for itself.

/** Matches a name against one pattern or any of several; without a pattern everything matches. */
export function globMatcher(patterns: string | readonly string[] | undefined): (name: string) => boolean {
  if (patterns === undefined) return () => true;
  const tests = (typeof patterns === "string" ? [patterns] : patterns).map(toTest);
  return (name) => tests.some((test) => test(name));
}

/** No regular expression: callers choose the names, and backtracking over several stars takes as long as they like. */
function toTest(pattern: string): (name: string) => boolean {
  const [head = "", ...rest] = pattern.split("*");
  const tail = rest.pop();
  if (tail === undefined) return (name) => name === pattern;
  return (name) => {
    if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
    const end = name.length - tail.length;
    let at = head.length;
    for (const part of rest) {
      const found = name.indexOf(part, at);
      if (found === -1 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}
