// Which provider and which operation a path means.
import { anthropic } from "./anthropic.ts";
import type { Call, Face } from "./face.ts";
import { google } from "./google.ts";
import { openai } from "./openai.ts";

export interface Route {
  face: Face;
  kind: "chat" | "models" | "unknown";
  /** From the path, directives included; undefined when the body names the model. */
  model: string | undefined;
  /** From the path; undefined when the body says. */
  stream: boolean | undefined;
  arrayStream: boolean;
  /** Why a path is unknown. */
  message: string;
}

const prefixes: Record<string, Face> = { openai, anthropic, google };

export function route(method: string, url: string, header: Call["header"]): Route {
  const [path = "/", query = ""] = url.split("?", 2);
  const prefix = /^\/(openai|anthropic|google)(?=\/)/.exec(path)?.[1];
  const bare = prefix === undefined ? path : path.slice(prefix.length + 1);
  const face = (prefix === undefined ? undefined : prefixes[prefix]) ?? guess(bare, header);
  const plain = { face, model: undefined, stream: undefined, arrayStream: false, message: "" };
  if (method === "GET" && (face === google ? /^\/v1(beta|alpha)?\/models$/ : /^\/v1\/models$/).test(bare))
    return { ...plain, kind: "models" };
  if (method === "POST" && face === openai && bare === "/v1/chat/completions") return { ...plain, kind: "chat" };
  if (method === "POST" && face === anthropic && bare === "/v1/messages") return { ...plain, kind: "chat" };
  const generate = /^\/v1(?:beta|alpha)?\/(.+):(generateContent|streamGenerateContent)$/.exec(bare);
  if (method === "POST" && face === google && generate !== null) {
    const stream = generate[2] === "streamGenerateContent";
    const arrayStream = stream && new URLSearchParams(query).get("alt") !== "sse";
    return { ...plain, kind: "chat", model: modelName(generate[1] ?? ""), stream, arrayStream };
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
  const name = path.startsWith("models/") ? path.slice("models/".length) : path;
  if (name.includes("+")) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
