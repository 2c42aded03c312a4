// Loaded into a peer that runs on Node (`--import`), so that it accounts for itself exactly as the other processes do.
import { answerControl } from "./control.ts";

answerControl({ url: process.env.BENCH_URL ?? "", close: () => {} });
