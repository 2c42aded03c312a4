// Fetches the files callers point at, for providers that do not fetch themselves. Only public addresses are reached:
// a URL in a prompt must not be a way into the operator's network.
import { type LookupAddress, lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { Agent } from "undici";
import type { ProviderError } from "./chat.ts";
import type { Download } from "./dialect.ts";

const MAX_BYTES = 20 * 1024 ** 2;
const TIMEOUT_MS = 10_000;
const REDIRECTS_MAX = 3;

export type Downloader = (url: string, signal: AbortSignal) => Promise<Download | { error: ProviderError }>;

/** Callers choose the hosts, and a host would say how long a connection is kept for the next file (undici grants ten minutes):
 *  none is, so that there are as many sockets, and pools of them, as files under way. */
const ONE_FILE_EACH = { connections: 16, pipelining: 0, allowH2: false };

/** A downloader with its own pool. `isAllowed` is for tests: which addresses may be reached. */
export function createDownloader(isAllowed: (address: string) => boolean = isPublic): Downloader {
  const agent = new Agent({ connect: { timeout: TIMEOUT_MS, lookup: guardedLookup(isAllowed) }, ...ONE_FILE_EACH });
  return (url, signal) => follow(agent, url, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]), isAllowed);
}

async function follow(
  agent: Agent,
  start: string,
  signal: AbortSignal,
  isAllowed: (address: string) => boolean,
): Promise<Download | { error: ProviderError }> {
  let url = URL.parse(start);
  for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
    const problem = problemOf(url, isAllowed);
    if (problem !== undefined || url === null) return refused(`The file at ${shown(start)} ${problem}.`);
    const response = await agent
      .request({ origin: url.origin, path: url.pathname + url.search, method: "GET", signal })
      .catch(() => undefined);
    if (response === undefined) return refused(`The file at ${shown(start)} could not be fetched.`);
    const location = response.headers.location;
    if (response.statusCode >= 300 && response.statusCode < 400 && typeof location === "string") {
      await response.body.dump();
      url = URL.parse(location, url.href);
      continue;
    }
    if (response.statusCode !== 200) {
      await response.body.dump();
      return refused(`The file at ${shown(start)} was answered with status ${response.statusCode}.`);
    }
    const mediaType = String(response.headers["content-type"] ?? "application/octet-stream");
    return read(response.body, mediaType.split(";")[0]?.trim().toLowerCase() ?? "", start);
  }
  return refused(`The file at ${shown(start)} is redirected more than ${REDIRECTS_MAX} times.`);
}

async function read(
  body: AsyncIterable<Uint8Array>,
  mediaType: string,
  start: string,
): Promise<Download | { error: ProviderError }> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of body) {
      bytes += part.length;
      if (bytes > MAX_BYTES) return refused(`The file at ${shown(start)} is larger than ${MAX_BYTES} bytes.`);
      parts.push(part);
    }
  } catch {
    return refused(`The file at ${shown(start)} could not be read to its end.`);
  }
  return { mediaType, base64: Buffer.concat(parts).toString("base64") };
}

function problemOf(url: URL | null, isAllowed: (address: string) => boolean): string | undefined {
  if (url === null) return "is not a URL";
  if (!/^https?:$/.test(url.protocol)) return "is not an http(s) URL";
  if (url.username !== "" || url.password !== "") return "must not hold credentials";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return isIP(host) !== 0 && !isAllowed(host) ? "is not at a public address" : undefined;
}

/** Checked when the connection is made, so that a name cannot point elsewhere between a check and its use. */
function guardedLookup(isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) return callback(error, []);
      const allowed = addresses.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (first === undefined) return callback(new Error("not a public address"), []);
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

/** Without query and credentials: they may hold secrets. */
function shown(url: string): string {
  return (url.split(/[?#]/)[0] ?? "").replace(/\/\/[^/@]*@/, "//").slice(0, 200);
}

function refused(message: string): { error: ProviderError } {
  return { error: { kind: "invalid_request", message, code: "invalid_image_url" } };
}

// IANA's special-purpose registries: what is not the public internet.
const PRIVATE_V4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const;
/** Only 2000::/3 is handed out for the public internet; these parts of it are not. */
const PRIVATE_V6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const;

const privateAddresses = blockList(PRIVATE_V4, PRIVATE_V6);
const publicV6 = blockList([], [["2000::", 3]]);

type Subnets = readonly (readonly [net: string, prefix: number])[];

function blockList(v4: Subnets, v6: Subnets): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of v4) list.addSubnet(net, prefix, "ipv4");
  for (const [net, prefix] of v6) list.addSubnet(net, prefix, "ipv6");
  return list;
}

export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !privateAddresses.check(address, "ipv4");
  return family === 6 && publicV6.check(address, "ipv6") && !privateAddresses.check(address, "ipv6");
}
