// Files by address: which ones the model fetches, which ones the router must, and what becomes of them.
import { describe, expect, test } from "vitest";
import { google } from "../../providers/google.ts";
import { vertex } from "../../providers/vertex.ts";
import type { ChatBody, ContentPart, ProviderError } from "../../src/chat.ts";
import type { Download, Provider } from "../../src/dialect.ts";
import { callOf, encodeBody, wireBody } from "./google-harness.ts";

function asking(model: string, ...content: ContentPart[]): ChatBody {
  return { model, messages: [{ role: "user", content }] };
}

const image = (url: string): ContentPart => ({ type: "image_url", image_url: { url } });
const wanted = (body: ChatBody, provider: Provider = google) =>
  provider.dialect.attachments?.(callOf(body, { provider }));

const PNG = "iVBORw0KGgoAAAANSUhEUgAA";
const downloads = (url: string, mediaType: string, base64 = PNG) =>
  new Map<string, Download>([[url, { mediaType, base64 }]]);

describe("what the router is asked to fetch", () => {
  const ext = "https://x.org/a.png";
  const bare = "https://x.org/image?id=1";
  const plain = "http://x.org/a.png";
  const table: [what: string, provider: Provider, model: string, url: string, isAsked: boolean][] = [
    ["a known type on a model that fetches", google, "gemini-2.5-flash", ext, false],
    ["a known type on a model that does not", google, "gemini-2.0-flash", ext, true],
    ["an address that hides its type", google, "gemini-2.5-flash", bare, true],
    ["an address without TLS", google, "gemini-2.5-flash", plain, true],
    ["an address without TLS on Vertex", vertex, "gemini-2.0-flash", plain, false],
    ["an address that hides its type on Vertex", vertex, "gemini-2.5-flash", bare, true],
    ["cloud storage on Vertex", vertex, "gemini-2.5-flash", "gs://b/a.png", false],
    ["a data URL", google, "gemini-2.0-flash", `data:image/png;base64,${PNG}`, false],
    ["a film on YouTube", google, "gemini-2.0-flash", "https://youtu.be/x", false],
    [
      "a file uploaded to Google",
      google,
      "gemini-2.0-flash",
      "https://generativelanguage.googleapis.com/v1beta/files/x",
      false,
    ],
  ];
  test.each(table)("%s", (_, provider, model, url, isAsked) => {
    expect(wanted(asking(model, image(url)), provider)).toEqual(isAsked ? [url] : []);
  });

  test("files, films, results of tools and pictures of earlier answers are looked at as well", () => {
    const url = (name: string) => `https://x.org/${name}`;
    const body: ChatBody = {
      model: "gemini-3.8-flash",
      messages: [
        {
          role: "user",
          content: [
            { type: "file", file: { file_id: url("file") } },
            { type: "video_url", video_url: { url: url("film") } },
          ],
        },
        {
          role: "assistant",
          content: "x",
          images: [image(url("picture"))],
          tool_calls: [{ id: "c", function: { name: "f" } }],
        },
        { role: "tool", tool_call_id: "c", content: [image(url("result"))] },
      ],
    };
    expect(wanted(body)).toEqual(["file", "film", "picture", "result"].map(url));
  });
});

describe("what was fetched", () => {
  const url = "https://x.org/a";
  const partOf = (mediaType: string, base64?: string, at = url) => {
    const body = asking("gemini-2.0-flash", image(at));
    const { contents } = wireBody(body, { downloads: downloads(at, mediaType, base64) }) as {
      contents: { parts: unknown[] }[];
    };
    return contents[0]?.parts[0];
  };

  test("is inlined with the type its server told, else its first bytes, else its name", () => {
    expect(partOf("image/webp")).toEqual({ inlineData: { mimeType: "image/webp", data: PNG } });
    expect(partOf("application/octet-stream")).toEqual({ inlineData: { mimeType: "image/png", data: PNG } });
    expect(partOf("", "AAAA", `${url}.gif`)).toEqual({ inlineData: { mimeType: "image/gif", data: "AAAA" } });
  });

  test("is refused when nothing tells its type", () => {
    const encoded = encodeBody(asking("gemini-2.0-flash", image(url)), { downloads: downloads(url, "", "AAAA") });
    const error: Partial<ProviderError> = { code: "invalid_image_url", param: "messages[0].content[0].image_url.url" };
    expect(encoded).toMatchObject({ kind: "refusal", error });
  });
});

test("Google Cloud takes its own addresses, and none of the Gemini API's files", () => {
  const refusal = (part: ContentPart, provider: Provider) => {
    const encoded = encodeBody(asking("gemini-2.5-flash", part), { provider });
    return encoded.kind === "refusal" ? encoded.error.kind : JSON.parse(encoded.wire.body).contents[0].parts[0];
  };
  const stored = { fileData: { mimeType: "image/png", fileUri: "gs://b/a.png" } };
  expect(refusal(image("gs://b/a.png"), vertex)).toEqual(stored);
  expect(refusal({ type: "file", file: { file_id: "gs://b/a.png" } }, vertex)).toEqual(stored);
  expect(refusal(image("gs://b/a"), vertex)).toBe("unsupported");
  expect(refusal(image("gs://b/a.png"), google)).toBe("invalid_request");
  expect(refusal({ type: "file", file: { file_id: "files/x" } }, vertex)).toBe("unsupported");
});
