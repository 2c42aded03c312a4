// Where this package is installed: the same answer from `src/` and from the compiled `dist/src/`.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The nearest folder above this file that holds a package.json: data files (catalogue, migrations, rules) lie below it. */
export function packageRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder)
      throw new Error(`no package.json above ${import.meta.dirname}: the installation is incomplete`);
    folder = parent;
  }
  return folder;
}
