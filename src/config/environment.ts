// What files may take from the environment, and which addresses are this machine.

export type Environment = Record<string, string | undefined>;

/** `${NAME}` and `${NAME:-default}` filled from the environment. */
export function interpolate(
  text: string | undefined,
  env: Environment,
): { value: string } | { missing: string } | undefined {
  if (text === undefined) return undefined;
  let missing: string | undefined;
  const value = text.replaceAll(
    /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
    (_, name: string, fallback?: string) => {
      const filled = env[name] || fallback;
      if (filled === undefined) missing = name;
      return filled ?? "";
    },
  );
  return missing === undefined ? { value } : { missing };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
