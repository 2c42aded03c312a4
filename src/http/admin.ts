// /admin: routes for the operator, each described by the schemas it checks with, so that the OpenAPI document cannot lie.
import { z } from "zod";
import type { JsonObject } from "../chat.ts";
import { type AppContext, callerError, errorResponse, readBody } from "./context.ts";
import type { Route } from "./routes.ts";

/** One operation, as it is written down. `Body` and `Query` are what its schemas let through. */
interface Operation<Body, Query> {
  method: Route["method"];
  /** OpenAPI's form: /admin/keys/{id}. */
  path: string;
  summary: string;
  body?: z.ZodType<Body>;
  query?: z.ZodType<Query> & { shape: Record<string, z.ZodType> };
  answer: { status: 200 | 201; description: string; schema: z.ZodType };
  /** What it may refuse with besides 400, 401 and 403: status to description. */
  refusals?: Record<number, string>;
  /** JSON for `answer`, or a finished refusal. */
  handle(asked: {
    context: AppContext;
    id: string;
    body: Body;
    query: Query;
  }): object | Response | Promise<object | Response>;
}

/** An operation as the router and the document see it. */
export interface AdminOperation {
  method: Route["method"];
  path: string;
  json: JsonObject;
  perform(context: AppContext): Promise<Response>;
}

/** Checks what comes in against the schemas it is described with. */
export function operation<Body = undefined, Query = undefined>(described: Operation<Body, Query>): AdminOperation {
  const { method, path } = described;
  return { method, path, json: operationJson(described), perform: (context) => perform(context, described) };
}

const BODY_BYTES_MAX = 64 * 1024;
const DOCUMENT = "/admin/openapi.json";

/** The routes of the operations and of the document that describes them. */
export function adminRoutes(operations: readonly AdminOperation[], version: string): Route[] {
  const routes = operations.map(
    ({ method, path, perform: handle }): Route => ({
      method,
      path: path.replaceAll(/\{(\w+)\}/g, ":$1"),
      role: "admin",
      handle,
    }),
  );
  const document = openApi(operations, version);
  return [...routes, { method: "GET", path: DOCUMENT, role: "admin", handle: (context) => context.json(document) }];
}

async function perform<Body, Query>(context: AppContext, described: Operation<Body, Query>): Promise<Response> {
  const query = described.query?.safeParse(context.req.query());
  if (query?.success === false) return malformed(context, query.error, "query");
  let body: Body | undefined;
  if (described.body !== undefined) {
    const read = await readJson(context);
    if (read instanceof Response) return read;
    const checked = described.body.safeParse(read.json);
    if (!checked.success) return malformed(context, checked.error, "body");
    body = checked.data;
  }
  // Without a schema nothing was asked for, and the type says so.
  const asked = { context, id: context.req.param("id") ?? "", body: body as Body, query: query?.data as Query };
  const answer = await described.handle(asked);
  return answer instanceof Response ? answer : context.json(answer, described.answer.status);
}

async function readJson(context: AppContext): Promise<{ json: unknown } | Response> {
  const read = await readBody(context.env.incoming, BODY_BYTES_MAX);
  if ("error" in read) {
    const isLarge = read.error === "too_large";
    const message = isLarge ? `The body is larger than ${BODY_BYTES_MAX} bytes.` : "The body was cut off.";
    const code = isLarge ? "request_too_large" : "incomplete_body";
    return errorResponse(context, callerError(isLarge ? 413 : 400, message, code), { connection: "close" });
  }
  try {
    return { json: read.body.length === 0 ? {} : JSON.parse(read.body.toString("utf8")) };
  } catch {
    // The text is not quoted: people paste secrets.
    return errorResponse(context, callerError(400, "The body is not valid JSON.", "invalid_json"));
  }
}

function malformed(context: AppContext, { issues: [issue] }: z.ZodError, where: "body" | "query"): Response {
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys : [];
  const param = [...(issue?.path ?? []), ...unknown.slice(0, 1)].map(String).join(".");
  const what = unknown.length > 0 ? "unknown" : (issue?.message ?? "not understood");
  const message = `Invalid ${where}${param === "" ? "" : `: '${param}'`}: ${what.slice(0, 300)}.`;
  return errorResponse(context, callerError(400, message, "invalid_value", param === "" ? null : param));
}

const ERROR = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    code: z.string().nullable(),
    param: z.string().nullable(),
  }),
});

const COMMON_REFUSALS = {
  400: "Something in the query or the body is not as described; `param` names it.",
  401: "Not the admin key.",
  403: "SIGNALBOX_ADMIN_KEY is not set.",
};

function openApi(operations: readonly AdminOperation[], version: string): JsonObject {
  const byPath = Map.groupBy(operations, ({ path }) => path);
  const paths = [...byPath].map(([path, at]) => {
    return [path, Object.fromEntries(at.map(({ method, json }) => [method.toLowerCase(), json]))];
  });
  const description = "Administration of a Signalbox router. Every route needs the key in SIGNALBOX_ADMIN_KEY.";
  return {
    openapi: "3.1.0",
    info: { title: "Signalbox administration", version, description },
    security: [{ admin: [] }],
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { admin: { type: "http", scheme: "bearer" } },
      schemas: { Error: schemaOf(ERROR, "output") },
    },
  };
}

function operationJson<Body, Query>(described: Operation<Body, Query>): JsonObject {
  const { path, summary, body, query, answer, refusals } = described;
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: schemaOf(schema, "input"),
  }));
  const error = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
  const refused = Object.entries({ ...COMMON_REFUSALS, ...refusals }).map(([status, description]) => [
    status,
    { description, content: error },
  ]);
  const answered = {
    description: answer.description,
    content: { "application/json": { schema: schemaOf(answer.schema, "output") } },
  };
  return {
    summary,
    parameters: [...inPath, ...inQuery],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, "input") } } } }),
    responses: { [String(answer.status)]: answered, ...Object.fromEntries(refused) },
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonObject {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io });
  return json as JsonObject;
}
