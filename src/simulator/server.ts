// The simulator: one HTTP server that plays OpenAI, Anthropic and Gemini on the wire, and misbehaves on request.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { JsonObject } from "../chat.ts";
import { isObject } from "../json.ts";
import { planAnswer } from "./answer.ts";
import type { Call, Face, Fault, Head, ProviderId } from "./face.ts";
import { disturb, ending } from "./mishap.ts";
import { drop, leave, nowMs, pause, play } from "./pace.ts";
import { type Route, route } from "./route.ts";
import { type ParsedScript, parseScript, type Script, splitModel } from "./script.ts";

export { simulatorHelp } from "./script.ts";
export type { Script };

export interface SimulatedRequest {
  provider: ProviderId;
  /** Which OpenAI-compatible provider it went to; undefined for OpenAI itself and for the others. */
  flavour: string | undefined;
  /** Without directives. */
  model: string;
  stream: boolean;
  body: JsonObject;
  headers: Record<string, string>;
  /** Counts the requests of this simulator from 1. */
  serial: number;
}

export interface RecordedRequest {
  method: string;
  /** With query, without a key in it. */
  path: string;
  /** Lower-case names, credentials removed. */
  headers: Record<string, string>;
  /** Parsed JSON; the text when it is none; undefined without a body. */
  body: unknown;
  client: ClientState;
}

interface ClientState {
  /** The client left before the answer was complete. */
  closedByClient: boolean;
  /** Resolves when it is over: with the time (ms since 1970) the client left, or undefined when the answer was complete
   *  or the simulator itself dropped the connection. */
  closed: Promise<number | undefined>;
}

/** What a request is to do; undefined leaves it to the request's own directives. */
type ScriptSource = (request: SimulatedRequest) => Script | undefined;

export interface Simulator {
  url: string;
  port: number;
  /** The latest requests, oldest first, when started with `record`. */
  requests: RecordedRequest[];
  setScript(source: ScriptSource | undefined): void;
  close(): Promise<void>;
}

export interface SimulatorOptions {
  /** 0, the default, takes a free one. */
  port?: number;
  host?: string;
  script?: ScriptSource;
  record?: boolean;
}

const recordedMax = 1_000;
const bodyBytesMax = 32 * 1024 * 1024;
const credentialHeaders = new Set([
  "authorization",
  "api-key",
  "x-api-key",
  "x-goog-api-key",
  "cookie",
  "proxy-authorization",
]);

interface State {
  script: ScriptSource | undefined;
  serial: number;
  requests: RecordedRequest[];
  record: boolean;
  stopped: boolean;
}

/** Starts listening. Rejects when the port is taken. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const state: State = {
    script: options.script,
    serial: 0,
    requests: [],
    record: options.record === true,
    stopped: false,
  };
  const server = createServer({ noDelay: true, keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
    serve(state, request, response).catch((error: unknown) => crash(response, error));
  });
  const host = options.host ?? "127.0.0.1";
  await listen(server, options.port ?? 0, host);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    requests: state.requests,
    setScript: (source) => {
      state.script = source;
    },
    close: () => {
      state.stopped = true;
      return stop(server);
    },
  };
}

/** A client that left while it was sending needs no answer. Anything else is a bug of the simulator and says so, lest it
 *  passes for a scripted mishap. */
