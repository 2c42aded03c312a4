// Comma-separated values as RFC 4180 has them: written for spreadsheets, read strictly.

export function formatCsv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function field(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export class CsvError extends Error {
  override readonly name = "CsvError";
}

export interface CsvRecord {
  /** 1-based, of its first character. */
  line: number;
  fields: string[];
}

/** A field in quotes, or one without; `y`: matched just where the last one ended. */
const QUOTED = /"((?:[^"]|"")*)"/y;
const PLAIN = /[^",\r\n]*/y;
const END_OF_LINE = /\r?\n/y;

/**
 * Records with as many fields as the first one has. A byte-order mark is passed over, line feeds alone end a line too,
 * empty lines do not count. Throws a CsvError that names line and column.
 */
export function parseCsv(text: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  let at = text.startsWith("\uFEFF") ? 1 : 0;
  let line = 1;
  let lineStart = at;
  const fail = (what: string, place = at): never => {
    throw new CsvError(`line ${line}, column ${place - lineStart + 1}: ${what}`);
  };
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  while (at < text.length) {
    const record: CsvRecord = { line, fields: [] };
    do {
      if (text[at] === '"') {
        const start = at;
        const value = take(QUOTED)?.[1] ?? fail("the quote that opens here is never closed", start);
        const breaks = value.split("\n").length - 1;
        line += breaks;
        if (breaks > 0) lineStart = text.lastIndexOf("\n", at - 1) + 1;
        record.fields.push(value.replaceAll('""', '"'));
      } else record.fields.push(take(PLAIN)?.[0] ?? "");
    } while (text[at] === "," && ++at <= text.length);
    const end = at;
    if (take(END_OF_LINE) === null && at < text.length)
      fail(`expected a comma or the end of the line; found ${JSON.stringify(text[at])}`);
    const expected = records[0]?.fields.length ?? record.fields.length;
    const isEmpty = record.fields.length === 1 && record.fields[0] === "" && (text[end - 1] ?? "\n") !== '"';
    if (!isEmpty && record.fields.length !== expected)
      fail(`${record.fields.length} fields where the first line has ${expected}`, end);
    if (!isEmpty) records.push(record);
    line += 1;
    lineStart = at;
  }
  return records;
}
