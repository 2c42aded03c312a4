// Completes package-lock.json after an `npm install` made where the registry offers no packages of foreign platforms: npm
// then leaves their optional entries out, and `npm ci` refuses the lockfile everywhere. `node .ci/complete-lock.ts`
import { readFileSync, writeFileSync } from "node:fs";

interface Entry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const FILE = new URL("../package-lock.json", import.meta.url);
const OS = ["android", "darwin", "linux", "win32", "freebsd", "openharmony", "aix", "sunos", "netbsd", "openbsd"];
const CPU = ["arm64", "x64", "arm", "ia32", "ppc64", "riscv64", "s390x", "loong64", "mips64el"];

const lock = JSON.parse(readFileSync(FILE, "utf8")) as { packages: Record<string, Entry> };
const missing = Object.entries(lock.packages).flatMap(([path, entry]) =>
  Object.entries(entry.optionalDependencies ?? {})
    .filter(
      ([name]) => !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
    )
    .map(([name, version]) => ({ name, version, isDev: entry.dev === true })),
);
for (const { name, version, isDev } of missing) {
  const words = name.split(/[-/]/);
  const os = OS.find((one) => words.includes(one));
  if (os === undefined)
    throw new Error(`${name}: its name does not tell its platform; add it to package-lock.json by hand`);
  const cpu = CPU.find((one) => words.includes(one));
  const isMusl = words.some((word) => word.startsWith("musl"));
  const libc = isMusl ? "musl" : words.some((word) => word.startsWith("gnu")) ? "glibc" : undefined;
  const entry: Entry = { version, optional: true, os: [os] };
  if (cpu !== undefined) entry.cpu = [cpu];
  if (libc !== undefined) entry.libc = [libc];
  if (isDev) entry.dev = true;
  lock.packages[`node_modules/${name}`] = entry;
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${missing.length} entries added`);
