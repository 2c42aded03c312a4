// A disk without room for the journal, whatever the machine has.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { onTestFinished } from "vitest";

/** Until `release`, the disk takes `bytes` more bytes and then says that it is full, in the middle of a line or not. */
export function fillDisk(bytes: number): { release(): void } {
  const { writeSync } = fs;
  let left = bytes;
  const limited = (fd: number, data: Buffer, offset: number) => {
    if (left === 0) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const written = writeSync(fd, data, offset, Math.min(left, data.length - offset));
    left -= written;
    return written;
  };
  const release = () => {
    fs.writeSync = writeSync;
    syncBuiltinESMExports();
  };
  fs.writeSync = limited as typeof writeSync;
  syncBuiltinESMExports();
  onTestFinished(release);
  return { release };
}
