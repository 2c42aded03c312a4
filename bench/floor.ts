// The floor: the least a forwarder must do that looks into what it forwards. No authentication, rules, clocks or ledger.
//
// Written as cheaply as Hono and undici allow: the stream goes straight to the socket, because a web stream would cost
// more than all the rest and make everything measured against it look good.
import { createServer, type ServerResponse } from "node:http";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import { Agent, type Dispatcher } from "undici";
import { answerControl } from "./control.ts";

const upstream = new URL(`${process.env.OPENAI_BASE_URL}/chat/completions`);
const HEADERS = { "content-type": "application/json", authorization: `Bearer ${process.env.OPENAI_API_KEY}` };
const agent = new Agent({ connections: 8_192, pipelining: 1 });

interface ChatBody {
  model: string;
  stream?: boolean;
  stream_options?: object;
}

/** Of all answers: something that depends on having read the usage. */
const sum = { outputTokens: 0 };

function readUsage(document: { usage?: { completion_tokens: number } | null }): void {
  sum.outputTokens += document.usage?.completion_tokens ?? 0;
}

const app = new Hono<{ Bindings: HttpBindings }>();
app.post("/v1/chat/completions", async (context) => {
  const body = await context.req.json<ChatBody>();
  body.model = body.model.replace("openai/", "");
  if (body.stream === true) body.stream_options = { ...body.stream_options, include_usage: true };
  const answer = await agent.request({
    origin: upstream.origin,
    path: upstream.pathname,
    method: "POST",
    headers: HEADERS,
    body: JSON.stringify(body),
  });
  if (body.stream === true) {
    await pipe(answer, context.env.outgoing);
    return RESPONSE_ALREADY_SENT;
  }
  const text = await answer.body.text();
  readUsage(JSON.parse(text));
  return context.body(text, answer.statusCode as 200, { "content-type": "application/json" });
});

async function pipe(answer: Dispatcher.ResponseData, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(answer.statusCode, { "content-type": "text/event-stream; charset=utf-8" });
  let rest = "";
  for await (const bytes of answer.body as AsyncIterable<Buffer>) {
    outgoing.write(bytes);
    const frames = (rest + bytes.toString()).split("\n\n");
    rest = frames.pop() ?? "";
    for (const frame of frames) if (frame !== "data: [DONE]") readUsage(JSON.parse(frame.slice("data: ".length)));
  }
  outgoing.end();
}

const server = createServer(getRequestListener(app.fetch)).listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () =>
  answerControl({ server }),
);
