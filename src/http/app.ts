// The HTTP surface: which routes exist, who may call them, and what is said about all others.
import { Hono } from "hono";
import type { Inbound, Secret } from "../dialect.ts";
import type { Gateway } from "../gateway.ts";
import type { Snapshot } from "../routing/snapshot.ts";
import { authenticate } from "./auth.ts";
import { chatRoute, explainRoute } from "./chat.ts";
import { type AppContext, callerError, type Env, errorResponse } from "./context.ts";
import { generationRoute } from "./generation.ts";
import { listModels, modelRoute } from "./models.ts";
import type { Reports } from "./reports.ts";

export interface AppOptions {
  gateway: Gateway;
  inbound: Inbound;
  snapshot(): Snapshot;
  apiKey: Secret | undefined;
  maxBodyBytes: number;
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
const GENERATION = "/v1/generation";
const METHODS: Record<string, string> = {
  [CHAT]: "POST",
  [EXPLAIN]: "POST",
  [GENERATION]: "GET",
  "/v1/models": "GET",
  "/health": "GET",
};

export function createApp(options: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (context, next) => {
    const receivedAtMs = options.nowMs();
    const id = options.newRequestId(receivedAtMs);
    context.set("receivedAtMs", receivedAtMs);
    context.set("requestId", id);
    context.header("x-request-id", id);
    await next();
  });
  app.get("/health", (context) => healthRoute(context, options.health()));
  app.get("/health/live", (context) => context.json({ live: options.health().live }));
  app.get("/health/ready", (context) => healthRoute(context, options.health()));
  app.use("/v1/*", authenticate(options.apiKey));
  app.post(CHAT, (context) => chatRoute(context, options));
  app.post(EXPLAIN, (context) => explainRoute(context, options));
  app.get(GENERATION, (context) => generationRoute(context, options.reports));
  app.get("/v1/models", (context) => context.json(listModels(options.snapshot())));
  app.get("/v1/models/:id{.+}", (context) => modelRoute(context, options.snapshot()));
  app.notFound(notFound);
  app.onError((error, context) => {
    const id = context.var.requestId;
    options.log(`request ${id} failed inside the router: ${error.stack ?? error.message}`);
    const message = `The router failed on this request. It is in the router's log as ${id}.`;
    return errorResponse(context, callerError(500, message, "internal_error"));
  });
  return app;
}

function healthRoute(context: AppContext, health: Health): Response {
  const status = health.ready ? "ok" : "unavailable";
  return context.json({ status, live: health.live, ready: health.ready, ...health.details }, health.ready ? 200 : 503);
}

function notFound(context: AppContext): Response {
  const { method, path } = context.req;
  const allowed = METHODS[path] ?? (path.startsWith("/v1/models/") ? "GET" : undefined);
  if (allowed !== undefined && allowed !== method) {
    const message = `${method} is not allowed on ${path}; use ${allowed}.`;
    return errorResponse(context, callerError(405, message, "method_not_allowed"), { allow: allowed });
  }
  const routes = `POST ${CHAT}, POST ${EXPLAIN}, GET ${GENERATION}, GET /v1/models, GET /v1/models/{id}, GET /health`;
  const hint = path.startsWith("/v1/") ? "" : " An OpenAI SDK needs a baseURL that ends in /v1.";
  return errorResponse(
    context,
    callerError(404, `Unknown request URL: ${method} ${path}. This router serves ${routes}.${hint}`, "unknown_url"),
  );
}
