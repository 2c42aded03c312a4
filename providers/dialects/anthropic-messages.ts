// Anthropic Messages as a client of a provider.
import type { Outbound } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./anthropic/decode.ts";
import { encode } from "./anthropic/encode.ts";
import { decodeError } from "./anthropic/errors.ts";

export const anthropicMessages: Outbound = {
  id: "anthropic-messages",
  encode,
  decoder,
  decodeBody,
  decodeError,
};
