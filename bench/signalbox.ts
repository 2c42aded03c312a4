// Signalbox as `signalbox serve` starts it, with a control channel beside it.
import { startRouter } from "../src/main.ts";
import { answerControl } from "./control.ts";

answerControl(await startRouter({ flags: {}, env: process.env, log: (message) => console.error(message) }));
