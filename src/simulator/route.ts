// Which provider and which operation a path means.
import { anthropic } from "./anthropic.ts";
import { bedrock } from "./bedrock.ts";
import { cohere } from "./cohere.ts";
import type { Call, Face } from "./face.ts";
import { flavourFace } from "./flavours/face.ts";
import { flavours } from "./flavours.ts";
import { google } from "./google.ts";
import { openai } from "./openai.ts";

export interface Route {
  face: Face;
  /** The compatible provider that OpenAI's protocol is played as. */
  flavour: string | undefined;
  kind: "chat" | "models" | "unknown";
  /** From the path, directives included; undefined when the body names the model. */
  model: string | undefined;
  /** From the path; undefined when the body says. */
  stream: boolean | undefined;
  arrayStream: boolean;
  /** Why a path is unknown. */
  message: string;
}

/** By first segment of the path. Vertex is Gemini at another address. */
const prefixes = new Map<string, Face>([
  ["openai", openai],
  ["anthropic", anthropic],
  ["google", google],
  ["vertex", google],
  ["bedrock-converse", bedrock],
  ...[...flavours].map(([id, flavour]): [string, Face] => [id, flavourFace(flavour)]),
]);

export function route(method: string, url: string, header: Call["header"]): Route {
  const [path = "/", query = ""] = url.split("?", 2);
  const first = /^\/([\w-]+)(?=\/)/.exec(path)?.[1] ?? "";
  // Below the same prefix as its OpenAI endpoint, which is a flavour.
  const isNative = path.startsWith("/cohere/v2/");
  const named = isNative ? cohere : prefixes.get(first);
  const bare = named === undefined ? path : path.slice(first.length + 1);
  const face = named ?? guess(bare, header);
  const flavour = !isNative && flavours.has(first) ? first : undefined;
  const plain = { face, flavour, model: undefined, stream: undefined, arrayStream: false, message: "" };
  if (method === "GET" && (face === google ? /^\/v1(beta|alpha)?\/models$/ : /^\/v1\/models$/).test(bare))
    return { ...plain, kind: "models" };
  if (method === "POST" && face.id === "openai" && bare === "/v1/chat/completions") return { ...plain, kind: "chat" };
  if (method === "POST" && face === anthropic && bare === "/v1/messages") return { ...plain, kind: "chat" };
  if (method === "POST" && face === cohere && bare === "/v2/chat") return { ...plain, kind: "chat" };
  const generate = /^\/v1(?:beta|alpha)?\/(.+):(generateContent|streamGenerateContent)$/.exec(bare);
  if (method === "POST" && face === google && generate !== null) {
    const stream = generate[2] === "streamGenerateContent";
    const arrayStream = stream && new URLSearchParams(query).get("alt") !== "sse";
    return { ...plain, kind: "chat", model: modelName(generate[1] ?? ""), stream, arrayStream };
  }
  const converse = /^\/model\/([^/]+)\/converse(-stream)?$/.exec(bare);
  if (method === "POST" && face === bedrock && converse !== null) {
    const stream = converse[2] !== undefined;
    return { ...plain, kind: "chat", model: modelName(converse[1] ?? ""), stream };
  }
  return {
    ...plain,
    kind: "unknown",
    message: `Unknown request URL: ${method} ${path}. Please check the URL for typos.`,
  };
}

/** Bare paths tell the provider, except `/v1/models`, which all of them have. */
function guess(path: string, header: Call["header"]): Face {
  if (path.startsWith("/v1beta/") || header("x-goog-api-key") !== undefined) return google;
  const speaksAnthropic = path.startsWith("/v1/messages") || header("anthropic-version") !== undefined;
  return speaksAnthropic ? anthropic : openai;
}

/** `models/gemini-3-flash%2Bttft=200ms` → `gemini-3-flash+ttft=200ms`. Clients that do not encode the segment leave `+` as
 *  it is; then percent signs belong to the `text` directive and are decoded there. */
function modelName(path: string): string {
  const name = path.replace(/^(publishers\/google\/)?models\//, "");
  if (name.includes("+")) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
