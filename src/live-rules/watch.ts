// Keeps the rules current while the router runs. Hides how editors and config maps save: in place, by renaming a temporary
// file, by deleting and writing anew, by swapping a symbolic link. What is being written is never used.
import { type FSWatcher, watch } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { showFileErrors } from "../excerpt.ts";
import type { FileError, Source } from "../yaml.ts";
import { folderSignature, type Reading, readRulesFolder } from "./folder.ts";

/** Snapshot and counters of what happened to the rules; what /health shows and metrics can read. */
export interface RulesStatus {
  /** When the rules in force were read. */
  loadedAtMs: number;
  /** Why the folder as it is now is not in force; empty when it is. */
  errors: readonly FileError[];
  /** Edits that took effect. */
  reloads: number;
  /** Edits that were refused. */
  refusals: number;
}

export interface LiveRules<T> {
  /** What is in force. A new object after each edit, never changed in place. */
  current(): T;
  status(): RulesStatus;
  /** Reads the folder now, whether or not anything seems to have changed. Resolves when that is done. */
  reload(): Promise<void>;
  close(): void;
}

export interface WatchOptions<T> {
  dir: string;
  /** What the router started with. */
  first: { value: T; sources: Source[] };
  build(sources: Source[]): { value: T } | { errors: FileError[] };
  /** What an edit changed, for the log. */
  describe(before: T, after: T): string;
  onChange?(value: T): void;
  log(message: string): void;
  nowMs(): number;
  /** Tests bring their own time. Resolves early when the signal aborts; never rejects. */
  wait?(ms: number, signal?: AbortSignal): Promise<void>;
  read?(dir: string): Reading;
}

// Together less than a second from the last write to the effect, also where the system reports no changes.
const POLL_MS = 400;
const SETTLE_SUSPICIOUS_MS = 500;
const SETTLE_MS = 200;
/** Shorter than the time between the edits of a script in a hurry, or its edits would never be read. */
const SETTLE_WHOLE_MS = 40;
/** Between two looks, however many changes are reported. */
const GAP_MS = 50;
/** Some file systems tell times to the second: every so many looks the text itself is compared. */
const FULL_EVERY = 10;

/** Starts at once; the caller closes it. */
export function watchRules<T>(options: WatchOptions<T>): LiveRules<T> {
  const watching = new RulesWatch({ wait: waitFor, read: readRulesFolder, onChange: () => {}, ...options });
  void watching.run();
  return watching;
}

function waitFor(ms: number, signal?: AbortSignal): Promise<void> {
  return delay(ms, undefined, { ref: false, ...(signal === undefined ? {} : { signal }) }).catch(() => {});
}

class RulesWatch<T> implements LiveRules<T> {
  readonly #options: Required<WatchOptions<T>>;
  #value: T;
  #sources: Source[];
  #status: RulesStatus;
  /** The reading that was judged last, whichever way: the same text is not judged twice. */
  #judged: string;
  #signature: string | undefined;
  #looks = 0;
  #watcher: FSWatcher | undefined;
  #watchedFolder = "";
  #nudge = new AbortController();
  #asked: (() => void)[] = [];
  #isClosed = false;

  constructor(options: Required<WatchOptions<T>>) {
    this.#options = options;
    this.#value = options.first.value;
    this.#sources = options.first.sources;
    this.#judged = fingerprint({ sources: this.#sources, errors: [] });
    this.#status = { loadedAtMs: options.nowMs(), errors: [], reloads: 0, refusals: 0 };
  }

  current(): T {
    return this.#value;
  }

  status(): RulesStatus {
    return this.#status;
  }

