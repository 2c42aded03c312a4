import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Real sockets and child processes: a hung peer must fail a test, not the run.
    // A machine that is busy with other things takes several times as long to start a process.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Much of the time passes in child processes and on sockets: two files at a time even on two cores.
    maxWorkers: 2,
    reporters: ["./test/reporter.ts"],
  },
});
