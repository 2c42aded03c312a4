// Whether a refused call is worth another try, and with what change.
import type { ProviderError } from "../../../src/chat.ts";
import type { Call, Repair } from "../../../src/dialect.ts";
import { encode } from "./encode.ts";
import type { GoogleProfile } from "./profile.ts";
import { repairFor } from "./repairs.ts";

/** Only a repair that changes the request, and that a strict caller allows. */
export function repair(error: ProviderError, call: Call, profile: GoogleProfile): Repair | undefined {
  const found = repairFor(error);
  const known = call.repairs ?? [];
  if (found === undefined || known.includes(found.token)) return undefined;
  const before = encode(call, profile);
  const after = encode({ ...call, repairs: [...known, found.token] }, profile);
  if (before.kind === "refusal" || after.kind === "refusal") return undefined;
  return after.wire.body === before.wire.body ? undefined : found;
}