  reload(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      this.#nudge.abort();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
    this.#nudge.abort();
    for (const resolve of this.#asked.splice(0)) resolve();
  }

  /** One loop, so that looks never overlap and any number of reports leads to one more look. */
  async run(): Promise<void> {
    const { wait, log } = this.#options;
    while (!this.#isClosed) {
      const asked = this.#asked.splice(0);
      try {
        await this.#look(asked.length > 0);
      } catch (error) {
        log(`The rules could not be looked at: ${(error as Error).stack}`);
      }
      for (const resolve of asked) resolve();
      await wait(GAP_MS);
      await wait(POLL_MS - GAP_MS, this.#nudge.signal);
      this.#nudge = new AbortController();
    }
  }

  async #look(isAsked: boolean): Promise<void> {
    const signature = await folderSignature(this.#options.dir);
    this.#watch(signature.folder);
    this.#looks += 1;
    const isSame = signature.files === this.#signature && this.#looks % FULL_EVERY !== 0;
    if (isSame && !isAsked) return;
    this.#signature = signature.files;
    const reading = await this.#settled(isAsked);
    if (reading !== undefined && !this.#isClosed) this.#judge(reading);
  }

  /** The folder once it reads the same twice; `undefined` when it reads as it did last time. */
  async #settled(isAsked: boolean): Promise<Reading | undefined> {
    const { wait, dir, read } = this.#options;
    let seen = read(dir);
    while (!this.#isClosed) {
      if (!isAsked && fingerprint(seen) === this.#judged) return undefined;
      await wait(settleMs(seen, this.#sources));
      const again = read(dir);
      if (fingerprint(again) === fingerprint(seen)) return again;
      seen = again;
    }
    return undefined;
  }

  #judge(reading: Reading): void {
    const isNew = fingerprint(reading) !== this.#judged;
    this.#judged = fingerprint(reading);
    const built = this.#build(reading);
    if ("errors" in built) {
      this.#refuse(built.errors, reading);
      return;
    }
    const { describe, log, nowMs, onChange } = this.#options;
    const before = this.#value;
    this.#value = built.value;
    this.#sources = reading.sources;
    const reloads = this.#status.reloads + (isNew ? 1 : 0);
    this.#status = { ...this.#status, loadedAtMs: nowMs(), errors: [], reloads };
    log(`Rules read again: ${describe(before, built.value)}.`);
    if (isNew) onChange(built.value);
  }

  #build({ sources, errors }: Reading): { value: T } | { errors: FileError[] } {
    if (errors.length > 0) return { errors };
    if (sources.length > 0 || this.#sources.length === 0) return this.#options.build(sources);
    // A volume that is not there yet, or `rm *`: dropping every rule, refusals included, is never what is meant.
    const message = "no rule file (*.yaml) is left in this folder. To have no rules, keep one that says `version: 1`.";
    return { errors: [{ file: this.#options.dir, line: 1, column: 1, message }] };
  }

  #refuse(errors: FileError[], { sources }: Reading): void {
    this.#status = { ...this.#status, errors, refusals: this.#status.refusals + 1 };
    const shown = showFileErrors(errors, sources, 2);
    this.#options.log(`The rules cannot be used as they are now; those read before stay in force:\n${shown}`);
  }

  /** (Re)starts the system's reports for the folder, which follow the folder itself, not its name. */
  #watch(folder: string): void {
    const identity = folder.split(":").slice(0, 2).join(":");
    if (identity === this.#watchedFolder) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watchedFolder = identity;
    try {
      this.#watcher = watch(this.#options.dir, { persistent: false }, () => this.#nudge.abort());
      // Without reports (too many watches, a network disk) looking every so often is enough.
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch {
      this.#watchedFolder = "";
    }
  }
}

function fingerprint({ sources, errors }: Reading): string {
  return JSON.stringify([sources, errors]);
}

/** How long a folder must stay as it is to be believed, by how much it looks like the middle of a save. */
function settleMs({ sources, errors }: Reading, before: readonly Source[]): number {
  if (errors.length > 0 || before.some(({ file }) => !sources.some((source) => source.file === file)))
    return SETTLE_SUSPICIOUS_MS;
  const waits = sources.map(({ file, text }) =>
    fileSettleMs(text, before.find((source) => source.file === file)?.text),
  );
  return Math.max(SETTLE_WHOLE_MS, ...waits);
}

/** So long an end of a file hardly ever stands in its middle as well. */
const END_CHARS = 80;

function fileSettleMs(text: string, old: string | undefined): number {
  if (text === old) return SETTLE_WHOLE_MS;
  // Empty, cut within a line, or the beginning of what it was.
  if (!text.endsWith("\n") || old?.startsWith(text) === true) return SETTLE_SUSPICIOUS_MS;
  // Changed somewhere in the middle and written to its end, as most edits are.
  const isWhole = old !== undefined && old.length >= END_CHARS && text.endsWith(old.slice(-END_CHARS));
  return isWhole ? SETTLE_WHOLE_MS : SETTLE_MS;
}
