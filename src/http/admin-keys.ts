// /admin/keys: callers' keys made, listed, changed, rotated and revoked. A secret is in one answer only: that which made it.
import { z } from "zod";
import {
  type ApiKey,
  applyChanges,
  GRACE_MS_MAX,
  KEY_CHANGES,
  KEY_VIEW,
  type KeyRefusal,
  NEW_KEY,
  newSecret,
  PLAIN_KEY,
  viewOf,
} from "../api-keys.ts";
import type { KeyRing } from "../key-ring.ts";
import type { KeyTable } from "../store/keys.ts";
import { parseDurationMs } from "../units.ts";
import { type AdminOperation, operation } from "./admin.ts";
import { type AppContext, callerError, errorResponse } from "./context.ts";

export interface AdminKeysOptions {
  table: KeyTable;
  ring: Pick<KeyRing, "refresh">;
  nowMs(): number;
  newKeyId(): string;
  randomText(length: number): string;
}

const PAGE_MAX = 1_000;
const LISTING = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,4}$/, `expected a number from 1 to ${PAGE_MAX}`)
    .optional()
    .describe(`How many at most: 1 to ${PAGE_MAX}, 100 unless told.`),
  after: z.string().max(64).optional().describe("`next` of the page before."),
});
const PAGE = z.strictObject({
  object: z.literal("list"),
  data: z.array(KEY_VIEW),
  next: z.string().nullable().describe("Where the next page begins; null: this is the last one."),
});
const KEY_WITH_SECRET = KEY_VIEW.extend({ secret: z.string().describe("Shown once: it is stored nowhere.") });
const ROTATION = z.strictObject({
  grace: z
    .string()
    .refine(
      (text) => (parseDurationMs(text) ?? Number.NaN) <= GRACE_MS_MAX,
      "expected a duration up to 365d, such as 24h",
    )
    .default("24h")
    .describe("How long the secret before it stays good; 0s: not at all."),
});

const ONE = "/admin/keys/{id}";
const NO_SUCH_KEY = { 404: "There is no such key." };
const BUSY = { 503: "The database is busy; nothing was changed." };
const NOT_NOW = { 409: "The name is taken, the key is revoked, or there are too many keys.", ...BUSY };

export function keyOperations(options: AdminKeysOptions): AdminOperation[] {
  return [...readingOperations(options), ...makingOperations(options), ...changingOperations(options)];
}

function readingOperations(options: AdminKeysOptions): AdminOperation[] {
  return [
    operation({
      method: "GET",
      path: "/admin/keys",
      summary: "Keys in the order in which they were made, revoked ones included.",
      query: LISTING,
      answer: { status: 200, description: "A page of keys.", schema: PAGE },
      handle: ({ context, query: { limit = "100", after } }) => list(context, options, Number(limit), after),
    }),
    operation({
      method: "GET",
      path: ONE,
      summary: "One key.",
      answer: { status: 200, description: "The key.", schema: KEY_VIEW },
      refusals: NO_SUCH_KEY,
      handle: ({ context, id }) => answer(context, options, options.table.get(id) ?? notFound(id)),
    }),
  ];
}

function makingOperations(options: AdminKeysOptions): AdminOperation[] {
  const { table, nowMs } = options;
  const answerWith = { description: "The key with its secret.", schema: KEY_WITH_SECRET };
  return [
    operation({
      method: "POST",
      path: "/admin/keys",
      summary: "Makes a key.",
      body: NEW_KEY,
      answer: { status: 201, ...answerWith },
      refusals: NOT_NOW,
      handle({ context, body }) {
        const settings = applyChanges({ ...PLAIN_KEY, name: body.name }, body, nowMs());
        if ("problem" in settings) return answer(context, options, settings);
        const secret = newSecret(options.randomText);
        const key = table.create({ id: options.newKeyId(), secret }, settings, nowMs());
        return answer(context, options, key, { secret });
      },
    }),
    operation({
      method: "POST",
      path: `${ONE}/rotate`,
      summary: "Gives a key a new secret; the one before it stays good for a while.",
      body: ROTATION,
      answer: { status: 200, ...answerWith },
      refusals: { ...NO_SUCH_KEY, ...NOT_NOW },
      handle({ context, id, body }) {
        const secret = newSecret(options.randomText);
        const key = table.rotate({ id, secret }, parseDurationMs(body.grace) ?? 0, nowMs());
        return answer(context, options, key, { secret });
      },
    }),
  ];
}

function changingOperations(options: AdminKeysOptions): AdminOperation[] {
  const { table, nowMs } = options;
  return [
    operation({
      method: "PATCH",
      path: ONE,
      summary: "Changes what is named and leaves the rest; null takes a limit or a restriction away.",
      body: KEY_CHANGES,
      answer: { status: 200, description: "The key after the change.", schema: KEY_VIEW },
      refusals: { ...NO_SUCH_KEY, ...NOT_NOW },
      handle: ({ context, id, body }) =>
        answer(
          context,
          options,
          table.update(id, (key) => applyChanges(key, body, nowMs())),
        ),
    }),
    operation({
      method: "DELETE",
      path: ONE,
      summary: "Revokes a key for ever. It stays in the list, and its name is free again.",
      answer: { status: 200, description: "The revoked key.", schema: KEY_VIEW },
      refusals: { ...NO_SUCH_KEY, ...BUSY },
      handle: ({ context, id }) => answer(context, options, table.revoke(id, nowMs())),
    }),
  ];
}

type Changed = ApiKey | KeyRefusal | { problem: string };

/** The key as it is now, in force in this process at once. `more`: what only this answer tells. */
function answer(context: AppContext, options: AdminKeysOptions, result: Changed, more: object = {}): object | Response {
  if ("problem" in result) {
    return errorResponse(context, callerError(400, `${result.problem}.`, "invalid_value", "expires"));
  }
  if ("refused" in result) return refusal(context, result);
  options.ring.refresh();
  return { ...viewOf(result, options.nowMs()), ...more };
}

function list(
  context: AppContext,
  { table, nowMs }: AdminKeysOptions,
  limit: number,
  after: string | undefined,
): object | Response {
  const asked = Math.min(PAGE_MAX, Math.max(1, limit));
  if (after !== undefined && table.get(after)?.id !== after) {
    const message = `There is no key '${after}' to go on after: send the 'next' of the page before.`;
    return errorResponse(context, callerError(400, message, "invalid_value", "after"));
  }
  // One more than asked for tells whether there is a next page.
  const found = table.list({ after, limit: asked + 1 });
  const data = found.slice(0, asked).map((key) => viewOf(key, nowMs()));
  return { object: "list", data, next: found.length > asked ? (data.at(-1)?.id ?? null) : null };
}

function notFound(id: string): KeyRefusal {
  return { refused: "not_found", message: `There is no key '${id.slice(0, 64)}'.` };
}

function refusal(context: AppContext, { refused, message }: KeyRefusal): Response {
  if (refused === "busy") {
    return errorResponse(context, callerError(503, message, "database_busy"), { "retry-after": "1" });
  }
  const status = refused === "not_found" ? 404 : 409;
  const code = refused === "not_found" ? "key_not_found" : refused;
  return errorResponse(context, callerError(status, message, code, refused === "name_taken" ? "name" : null));
}
