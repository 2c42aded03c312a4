// How the Gemini API words its refusals.
import type { Fault } from "./face.ts";

export function invalid(message: string): Fault {
  return { status: 400, message };
}

/** A field that parses but breaks a rule. */
export function field(path: string, rule: string): Fault {
  return invalid(`* GenerateContentRequest.${path}: ${rule}\n`);
}
