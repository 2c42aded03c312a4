// The form of a behaviour: something a caller can count on, whoever answers.
import type { Scene } from "./harness.ts";

export interface Behaviour {
  /** Column of the table in providers/README.md; behaviours of one column share it. */
  column: string;
  /** A sentence; the name of the test, and the key of skips and defects. */
  title: string;
  run(scene: Scene): Promise<void>;
}
