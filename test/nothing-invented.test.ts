// What reaches a provider is what the caller said, in other words at most: everything else is on a list with reasons.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../src/chat.ts";
import { allowanceFor } from "./conformance/allowed.ts";
import { cast } from "./conformance/cast.ts";
import { openStage, Scene, type Stage } from "./conformance/harness.ts";
import { leavesOf, Said } from "./conformance/leaves.ts";
import { hasCalls, requests } from "./conformance/requests.ts";
import { DEFECTS, SKIPS } from "./conformance/skips.ts";

/** Per provider and model; the seed is fixed, so that a red run is red again. */
const RUNS = 12;
const SEED = 20_261_101;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe.each(cast.map((member) => [member.provider.id, member] as const))("%s", (id, member) => {
  for (const model of new Set([member.model, member.thinker])) {
    const defect = DEFECTS[id]?.[`nothing is invented for ${model}`];
    const run = () => nothingIsInvented(model);
    if (defect === undefined) test(`nothing is invented for ${model}`, run);
    else test.fails(`nothing is invented for ${model} (to be mended: ${defect})`, run);
  }

  async function nothingIsInvented(model: string): Promise<void> {
    const check = async (body: JsonObject) => {
      if (SKIPS[id]?.tools !== undefined && hasCalls(body)) return;
      const scene = new Scene(stage, member);
      const response = await scene.post({ ...body, model });
      const answer = await response.text();
      // Refused by the router, naming what this provider cannot do: then nothing was sent.
      if (response.status === 400 && scene.requests.length === 0) return;
      expect(response.status, answer).toBe(200);
      const said = new Said({ ...body, model });
      const invented = leavesOf(scene.latest).filter(
        (leaf) => !said.holds(leaf) && allowanceFor(id, member.provider.dialect.id, leaf) === undefined,
      );
      expect(invented).toEqual([]);
    };
    await fc.assert(fc.asyncProperty(requests, check), { numRuns: RUNS, seed: SEED });
  }
});
