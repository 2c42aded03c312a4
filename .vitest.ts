import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Real sockets and child processes: a hung peer must fail a test, not the run.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    reporters: ["./test/reporter.ts"],
  },
});
