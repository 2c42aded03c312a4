// Everything the parts of one translation share.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import type { Call, Download } from "../../../src/dialect.ts";
import { Report } from "../report.ts";
import { type Gates, gatesOf } from "./gates.ts";
import { type FunctionNames, functionNames } from "./names.ts";
import type { GoogleProfile } from "./profile.ts";
import { learned, type Repairs, repairsOf } from "./repairs.ts";

export interface Translation {
  body: ChatBody;
  profile: GoogleProfile;
  gates: Gates;
  repairs: Repairs;
  names: FunctionNames;
  report: Report;
  recall(key: string): JsonObject | undefined;
  download(url: string): Download | undefined;
}

export function translationOf({ request, target, ...call }: Call, profile: GoogleProfile): Translation {
  const repairs = repairsOf(call.repairs);
  return {
    body: request.body,
    profile,
    gates: learned(gatesOf(target.model, target.entry, profile), repairs),
    repairs,
    names: functionNames(request.body),
    report: new Report(request.strict),
    recall: (key) => call.recall?.(key),
    download: (url) => call.downloads?.get(url),
  };
}
