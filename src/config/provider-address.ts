// The address a provider is called at: the operator's, the environment's or the built-in one, filled in and checked.
import type { Provider } from "../dialect.ts";
import { type Environment, interpolate } from "./environment.ts";

export function firstSet(env: Environment, names: string[]): string | undefined {
  // Keys pasted into files end in a newline surprisingly often, and a header must not.
  return names.map((name) => env[name]?.trim()).find((value) => value !== undefined && value !== "");
}

/**
 * The address to call. `OLLAMA_HOST=host:port` lacks a scheme: http is added, and without a port that of the built-in
 * address. An address without a path gets the path of the built-in one (`http://gpu-1:8000` means
 * `http://gpu-1:8000/v1`). A trailing slash is cut.
 */
export function addressOf(
  provider: Provider,
  ownUrl: string | undefined,
  env: Environment,
): { url: string } | { lack: string } {
  const filled = interpolate(ownUrl ?? provider.baseUrl, env);
  if (filled === undefined) return { lack: `set ${provider.baseUrlEnv.join(" or ")} to its address` };
  if ("missing" in filled) return { lack: `set ${[filled.missing, ...provider.baseUrlEnv].join(" or ")}` };
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(filled.value);
  const url = URL.parse(hasScheme ? filled.value : `http://${filled.value}`);
  const own = URL.parse(provider.baseUrl?.replaceAll(/[${}]/g, "") ?? "");
  if (url !== null && !hasScheme && url.port === "") url.port = own?.port ?? "";
  const problem = problemOf(url);
  if (problem !== undefined || url === null) return { lack: `its address ${problem}` };
  if (url.pathname === "/") url.pathname = own?.pathname ?? "/";
  return { url: url.href.replace(/\/+$/, "") };
}

/** Credentials from a file have an address of their own, unless the operator gave one. */
export function addressWithFile(
  provider: Provider,
  ownUrl: string | undefined,
  env: Environment,
): { url: string } | { lack: string } {
  if (ownUrl !== undefined || provider.credentials === undefined) return addressOf(provider, ownUrl, env);
  return provider.credentials.baseUrl((name) => firstSet(env, [name]));
}

/** The address is not quoted: it may hold a password. */
function problemOf(url: URL | null): string | undefined {
  if (url === null) return "is not a URL";
  if (!/^https?:$/.test(url.protocol)) return `must start with http:// or https://; found ${url.protocol}//`;
  if (url.username !== "" || url.password !== "") return "must not hold credentials; use api_key";
  // Paths are added behind it.
  return url.search !== "" || url.hash !== "" ? 'must not have a query or a fragment ("?" or "#")' : undefined;
}
