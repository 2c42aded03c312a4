// Complaints about a file as a person wants to see them: place, message, the line itself and a caret under the spot.
import { type FileError, formatFileError, type Source } from "./yaml.ts";

const SHOWN_CHARS = 120;
/** A file of garbage has an error on every line, and nobody reads past the first few. */
const SHOWN_MAX = 20;

/** Each complaint with its line, indented by `indent` blanks. */
export function showFileErrors(
  errors: readonly FileError[],
  sources: readonly Source[],
  indent = 0,
  shownMax = SHOWN_MAX,
): string {
  const texts = new Map(sources.map(({ file, text }) => [file, text]));
  const shown = errors.slice(0, shownMax).map((error) => withExcerpt(error, texts.get(error.file)));
  if (errors.length > shownMax) shown.push(`… and ${errors.length - shownMax} more`);
  const margin = " ".repeat(indent);
  return shown.map((text) => `${margin}${text.replaceAll("\n", `\n${margin}`)}`).join("\n");
}

/** `file:line:column  message`, then the line with a caret, unless the message has one of its own (conditions do). */
function withExcerpt(error: FileError, text: string | undefined): string {
  const head = formatFileError(error).replaceAll("\n", "\n    ");
  const excerpt = /^\s*\^/m.test(error.message) ? undefined : excerptOf(error, text);
  return excerpt === undefined ? head : `${head}\n${excerpt}`;
}

function excerptOf({ line, column }: FileError, text: string | undefined): string | undefined {
  const found = text?.split(/\r?\n/)[line - 1];
  if (found === undefined || found.trim() === "") return undefined;
  // A column far to the right is shown with what stands before it.
  const from = Math.max(0, column - SHOWN_CHARS + 20);
  const shown = found.slice(from, from + SHOWN_CHARS).replaceAll("\t", " ");
  const number = String(line);
  return [
    `    ${number} | ${from > 0 ? "…" : ""}${shown}${found.length > from + SHOWN_CHARS ? "…" : ""}`,
    `    ${" ".repeat(number.length)} | ${" ".repeat(column - 1 - from + (from > 0 ? 1 : 0))}^`,
  ].join("\n");
}
