// The rules folder on disk: which of its files count, how large they may be, and how to tell that one has changed.
import { isUtf8 } from "node:buffer";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FileError, Source } from "../yaml.ts";

// Compiling is done on the thread that serves requests: a megabyte of YAML would keep it for half a second.
const FILES_MAX = 100;
const FILE_BYTES_MAX = 256 * 1024;
const FOLDER_BYTES_MAX = 1024 * 1024;

export interface Reading {
  /** In name order. */
  sources: Source[];
  /** Files that cannot be used as they are; then `sources` is not the whole folder. */
  errors: FileError[];
}

/** All rule files of a folder. What cannot be read is an error with a place, never a throw. */
export function readRulesFolder(dir: string): Reading {
  const listed = listFolder(dir);
  if ("problem" in listed) return { sources: [], errors: [atTop(dir, listed.problem)] };
  const { names } = listed;
  if (names.length > FILES_MAX) {
    const message = `this folder holds ${names.length} rule files; at most ${FILES_MAX} are accepted.`;
    return { sources: [], errors: [atTop(dir, message)] };
  }
  const reading: Reading = { sources: [], errors: [] };
  let bytesLeft = FOLDER_BYTES_MAX;
  for (const name of names) {
    const file = join(dir, name);
    const read = readRuleFile(file);
    if ("problem" in read) reading.errors.push(atTop(file, read.problem));
    else if (read.bytes > bytesLeft) {
      const message = `with this file the rules are larger than ${FOLDER_BYTES_MAX} bytes together, the most accepted.`;
      return { ...reading, errors: [...reading.errors, atTop(file, message)] };
    } else {
      bytesLeft -= read.bytes;
      reading.sources.push({ file, text: read.text });
    }
  }
  return reading;
}

/**
 * Differs when files came, went or were written, as far as the file system tells: `folder` names the folder itself,
 * `files` what is in it. Symbolic links are followed, so a config map's swap of `..data` shows. Does not block.
 */
export async function folderSignature(dir: string): Promise<{ folder: string; files: string }> {
  const folder = await signatureOf(dir);
  const names = await readdir(dir).catch(() => undefined);
  if (names === undefined) return { folder, files: "missing" };
  const files = names
    .filter(isRuleFile)
    .sort()
    .slice(0, FILES_MAX + 1);
  const parts = await Promise.all(files.map(async (name) => `${name} ${await signatureOf(join(dir, name))}`));
  return { folder, files: parts.join("\n") };
}

async function signatureOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found === undefined ? "missing" : [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(":");
}

/** Editors put locks, swap files and backups beside a file; theirs begin with a dot or end otherwise. */
function isRuleFile(name: string): boolean {
  return /^[^.].*\.ya?ml$/.test(name);
}

function listFolder(dir: string): { names: string[] } | { problem: string } {
  try {
    return { names: readdirSync(dir).filter(isRuleFile).sort() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { problem: "this rules folder does not exist (--rules, SIGNALBOX_RULES)." };
    if (code === "ENOTDIR") return { problem: "this is not a folder; rules are all *.yaml files of one." };
    return { problem: `this rules folder cannot be read (${code ?? "unknown reason"}).` };
  }
}

function readRuleFile(file: string): { text: string; bytes: number } | { problem: string } {
  try {
    const found = statSync(file);
    const { size } = found;
    // Asked before reading: a pipe would never end.
    if (!found.isFile()) return { problem: "this is not a file." };
    if (size > FILE_BYTES_MAX) {
      return { problem: `this file has ${size} bytes; at most ${FILE_BYTES_MAX} are accepted. Rules may be split.` };
    }
    const content = readFileSync(file);
    if (!isUtf8(content)) return { problem: "this file is not UTF-8 text." };
    return { text: content.toString("utf8"), bytes: content.length };
  } catch (error) {
    return { problem: `this file cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown reason"}).` };
  }
}

function atTop(file: string, message: string): FileError {
  return { file, line: 1, column: 1, message };
}
