// Lets a stream go wrong at the scripted point: before any content, or after some of it.
import type { Face, Frame, Head } from "./face.ts";
import type { Ending } from "./pace.ts";
import type { Script } from "./script.ts";

/** "Some content" is this many pieces that carry tokens, or all of them when there are fewer. */
const piecesBeforeMishap = 2;

/** The frames up to the scripted mishap and what the provider would send there; all of them when none is scripted. */
export function* disturb(frames: Iterable<Frame>, script: Script, face: Face, head: Head): Generator<Frame> {
  const atContent = script.error === "preamble" || script.hang === "preamble";
  const afterContent =
    script.error === "stream" || script.hang === "stream" || script.cut === true || script.malformed === true;
  let told = 0;
  for (const frame of frames) {
    const due =
      (atContent && frame.phase !== "preamble") ||
      (afterContent && (told >= piecesBeforeMishap || frame.phase === "end"));
    if (due) {
      yield mishap(script, face, head);
      return;
    }
    if (frame.phase === "content" && frame.tokens > 0) told += 1;
    yield frame;
  }
}

/** How the connection is left after the last frame. */
export function ending(script: Script): Ending {
  if (script.cut === true) return "cut";
  return script.hang === undefined ? "end" : "silence";
}

function mishap(script: Script, face: Face, head: Head): Frame {
  const bytes =
    script.error !== undefined ? face.streamFault(head) : script.malformed === true ? face.brokenFrame(head) : "";
  return { bytes, tokens: 0, phase: "end" };
}
