// What is asked of the subjects, and what a whole answer looks like.
import { JSON_ANSWER, requestBody, STREAM_BYTES } from "./answers.ts";

export interface Scenario {
  id: string;
  title: string;
  kind: "json" | "stream";
  /** The stream comes at the pace of a model, so calls per second say nothing about the subject. */
  isPaced: boolean;
  concurrency: number;
  /** Calls a second for the CPU at equal load, well below what either subject can carry. Undefined for a paced stream,
   *  where the pace already sets the load. */
  steadyRatePerS: number | undefined;
  body: string;
  answerBytes: number;
  answerEnd: string;
}

const CONCURRENCY = 32;
/** 4,000 deltas a second at the upstream's pace: below what a loaded machine can carry, so that none have to queue. */
const PACED_CONCURRENCY = 8;

const KB = 1_000;
const json = { kind: "json", isPaced: false, concurrency: CONCURRENCY, steadyRatePerS: 1_000 } as const;
const burst = { kind: "stream", isPaced: false, concurrency: CONCURRENCY, steadyRatePerS: 200 } as const;
const paced = { kind: "stream", isPaced: true, concurrency: PACED_CONCURRENCY, steadyRatePerS: undefined } as const;
const jsonAnswer = { answerBytes: JSON_ANSWER.length, answerEnd: "}" };
const streamAnswer = { answerBytes: STREAM_BYTES, answerEnd: "data: [DONE]\n\n" };

export const SCENARIOS: readonly Scenario[] = [
  {
    ...{ id: "json-1k", title: "JSON, 1 KB prompt", ...json, ...jsonAnswer },
    body: requestBody({ promptBytes: KB, stream: false, paced: false }),
  },
  {
    ...{ id: "json-32k", title: "JSON, 32 KB prompt", ...json, ...jsonAnswer },
    body: requestBody({ promptBytes: 32 * KB, stream: false, paced: false }),
  },
  {
    ...{ id: "stream-paced", title: "stream, 64 deltas, one every 2 ms", ...paced, ...streamAnswer },
    body: requestBody({ promptBytes: KB, stream: true, paced: true }),
  },
  {
    ...{ id: "stream-burst", title: "stream, 64 deltas, at once", ...burst, ...streamAnswer },
    body: requestBody({ promptBytes: KB, stream: true, paced: false }),
  },
];
