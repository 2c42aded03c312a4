// A measured process's side of the IPC channel: it says where it listens and what it has used, and ends when told.
import type { AddressInfo, Server } from "node:net";

/** What a process has used since it started; CPU of all its threads, in µs. */
export interface Sample {
  cpuUs: number;
  /** Of that, the main thread: the rest is garbage collection, compilation, file system and worker threads. */
  mainThreadCpuUs: number;
  rssBytes: number;
}

export type ToSubject = { kind: "sample" } | { kind: "stop" };
export type FromSubject = { kind: "ready"; url: string } | ({ kind: "sample" } & Sample);

export interface Controlled {
  url: string;
  /** Ends what runs and keeps what must be kept. */
  close(): Promise<void> | void;
}

/** Announces the process as ready and answers the parent until it is told to stop, or the parent is gone. */
export function answerControl(subject: Controlled | { server: Server }): void {
  const { url, close } = "server" in subject ? controlled(subject.server) : subject;
  process.on("message", (message: ToSubject) => {
    if (message.kind === "sample") tell({ kind: "sample", ...sample() });
    else void Promise.resolve(close()).then(() => process.exit(0));
  });
  process.on("disconnect", () => process.exit(1));
  tell({ kind: "ready", url });
}

function controlled(server: Server): Controlled {
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => {} };
}

function tell(message: FromSubject): void {
  process.send?.(message);
}

function sample(): Sample {
  const all = process.cpuUsage();
  const main = process.threadCpuUsage();
  return {
    cpuUs: all.user + all.system,
    mainThreadCpuUs: main.user + main.system,
    rssBytes: process.memoryUsage.rss(),
  };
}
