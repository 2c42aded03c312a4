// The console reporter plus one last line that scripts can read: `N passed, M failed`.
import { DefaultReporter } from "vitest/node";

export class LastLineReporter extends DefaultReporter {
  override onTestRunEnd(...args: Parameters<DefaultReporter["onTestRunEnd"]>): void {
    super.onTestRunEnd(...args);
    const [modules, unhandledErrors] = args;
    let passed = 0;
    // A file that cannot be loaded and an error outside any test are failures too, though no test carries them.
    let failed = unhandledErrors.length;
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      passed += tests.filter((test) => test.result().state === "passed").length;
      const failedTests = tests.filter((test) => test.result().state === "failed").length;
      failed += failedTests > 0 || module.ok() ? failedTests : 1;
    }
    console.log(`${passed} passed, ${failed} failed`);
  }
}
export { LastLineReporter as default };
