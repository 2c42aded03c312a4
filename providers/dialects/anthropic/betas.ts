// Beta features of the API that a request may turn on, and those that what we write needs.
import type { ChatBody } from "../../../src/chat.ts";
import type { Report } from "../report.ts";
import type { MessagesBody } from "./wire.ts";

/**
 * What callers may name in the extension `betas` (an array of names, in the order of the header). Others are dropped
 * with a report: they turn on fields this dialect does not write, tools that act elsewhere, or another price.
 */
const ALLOWED: Record<string, string> = {
  "interleaved-thinking-2025-05-14": "thinking between tool calls on models with thinking budgets",
  "thinking-token-count-2026-05-13": "running counts of thinking tokens in streams, which the decoder skips",
  "thinking-binding-controls-2026-08-01": "what happens to thinking sent back behind a changed prefix",
  "extended-cache-ttl-2025-04-11": "cache markers of one hour; part of the API by now, still sent by clients",
  "prompt-caching-2024-07-31": "cache markers; part of the API by now, still sent by clients",
  "structured-outputs-2025-11-13": "schemas for answers and strict tools; part of the API by now",
  "token-efficient-tools-2025-02-19": "shorter tool calls on Claude 3.7",
  "output-128k-2025-02-19": "128,000 output tokens on Claude 3.7",
  "files-api-2025-04-14": "documents by the id of an uploaded file",
  "pdfs-2024-09-25": "PDF documents; part of the API by now, still sent by clients",
  "model-context-window-exceeded-2025-08-26": "a stop reason of its own for a full window on older models",
};

const FAST_MODE = "fast-mode-2026-02-01";
const THINKING_BINDING = "thinking-binding-controls-2026-08-01";

/** The `anthropic-beta` header, or nothing. */
export function betaHeader(request: ChatBody, body: MessagesBody, report: Report): Record<string, string> {
  const asked: unknown[] = Array.isArray(request.betas) ? request.betas : [];
  if (request.betas != null && !Array.isArray(request.betas)) report.note("dropped", "betas");
  const allowed = asked.filter((name, i): name is string => {
    if (typeof name === "string" && Object.hasOwn(ALLOWED, name)) return true;
    report.note("dropped", `betas[${i}]`);
    return false;
  });
  const bindsThinking = body.thinking !== undefined && "block_binding" in body.thinking;
  const needed = [body.speed === "fast" ? FAST_MODE : "", bindsThinking ? THINKING_BINDING : ""];
  const names = [...new Set([...allowed, ...needed])].filter((name) => name !== "");
  return names.length === 0 ? {} : { "anthropic-beta": names.join(",") };
}
