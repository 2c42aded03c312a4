// What the conversion of a message needs to know beyond the message.
import type { Call } from "../../../src/dialect.ts";
import type { Report } from "../report.ts";
import type { OpenAiChatProfile, Replay } from "./profile.ts";

export interface Context {
  call: Call;
  profile: OpenAiChatProfile;
  report: Report;
  /** How reasoning of earlier turns goes back; absent where it does not, or where this request turns thinking off. */
  replay: Replay | undefined;
}