function crash(response: ServerResponse, error: unknown): void {
  if (response.closed || response.headersSent) return void response.destroy();
  const message = `bug in the simulator: ${error instanceof Error ? error.stack : error}`;
  send(response, 500, {}, { error: { message } });
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function serve(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const bytes = await readBody(request);
  const parsed = bytes === undefined ? undefined : parseJson(bytes);
  if (state.record) remember(state, request, response, parsed?.value ?? parsed?.text);
  state.serial += 1;
  const target = route(request.method ?? "GET", request.url ?? "/", (name) => header(request, name));
  const call = toCall(target, request, parsed?.value);
  const head: Head = { call, serial: state.serial, nowMs: nowMs() };
  const { face } = target;
  const refused = face.checkCredentials(call.header);
  if (refused !== undefined) return fail(response, face, refused, head);
  if (target.kind === "unknown") return fail(response, face, { status: 404, message: target.message }, head);
  if (target.kind === "models") return send(response, 200, face.headers(head), face.models());
  if (bytes === undefined) return fail(response, face, face.scriptedFault(413, call), head);
  if (!isObject(parsed?.value)) return fail(response, face, { status: 400, message: BAD_JSON[face.id] }, head);
  const read = findScript(state, request, target, call, head);
  if (read.kind === "bad") return fail(response, face, { status: 400, message: read.message }, head);
  await answer(response, face, head, read.script);
}

const BAD_JSON: Record<ProviderId, string> = {
  openai:
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library " +
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
  anthropic: "The request body is not valid JSON",
  google: "Invalid JSON payload received. Unable to parse the body of the request.",
  "bedrock-converse": "Malformed input request, please reformat your input and try again.",
  cohere: "invalid json syntax",
};

async function answer(response: ServerResponse, face: Face, head: Head, script: Script): Promise<void> {
  const { call } = head;
  if (script.refuse === true) return drop(response);
  if (script.hang === "headers") return;
  if (script.ttftMs !== undefined) await pause(script.ttftMs, response);
  if (script.status !== undefined)
    return fail(response, face, withRetry(face.scriptedFault(script.status, call), script), head);
  if (script.fault !== undefined) {
    const fault = face.namedFault(script.fault, call);
    const message = `simulator directive "fault=${script.fault}" has no meaning for this provider`;
    return fail(response, face, fault === undefined ? { status: 400, message } : withRetry(fault, script), head);
  }
  const invalid = face.validate(call);
  if (invalid !== undefined) return fail(response, face, invalid, head);
  const planned = planAnswer(face.prompt(call), script);
  if (call.stream) {
    response.writeHead(200, {
      "content-type": face.streamType(call),
      "cache-control": "no-cache",
      ...face.headers(head),
    });
    const frames = disturb(face.frames(planned, head), script, face, head);
    const encoding = face.isBinary ? "latin1" : "utf8";
    return play(response, frames, { tokensPerSecond: script.tokensPerSecond, ending: ending(script), encoding });
  }
  // A buffered answer has no place for an in-band error: the request as a whole fails.
  if (script.error !== undefined) return fail(response, face, face.scriptedFault(500, call), head);
  const tokens = planned.outputTokens + planned.reasoningTokens;
  if (script.tokensPerSecond !== undefined) await pause((tokens * 1000) / script.tokensPerSecond, response);
  const bytes = Buffer.from(JSON.stringify(face.body(planned, head)));
  sendBody(response, bytes, face.headers(head), script);
}

function sendBody(response: ServerResponse, bytes: Buffer, headers: Record<string, string>, script: Script): void {
  const half = bytes.subarray(0, Math.floor(bytes.length / 2));
  const sent = script.malformed === true ? half : bytes;
  response.writeHead(200, { "content-type": "application/json", "content-length": sent.length, ...headers });
  const how = ending(script);
  leave(response, how === "end" ? sent : half, how);
}

function withRetry(fault: Fault, script: Script): Fault {
  return script.retryAfterS === undefined ? fault : { ...fault, retryAfterS: script.retryAfterS };
}

function fail(response: ServerResponse, face: Face, fault: Fault, head: Head): void {
  const { status, headers, body } = face.reply(fault, head);
  send(response, status, headers, body);
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: unknown): void {
  if (response.closed) return;
  // Some put a page before their API that answers in HTML.
  const [type, text] = typeof body === "string" ? ["text/html", body] : ["application/json", JSON.stringify(body)];
  const bytes = Buffer.from(text);
  response.writeHead(status, { "content-type": type, "content-length": bytes.length, ...headers });
  response.end(bytes);
}

function toCall(target: Route, request: IncomingMessage, value: unknown): Call {
  const given = isObject(value) ? value : {};
  const body = target.face.read?.(given) ?? given;
  const named = target.model ?? (typeof body.model === "string" ? body.model : "");
  const { model } = splitModel(named);
  return {
    model,
    body,
    stream: target.stream ?? body.stream === true,
    arrayStream: target.arrayStream,
    header: (name) => header(request, name),
  };
}

/** The first source that says anything decides: the script function, the header, the model name. */
function findScript(state: State, request: IncomingMessage, target: Route, call: Call, head: Head): ParsedScript {
  const script = state.script?.({
    provider: target.face.id,
    flavour: target.flavour,
    model: call.model,
    stream: call.stream,
    body: call.body,
    headers: publicHeaders(request),
    serial: head.serial,
  });
  if (script !== undefined) return { kind: "script", script };
  const told = header(request, "x-simulate");
  if (told !== undefined) return parseScript(told.split(";"));
  const named = target.model ?? call.body.model;
  return parseScript(typeof named === "string" ? splitModel(named).directives : []);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

function publicHeaders(request: IncomingMessage): Record<string, string> {
  const names = Object.keys(request.headers).filter((name) => !credentialHeaders.has(name));
  return Object.fromEntries(names.map((name) => [name, header(request, name) ?? ""]));
}

function remember(state: State, request: IncomingMessage, response: ServerResponse, body: unknown): void {
  const client: ClientState = {
    closedByClient: false,
    closed: new Promise((resolve) => {
      response.on("close", () => {
        client.closedByClient = !response.writableFinished && !response.errored && !state.stopped;
        resolve(client.closedByClient ? nowMs() : undefined);
      });
    }),
  };
  const path = (request.url ?? "/").replace(/([?&]key=)[^&]*/, "$1…");
  state.requests.push({ method: request.method ?? "GET", path, headers: publicHeaders(request), body, client });
  if (state.requests.length > recordedMax) state.requests.shift();
}

/** The whole body, or undefined when it is larger than any provider would take; the rest is then read and dropped. */
function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bodyBytesMax) chunks.push(chunk);
    });
    request.on("end", () => resolve(bytes <= bodyBytesMax ? Buffer.concat(chunks) : undefined));
    request.on("error", reject);
  });
}

function parseJson(bytes: Buffer): { value?: unknown; text?: string } {
  if (bytes.length === 0) return {};
  const text = bytes.toString("utf8");
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { text };
  }
}
