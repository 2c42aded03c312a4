// Every provider × everything a caller can count on, over real sockets: what the caller receives, and what arrived.
import { afterAll, beforeAll, describe, test } from "vitest";
import { BEHAVIOURS } from "./conformance/behaviours.ts";
import { cast } from "./conformance/cast.ts";
import { openStage, Scene, type Stage } from "./conformance/harness.ts";
import { DEFECTS, reasonIn, SKIPS } from "./conformance/skips.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe.each(cast.map((member) => [member.provider.id, member] as const))("%s", (id, member) => {
  for (const { column, title, run } of BEHAVIOURS) {
    const skipped = reasonIn(SKIPS, id, column, title);
    const defect = reasonIn(DEFECTS, id, column, title);
    if (skipped !== undefined) test.skip(`${title} (${skipped})`, () => {});
    else if (defect !== undefined)
      test.fails(`${title} (to be mended: ${defect})`, () => run(new Scene(stage, member)));
    else test(title, () => run(new Scene(stage, member)));
  }
});
