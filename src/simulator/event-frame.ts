// Writes frames of `application/vnd.amazon.eventstream`, as strings whose characters are the bytes.
import { crc32 } from "node:zlib";

export function eventFrame(event: string, payload: unknown): string {
  return frame({ ":event-type": event, ":content-type": "application/json", ":message-type": "event" }, payload);
}

export function exceptionFrame(type: string, message: string): string {
  const headers = { ":exception-type": type, ":content-type": "application/json", ":message-type": "exception" };
  return frame(headers, { message });
}

/** A payload that is a string already is sent as it is. */
function frame(headers: Record<string, string>, payload: unknown): string {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => header(name, value)));
  const data = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
  const prelude = Buffer.alloc(8);
  prelude.writeUInt32BE(12 + head.length + data.length + 4, 0);
  prelude.writeUInt32BE(head.length, 4);
  const checked = Buffer.concat([prelude, word(crc32(prelude)), head, data]);
  return Buffer.concat([checked, word(crc32(checked))]).toString("latin1");
}

function header(name: string, value: string): Buffer {
  const text = Buffer.from(value);
  // Type 7 is a string, its length in two bytes.
  return Buffer.concat([
    Buffer.from([name.length]),
    Buffer.from(name),
    Buffer.from([7, text.length >> 8, text.length & 255]),
    text,
  ]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
