// Writes the generated tables of README.md, from what the conformance suite knows: `node providers/readme.build.ts`.
// The tables are test data, which the published package does not hold; hence the import at run time.
import { readFileSync, writeFileSync } from "node:fs";

const README = new URL("README.md", import.meta.url);
const { withSections } = await import("../test/conformance/tables.ts");
writeFileSync(README, withSections(readFileSync(README, "utf8")));
