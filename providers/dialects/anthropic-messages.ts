// Anthropic Messages as a client of a provider.
import type { Outbound } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./anthropic/decode.ts";
import { attachments, encode } from "./anthropic/encode.ts";
import { decodeError } from "./anthropic/errors.ts";
import { FIELD_CLASSES } from "./anthropic/fields.ts";
import { readLimits } from "./anthropic/limits.ts";
import { profileOf } from "./anthropic/profile.ts";
import { repair } from "./anthropic/repairs.ts";

export const anthropicMessages: Outbound = {
  id: "anthropic-messages",
  fields: FIELD_CLASSES,
  encode,
  decoder,
  decodeBody,
  decodeError,
  readLimits,
  repair,
  prefills: (target) => profileOf(target).prefill,
  attachments,
};
