// What the conversion of a message needs to know beyond the message.
import type { Call } from "../../../src/dialect.ts";
import type { Report } from "../report.ts";
import type { OpenAiChatProfile } from "./profile.ts";

export interface Context {
  call: Call;
  profile: OpenAiChatProfile;
  report: Report;
  /** The request turns thinking off, so nobody insists on earlier reasoning. */
  isThinkingOff: boolean;
}
