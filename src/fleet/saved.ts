// The shape in which the fleet's knowledge survives a restart. Another shape needs another version; nothing is migrated,
// since what is lost is learnt again within minutes.
import { z } from "zod";

export const SAVED_VERSION = 1;

const ms = z.number().nonnegative();
/** Counter, count, counter, count, … of the counters that are not 0. */
const counts = z.array(z.int().nonnegative());
const slowSketch = z.object({ hour: z.int().nonnegative(), counts });
const sketch = slowSketch.extend({ slices: z.array(z.tuple([z.int().nonnegative(), counts])).max(64) });
const tally = z.object({ atMs: ms, attempts: z.number().nonnegative(), failures: z.number().nonnegative() });

const target = z.object({
  name: z.string(),
  /** By size of the prompt. */
  firstByte: z.array(sketch.nullable()).max(16),
  speed: sketch.nullable(),
  recent: tally,
  usual: tally,
});

const history = z.object({
  scope: z.string(),
  atMs: ms,
  weight: z.number().nonnegative(),
  tokens: z.number().nonnegative(),
  sketch: slowSketch,
});

/** By position, since there are thousands: id, target, cached tokens, confirmed, misses, last use, lifetime; the account
 *  where the target has several. */
const affinity = z.tuple([
  z.string().max(100),
  z.string(),
  z.number().nonnegative(),
  z.boolean(),
  z.int().nonnegative(),
  ms,
  z.number().nonnegative(),
  z.string().optional(),
]);

export const savedFleet = z.object({
  version: z.literal(SAVED_VERSION),
  targets: z.array(target).optional(),
  outputs: z.array(history).optional(),
  affinities: z.array(affinity).optional(),
});

export type SavedCounts = z.infer<typeof counts>;
export type SavedSlowSketch = z.infer<typeof slowSketch>;
export type SavedSketch = z.infer<typeof sketch>;
export type SavedTally = z.infer<typeof tally>;
export type SavedTarget = z.infer<typeof target>;
export type SavedHistory = z.infer<typeof history>;
export type SavedAffinity = z.infer<typeof affinity>;
export type SavedFleet = z.infer<typeof savedFleet>;
