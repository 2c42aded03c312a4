// Pictures and speech as output: `modalities` and `audio` as members of `generationConfig`.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { Translation } from "./context.ts";

const MODALITIES = ["text", "image", "audio"];

/** Nothing for an answer in words only. */
export function outputMedia(context: Translation): JsonObject {
  const { body, gates, report } = context;
  const wanted = modalitiesOf(body.modalities, context);
  if (wanted.includes("image") && !gates.imageOutput)
    report.refuse("unsupported_value", "modalities", "This model does not draw: only text output is supported.");
  const speaks = wanted.includes("audio") || body.audio != null;
  if (speaks && !gates.audioOutput) {
    const param = wanted.includes("audio") ? "modalities" : "audio";
    report.refuse("unsupported_value", param, "This model does not speak: only text output is supported.");
  }
  // Models that speak do nothing else.
  if (speaks) return { responseModalities: ["AUDIO"], ...speechConfig(context) };
  const isTextOnly = wanted.every((modality) => modality === "text");
  return isTextOnly ? {} : { responseModalities: wanted.map((modality) => modality.toUpperCase()) };
}

function modalitiesOf(list: unknown, { report }: Translation): string[] {
  if (list == null) return [];
  const names: string[] = Array.isArray(list) ? list.map((name) => firstText(name).toLowerCase()) : [""];
  const unknown = names.find((name) => !MODALITIES.includes(name));
  if (unknown === undefined) return names;
  const message = `Invalid value for 'modalities': expected a list of ${MODALITIES.join(", ")}.`;
  report.refuse("invalid_value", "modalities", message);
  return [];
}

/** Samples come as they are (`audio/L16`); there is no choice of a format. */
function speechConfig({ body, report }: Translation): JsonObject {
  const audio = isObject(body.audio) ? body.audio : {};
  const voiceName = firstText(audio.voice, isObject(audio.voice) ? audio.voice.id : "");
  if (audio.format != null && audio.format !== "pcm16") report.note("dropped", "audio.format");
  return voiceName === "" ? {} : { speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName } } } };
}
