// Decision and trace of a request without their figures, so that requests that were decided alike share one text.

/** Expected costs and latencies, as `decisionText` and `traceText` write them. */
const FIGURE = /(?<=[=;]cost=|;latency=|"c":|"ms":)[\d.]+/g;
const MARK = "#";

export interface Story {
  /** The figures replaced by `#`. */
  text: string;
  /** In order, with spaces between. */
  figures: string;
}

export function packStory(decision: string, trace: string | undefined): Story {
  const figures: string[] = [];
  const text = `${decision}\n${trace ?? ""}`.replace(FIGURE, (figure) => {
    figures.push(figure);
    return MARK;
  });
  return { text, figures: figures.join(" ") };
}

const PLACE = /(?<=[=;]cost=|;latency=|"c":|"ms":)#/g;

/** The inverse. */
export function unpackStory({ text, figures }: Story): { decision: string; trace: string | null } {
  const given = figures.split(" ")[Symbol.iterator]();
  const whole = text.replace(PLACE, () => given.next().value ?? MARK);
  const end = whole.indexOf("\n");
  const trace = whole.slice(end + 1);
  return { decision: whole.slice(0, end), trace: trace === "" ? null : trace };
}

/** The decision alone. */
export function withoutTrace({ text, figures }: Story): Story {
  const decision = text.slice(0, text.indexOf("\n") + 1);
  const count = decision.match(PLACE)?.length ?? 0;
  return { text: decision, figures: figures.split(" ").slice(0, count).join(" ") };
}
