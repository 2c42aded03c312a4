// Hides how large an image or a file in a request is: read from the first bytes of its data URL, nothing is decoded.

export interface ImageSize {
  /** Both undefined when the size cannot be told: an address, a file id, an unknown or damaged format. */
  widthPx: number | undefined;
  heightPx: number | undefined;
  /** What the caller asked for (`low`, `high`, `auto`, …). */
  detail: string | undefined;
}

/** Larger ones are taken for damaged: no provider reads them, and a forged header must not weigh a million tokens. */
export const IMAGE_EDGE_PX_MAX = 16_384;
/** Segments of a JPEG before the one with its size: EXIF, colour profile and comments take a dozen. */
const JPEG_SEGMENTS_MAX = 64;
/** `data:image/png;charset=…;base64,` is far shorter. */
const DATA_URL_HEAD_CHARS_MAX = 256;

/** Total: anything that is no image of a known format has no size. */
export function imageSizeOf(url: string, detail?: string): ImageSize {
  const base64At = base64Start(url);
  const [widthPx, heightPx] = base64At === undefined ? [] : (sizeIn({ url, base64At }) ?? []);
  const isKnown = isEdge(widthPx) && isEdge(heightPx);
  return { widthPx: isKnown ? widthPx : undefined, heightPx: isKnown ? heightPx : undefined, detail };
}

/** Bytes of the file in a data URL or in bare base64; undefined for an address. */
export function fileBytesOf(text: string): number | undefined {
  if (/^https?:/i.test(text)) return undefined;
  const start = /^data:/i.test(text) ? headLength(text) : 0;
  return start === undefined ? undefined : Math.floor(((text.length - start) * 3) / 4);
}

function isEdge(px: number | undefined): px is number {
  return px !== undefined && px > 0 && px <= IMAGE_EDGE_PX_MAX;
}

function headLength(url: string): number | undefined {
  const comma = url.slice(0, DATA_URL_HEAD_CHARS_MAX).indexOf(",");
  return comma === -1 ? undefined : comma + 1;
}

function base64Start(url: string): number | undefined {
  const length = headLength(url);
  return length !== undefined && /^data:[^,]*;base64,$/i.test(url.slice(0, length)) ? length : undefined;
}

/** Bytes by their place, each from the two or three characters that hold it. Behind the end there are zeros. */
interface Encoded {
  url: string;
  base64At: number;
}

function byteAt({ url, base64At }: Encoded, at: number): number {
  const first = base64At + Math.floor(at / 3) * 4 + (at % 3);
  const bits = (sextet(url.charCodeAt(first)) << 6) | sextet(url.charCodeAt(first + 1));
  return (bits >> (4 - 2 * (at % 3))) & 0xff;
}

/** Value of a base64 or base64url digit; 0 for anything else. */
function sextet(code: number): number {
  if (code >= 65 && code <= 90) return code - 65;
  if (code >= 97 && code <= 122) return code - 71;
  if (code >= 48 && code <= 57) return code + 4;
  if (code === 43 || code === 45) return 62;
  return code === 47 || code === 95 ? 63 : 0;
}

function bigEndian(bytes: Encoded, at: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index += 1) value = value * 256 + byteAt(bytes, at + index);
  return value;
}

function littleEndian(bytes: Encoded, at: number, count: number): number {
  let value = 0;
  for (let index = count - 1; index >= 0; index -= 1) value = value * 256 + byteAt(bytes, at + index);
  return value;
}

function hasText(bytes: Encoded, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index += 1)
    if (byteAt(bytes, at + index) !== text.charCodeAt(index)) return false;
  return true;
}

type Size = [widthPx: number, heightPx: number];

/** By the bytes, not by the label: wrong labels are common (`image/png` on a JPEG). */
function sizeIn(bytes: Encoded): Size | undefined {
  if (hasText(bytes, 0, "\x89PNG\r\n\x1a\n")) return [bigEndian(bytes, 16, 4), bigEndian(bytes, 20, 4)];
  if (hasText(bytes, 0, "\xff\xd8\xff")) return jpegSize(bytes);
  if (hasText(bytes, 0, "GIF8")) return [littleEndian(bytes, 6, 2), littleEndian(bytes, 8, 2)];
  if (hasText(bytes, 0, "RIFF") && hasText(bytes, 8, "WEBP")) return webpSize(bytes);
  return undefined;
}

/** Walks from segment to segment (two bytes of marker, two of length) to the start of frame, which holds the size. */
function jpegSize(bytes: Encoded): Size | undefined {
  let at = 2;
  for (let segment = 0; segment < JPEG_SEGMENTS_MAX; segment += 1) {
    if (byteAt(bytes, at) !== 0xff) return undefined;
    const marker = byteAt(bytes, at + 1);
    // C4, C8 and CC are tables in the middle of the frame markers.
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return [bigEndian(bytes, at + 7, 2), bigEndian(bytes, at + 5, 2)];
    // A marker may be padded with any number of FF.
    at += marker === 0xff ? 1 : 2 + bigEndian(bytes, at + 2, 2);
  }
  return undefined;
}

function webpSize(bytes: Encoded): Size | undefined {
  if (hasText(bytes, 12, "VP8 ") && hasText(bytes, 23, "\x9d\x01\x2a"))
    return [littleEndian(bytes, 26, 2) & 0x3fff, littleEndian(bytes, 28, 2) & 0x3fff];
  if (hasText(bytes, 12, "VP8X")) return [littleEndian(bytes, 24, 3) + 1, littleEndian(bytes, 27, 3) + 1];
  if (hasText(bytes, 12, "VP8L") && byteAt(bytes, 20) === 0x2f) {
    const bits = littleEndian(bytes, 21, 4);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  }
  return undefined;
}
