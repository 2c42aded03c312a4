// Amazon Bedrock's Converse API as a client of a provider: one form for the models of all its vendors.
import type { Outbound } from "../../src/dialect.ts";
import { repair } from "./anthropic/repairs.ts";
import { decodeBody, decoder } from "./bedrock/decode.ts";
import { attachments, encode } from "./bedrock/encode.ts";
import { decodeError } from "./bedrock/errors.ts";
import { FIELD_CLASSES } from "./bedrock/fields.ts";

export const bedrockConverse: Outbound = {
  id: "bedrock-converse",
  framing: "aws-event-stream",
  fields: FIELD_CLASSES,
  encode,
  decoder,
  decodeBody,
  decodeError,
  repair: (error, call) => repair(error, call, encode),
  attachments,
};
