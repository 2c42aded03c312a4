// The files of a request that a provider does not fetch itself.
import type { ProviderError } from "../chat.ts";
import type { Call, Download } from "../dialect.ts";

/** Fetches a file for a provider that does not fetch itself. */
export type FetchFile = (url: string, signal: AbortSignal) => Promise<Download | { error: ProviderError }>;

const ATTACHMENTS_MAX = 20;

/** Puts the files this provider does not fetch itself into the call; the reason when one cannot be had. */
export async function fetchAttachments(
  download: FetchFile,
  call: Call,
  signal: AbortSignal,
): Promise<ProviderError | undefined> {
  const urls = [...new Set(call.target.provider.dialect.attachments?.(call) ?? [])];
  if (urls.length === 0) return undefined;
  if (urls.length > ATTACHMENTS_MAX) {
    const message = `At most ${ATTACHMENTS_MAX} files are fetched for one request; found ${urls.length}.`;
    return { kind: "invalid_request", message, code: "too_many_files" };
  }
  const fetched = await Promise.all(urls.map(async (url) => [url, await download(url, signal)] as const));
  const downloads = new Map<string, Download>();
  for (const [url, result] of fetched) {
    if ("error" in result) return result.error;
    downloads.set(url, result);
  }
  call.downloads = downloads;
  return undefined;
}
