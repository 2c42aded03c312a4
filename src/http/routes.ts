// What a route is: where it answers, and who may call it.
import type { Role } from "./auth.ts";
import type { AppContext } from "./context.ts";

export interface Route {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Hono's form: `:id` for one segment, `:id{.+}` for all that follows. */
  path: string;
  role: Role;
  handle(context: AppContext): Response | Promise<Response>;
}

/** Whether a path is one of the route's, whatever the method. */
export function isAt({ path }: Route, asked: string): boolean {
  const pattern = path.replaceAll(".", "\\.").replaceAll(/:\w+(\{[^}]*\})?/g, (_, rest) => (rest ? ".+" : "[^/]+"));
  return new RegExp(`^${pattern}$`).test(asked);
}
