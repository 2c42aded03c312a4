// The two ways a key travels: as a bearer token, or bare in a header of the vendor's own.

/** `Authorization: Bearer <key>`. */
export function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** The bare key in header `name` (lower case). */
export function keyHeader(name: string): (key: string) => Record<string, string> {
  return (key) => ({ [name]: key });
}
