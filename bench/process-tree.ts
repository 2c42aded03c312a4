// What a program that is not ours has used, its children included, by Linux's accounts (`/proc`): in steps of 10 ms.
import { readdirSync, readFileSync } from "node:fs";
import type { Sample } from "./control.ts";

const TICK_US = 10_000;
const PAGE_BYTES = 4_096;
/** Fields of /proc/PID/stat after the name in brackets, by proc(5). */
const FIELDS = { parent: 1, userTicks: 11, systemTicks: 12, rssPages: 21 };

/** CPU of processes of the tree that have ended is not in it. */
export function sampleTree(root: number): Sample {
  const stats = new Map(
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => statOf(name)),
  );
  const members = new Set([root]);
  for (let size = 0; size !== members.size; ) {
    size = members.size;
    for (const [id, fields] of stats) if (members.has(fields[FIELDS.parent] ?? 0)) members.add(id);
  }
  const sample = { cpuUs: 0, mainThreadCpuUs: 0, rssBytes: 0 };
  for (const id of members) {
    const fields = stats.get(id) ?? [];
    sample.cpuUs += ((fields[FIELDS.userTicks] ?? 0) + (fields[FIELDS.systemTicks] ?? 0)) * TICK_US;
    sample.rssBytes += (fields[FIELDS.rssPages] ?? 0) * PAGE_BYTES;
  }
  return { ...sample, mainThreadCpuUs: sample.cpuUs };
}

function statOf(name: string): [number, number[]][] {
  try {
    const text = readFileSync(`/proc/${name}/stat`, "utf8");
    return [
      [
        Number(name),
        text
          .slice(text.lastIndexOf(")") + 2)
          .split(" ")
          .map(Number),
      ],
    ];
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
