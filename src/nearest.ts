// "Did you mean …?": the names closest to a misspelt one.

/** Shorter names are part of too many others to mean anything. */
const PART_CHARS_MIN = 3;

/** Up to `count` of `names`, closest first by edit distance; a name that holds the other comes right after an equal one.
 *  Nothing else that differs in more than half its letters. */
export function nearest(wrong: string, names: Iterable<string>, count: number): string[] {
  const asked = wrong.toLowerCase();
  const scored: { name: string; distance: number }[] = [];
  for (const name of new Set(names)) {
    const plain = name.toLowerCase();
    const distance = holds(plain, asked) || holds(asked, plain) ? 1 : editDistance(asked, plain);
    if (distance <= Math.max(asked.length, plain.length) / 2) scored.push({ name, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name));
  return scored.slice(0, count).map(({ name }) => name);
}

function holds(whole: string, part: string): boolean {
  return part.length >= PART_CHARS_MIN && part.length < whole.length && whole.includes(part);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
