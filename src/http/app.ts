// The HTTP surface: which routes exist, who may call them, and what is said about all others.
import { Hono } from "hono";
import type { BudgetSpec } from "../budget-spec.ts";
import type { Caller } from "../routing/plan.ts";
import type { Snapshot } from "../routing/snapshot.ts";
import { type AdminOperation, adminRoutes } from "./admin.ts";
import { reportOperations } from "./admin-reports.ts";
import { type Doors, type Guard, guardsOf, type Role } from "./auth.ts";
import { type ChatRouteOptions, chatRoute, explainRoute } from "./chat.ts";
import { type AppContext, callerError, type Env, errorResponse } from "./context.ts";
import { generationRoute } from "./generation.ts";
import { keyInfo, type Spent } from "./key-info.ts";
import { listModels, modelRoute } from "./models.ts";
import type { Reports } from "./reports.ts";
import { isAt, type Route } from "./routes.ts";

export interface AppOptions extends ChatRouteOptions {
  snapshot(): Snapshot;
  doors: Doors;
  adminOperations: readonly AdminOperation[];
  /** What a caller has spent, as far as somebody keeps count. */
  spentOf?: (caller: Caller) => Spent | undefined;
  /** Its own budgets, and those it has by configuration. */
  budgetsOf?: (caller: Caller) => readonly BudgetSpec[];
  /** Of this program. */
  version: string;
  nowMs(): number;
  newRequestId(nowMs: number): string;
  health(): Health;
  reports: Reports;
  log(message: string): void;
}

export interface Health {
  /** The process serves. */
  live: boolean;
  /** It should be sent requests: not draining, and the ledger takes rows. */
  ready: boolean;
  details: Record<string, unknown>;
}

const CHAT = "/v1/chat/completions";
const EXPLAIN = "/v1/route/explain";

/** Everything the router answers to. A path that is not here is refused, under /v1 and /admin only after the key is. */
export function routesOf(options: AppOptions): Route[] {
  const { snapshot, spentOf, budgetsOf } = options;
  return [
    { method: "GET", path: "/health", role: "anyone", handle: (context) => healthRoute(context, options.health()) },
    {
      method: "GET",
      path: "/health/live",
      role: "anyone",
      handle: (context) => context.json({ live: options.health().live }),
    },
    {
      method: "GET",
      path: "/health/ready",
      role: "anyone",
      handle: (context) => healthRoute(context, options.health()),
    },
    { method: "POST", path: CHAT, role: "caller", handle: (context) => chatRoute(context, options) },
    { method: "POST", path: EXPLAIN, role: "caller", handle: (context) => explainRoute(context, options) },
    {
      method: "GET",
      path: "/v1/models",
      role: "caller",
      handle: (context) => context.json(listModels(snapshot(), options.nowMs(), context.get("caller").models)),
    },
    {
      method: "GET",
      path: "/v1/models/:id{.+}",
      role: "caller",
      handle: (context) => modelRoute(context, snapshot(), options.nowMs()),
    },
    {
      method: "GET",
      path: "/v1/key",
      role: "caller",
      handle: (context) => {
        const caller = context.get("caller");
        return context.json(keyInfo(caller, spentOf?.(caller), budgetsOf?.(caller)));
      },
    },
    {
      method: "GET",
      path: "/v1/generation",
      role: "caller",
      handle: (context) => generationRoute(context, options.reports),
    },
    ...adminRoutes([...options.adminOperations, ...reportOperations(options)], options.version),
  ];
}

export function createApp(options: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  const routes = routesOf(options);
  const guards = guardsOf(options.doors);
  // One handler for each route: with one, Hono calls it without a chain of promises.
  const guarded = (guard: Guard, handle: Route["handle"]) => (context: AppContext) => {
    const receivedAtMs = options.nowMs();
    const id = options.newRequestId(receivedAtMs);
    context.set("receivedAtMs", receivedAtMs);
    context.set("requestId", id);
    context.header("x-request-id", id);
    return guard(context) ?? handle(context);
  };
  for (const { method, path, role, handle } of routes) app.on(method, path, guarded(guards[role], handle));
  const areaGuard = (context: AppContext) => guards[areaOf(context.req.path)](context);
  app.notFound(guarded(areaGuard, (context) => notFound(context, routes)));
  app.onError((error, context) => {
    const id = context.var.requestId;
    options.log(`request ${id} failed inside the router: ${error.stack ?? error.message}`);
    const message = `The router failed on this request. It is in the router's log as ${id}.`;
    return errorResponse(context, callerError(500, message, "internal_error"));
  });
  return app;
}

/** Who may learn what is under a path where nothing is. */
function areaOf(path: string): Role {
  if (/^\/admin(\/|$)/.test(path)) return "admin";
  return /^\/v1(\/|$)/.test(path) ? "caller" : "anyone";
}

function healthRoute(context: AppContext, health: Health): Response {
  const status = health.ready ? "ok" : "unavailable";
  return context.json({ status, live: health.live, ready: health.ready, ...health.details }, health.ready ? 200 : 503);
}

function notFound(context: AppContext, routes: readonly Route[]): Response {
  const { method, path } = context.req;
  const allowed = routes.filter((route) => isAt(route, path)).map((route) => route.method);
  if (allowed.length > 0 && !allowed.some((accepted) => accepted === method)) {
    const message = `${method} is not allowed on ${path}; use ${allowed.join(" or ")}.`;
    return errorResponse(context, callerError(405, message, "method_not_allowed"), { allow: allowed.join(", ") });
  }
  const area = path.startsWith("/admin") ? "/admin" : "/v1";
  const known = routes.filter((route) => route.path.startsWith(area) || route.path === "/health");
  const listed = known
    .map((route) => `${route.method} ${route.path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}")}`)
    .join(", ");
  const hint = path.startsWith("/v1/") || area === "/admin" ? "" : " An OpenAI SDK needs a baseURL that ends in /v1.";
  return errorResponse(
    context,
    callerError(404, `Unknown request URL: ${method} ${path}. This router serves ${listed}.${hint}`, "unknown_url"),
  );
}
