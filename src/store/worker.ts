// The ledger's worker thread: wires a Drain to the messages of the main thread.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Drain } from "./drain.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "./messages.ts";
import { refusalOf } from "./refusal.ts";

function start(options: WorkerOptions, port: MessagePort): void {
  const send = (message: FromWorker) => port.postMessage(message);
  try {
    const drain = new Drain(options, send, () => port.close());
    const firstSegment = drain.recover();
    port.on("message", (message: ToWorker) => drain.receive(message));
    send({ kind: "ready", firstSegment });
  } catch (error) {
    const { kind: why, reason } = refusalOf(error, options.dir);
    send({ kind: "refused", reason, why });
    port.close();
  }
}

if (parentPort !== null) start(workerData as WorkerOptions, parentPort);
