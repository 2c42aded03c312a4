// An alert as the bytes that travel: a signed JSON document, or what Slack's incoming webhooks take.
import { createHmac } from "node:crypto";
import type { JsonObject } from "../chat.ts";
import type { AlertDestination } from "../config/alert-settings.ts";
import type { Alert } from "./alert.ts";

export interface Message {
  headers: Record<string, string>;
  body: string;
}

/** `nowMs` is the time of this try: receivers refuse old signatures. */
export function messageFor(destination: AlertDestination, alert: Alert, nowMs: number): Message {
  const headers = { "content-type": "application/json", "user-agent": "signalbox", "x-signalbox-event": alert.type };
  if (destination.kind === "slack") return { headers, body: JSON.stringify(slackBody(alert)) };
  const { id, type, severity, at, title, text, data } = alert;
  const body = JSON.stringify({ id, type, severity, at, title, text, data });
  const signature = signatureOf(body, destination.signingSecret.reveal(), Math.floor(nowMs / 1000));
  return { headers: { ...headers, "x-signalbox-signature": signature }, body };
}

/**
 * `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, as Stripe signs. The receiver computes the same over the bytes it
 * got, compares in constant time, and refuses a `t` more than five minutes from its own clock.
 */
function signatureOf(body: string, secret: string, unixSeconds: number): string {
  return `t=${unixSeconds},v1=${createHmac("sha256", secret).update(`${unixSeconds}.${body}`).digest("hex")}`;
}

/** `text` is for notifications and for receivers that know no blocks (Mattermost, Discord's /slack). */
function slackBody({ id, type, severity, at, title, text }: Alert): JsonObject {
  const heading = `${severity === "info" ? "" : `${severity.toUpperCase()}: `}${title}`;
  // verbatim: nothing in it becomes a mention or a link.
  const markdown = (words: string) => ({ type: "mrkdwn", text: words, verbatim: true });
  return {
    text: `${escaped(heading)}\n${escaped(text)}`,
    blocks: [
      { type: "section", text: markdown(`*${escaped(heading)}*\n${escaped(text)}`) },
      { type: "context", elements: [markdown(`${type} · ${at} · ${id}`)] },
    ],
  };
}

/** Slack's three control characters; and no name of a model or key may call a whole channel. */
function escaped(text: string): string {
  const characters = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return characters.replaceAll(/@(?=channel|here|everyone|all)/gi, "@\u200B");
}
