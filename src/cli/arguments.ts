// What the commands share: reading their arguments, and how they end.
import { parseArgs } from "node:util";

/** Thrown for mistakes on the command line: shown with a pointer to the help, exit code 2. */
export class UsageError extends Error {}

/** Text for standard output and the exit code that goes with it. */
export interface Printed {
  text: string;
  exitCode: number;
}

type OptionSpec = NonNullable<Parameters<typeof parseArgs>[0]>["options"];

export function parse<T extends NonNullable<OptionSpec>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
