// Images for providers that do not fetch them: their addresses, and the contents in their place.
import type { ContentPart } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/** The address of an image that is not inline; addresses of the provider's own (`ms://…`) are none. */
export function imageUrl(part: ContentPart): string | undefined {
  const url = part.type === "image_url" ? part.image_url?.url : undefined;
  return typeof url === "string" && /^https?:\/\//i.test(url) ? url : undefined;
}

/** The part with what was downloaded for it, or as it is. */
export function inlined(part: ContentPart, { downloads }: Call, { images }: OpenAiChatProfile): ContentPart {
  if (images === "url") return part;
  const download = downloads?.get(imageUrl(part) ?? "");
  if (download === undefined || part.image_url === undefined) return part;
  const url = `data:${download.mediaType};base64,${download.base64}`;
  return { ...part, image_url: { ...part.image_url, url } };
}
