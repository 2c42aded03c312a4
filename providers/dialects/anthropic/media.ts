// Images and documents inside a message: data URLs, and what their bytes really are.

export interface Media {
  /** Lower case, without parameters; empty when the source names none. */
  mediaType: string;
  /** Standard padded base64. */
  base64: string;
}

/**
 * `data:[<mime>][;param=value]*[;base64],<data>`; `undefined` when the text is no data URL or cannot be decoded.
 * Only the head is searched for parameters: the data may be ten megabytes.
 */
export function parseDataUrl(url: string): Media | undefined {
  const comma = url.indexOf(",");
  if (!/^data:/i.test(url) || comma === -1) return undefined;
  const [mime = "", ...parameters] = url.slice(5, comma).split(";");
  const data = url.slice(comma + 1);
  const mediaType = mime.trim().toLowerCase();
  if (parameters.some((parameter) => parameter.trim().toLowerCase() === "base64")) {
    return { mediaType, base64: standardBase64(data) };
  }
  const text = percentDecoded(data);
  return text === undefined ? undefined : { mediaType, base64: Buffer.from(text, "utf8").toString("base64") };
}

/** base64url and line breaks are common in the wild; Anthropic takes the standard alphabet with padding only. */
export function standardBase64(data: string): string {
  const standard = /[\s_-]/.test(data) ? data.replace(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/") : data;
  const missing = (4 - (standard.length % 4)) % 4;
  return missing === 0 ? standard : standard.padEnd(standard.length + missing, "=");
}

function percentDecoded(data: string): string | undefined {
  try {
    return decodeURIComponent(data);
  } catch {
    return undefined;
  }
}

const IMAGE_TYPES = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const;
type ImageType = (typeof IMAGE_TYPES)[number];

/**
 * The type the bytes show, else the type the label claims; `undefined` when Anthropic does not take it. The bytes win:
 * a wrong label is a 400 ("Image does not match the provided media type image/png", anthropics/claude-code#13131).
 */
export function imageType({ mediaType, base64 }: Media): ImageType | undefined {
  const head = Buffer.from(base64.slice(0, 24), "base64").toString("latin1");
  if (head.startsWith("\x89PNG")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (head.startsWith("GIF8")) return "image/gif";
  if (head.startsWith("RIFF") && head.startsWith("WEBP", 8)) return "image/webp";
  const label = mediaType === "image/jpg" ? "image/jpeg" : mediaType;
  return IMAGE_TYPES.find((type) => type === label);
}

/** Recognises a PDF by its first bytes (`%PDF-`), as bare base64 comes without a label. */
export function isPdf({ mediaType, base64 }: Media): boolean {
  return mediaType === "application/pdf" || base64.startsWith("JVBERi0");
}

export function isTextual({ mediaType }: Media): boolean {
  return /^text\/|^application\/(?:.*\+)?(?:json|csv|markdown|xml|yaml)$/.test(mediaType);
}
