// The generated parts of providers/README.md: what each provider can do, what becomes of request fields, known limits.
import { providers } from "../../providers/index.ts";
import type { FieldClass, Outbound } from "../../src/dialect.ts";
import { BEHAVIOURS } from "./behaviours.ts";
import { cast } from "./cast.ts";
import { DEFECTS, LIMITS, reasonIn, SKIPS } from "./skips.ts";

/** Sections by the name of their markers, `<!-- name -->` and `<!-- /name -->`. */
export const SECTIONS: Readonly<Record<string, () => string>> = {
  behaviours: behaviourTable,
  fields: fieldTables,
  limits: () => [...LIMITS.map((limit) => `* ${limit}`), ...defectList()].join("\n"),
};

export function withSections(readme: string): string {
  return Object.entries(SECTIONS).reduce((text, [name, render]) => {
    const [open, close] = [`<!-- ${name} -->\n`, `\n<!-- /${name} -->`];
    const [start, end] = [text.indexOf(open), text.indexOf(close)];
    if (start === -1 || end === -1) throw new Error(`providers/README.md has no section <!-- ${name} -->`);
    return text.slice(0, start) + open + render() + text.slice(end);
  }, readme);
}

function behaviourTable(): string {
  const columns = [...new Set(BEHAVIOURS.map(({ column }) => column))];
  const notes: string[] = [];
  const rows = cast.map(({ provider }) => {
    const cells = columns.map((column) => cell(provider.id, column, notes));
    return `| \`${provider.id}\` | ${cells.join(" | ")} |`;
  });
  const head = `| Provider | ${columns.join(" | ")} |\n|---|${columns.map(() => "---").join("|")}|`;
  return `${head}\n${rows.join("\n")}\n\n${notes.map((note, at) => `${at + 1}. ${note}`).join("\n")}`;
}

function cell(provider: string, column: string, notes: string[]): string {
  const titles = BEHAVIOURS.filter((behaviour) => behaviour.column === column).map(({ title }) => title);
  const reasons = titles.map(
    (title) => reasonIn(SKIPS, provider, column, title) ?? reasonIn(DEFECTS, provider, column, title),
  );
  const told = [...new Set(reasons.filter((reason) => reason !== undefined))];
  if (told.length === 0) return "yes";
  const numbers = told.map((reason) => numberOf(reason, notes)).join(", ");
  return `${reasons.every((reason) => reason !== undefined) ? "no" : "in part"} (${numbers})`;
}

function numberOf(note: string, notes: string[]): number {
  if (!notes.includes(note)) notes.push(note);
  return notes.indexOf(note) + 1;
}

function fieldTables(): string {
  const named = (id: string) => providers.find((provider) => provider.id === id)?.dialect as Outbound;
  const dialects = [named("openai"), named("anthropic"), named("google"), named("bedrock-converse"), named("cohere")];
  const fields = [...new Set(dialects.flatMap((dialect) => Object.keys(dialect.fields ?? {})))].sort();
  const rows = fields.map(
    (field) => `| \`${field}\` | ${dialects.map(({ fields: all }) => said(all?.[field])).join(" | ")} |`,
  );
  const head = `| Field | ${dialects.map(({ id }) => id).join(" | ")} |\n|---|${dialects.map(() => "---").join("|")}|`;
  return `${head}\n${rows.join("\n")}\n\n${departures(named("openai"))}`;
}

/** A field that no table knows is passed on to the same protocol, and dropped with a report elsewhere. */
function said(told: FieldClass | undefined): string {
  if (told === undefined) return "–";
  return told.note === undefined ? told.class : `${told.class}: ${told.note.replaceAll("|", "\\|")}`;
}

/** Providers with OpenAI's protocol, where they treat a field in another way than OpenAI itself. */
function departures(openai: Outbound): string {
  const compatible = providers.filter(
    ({ dialect, standsInFor }) => dialect.id === openai.id && standsInFor === undefined,
  );
  const rows = compatible.flatMap(({ id, dialect }) => {
    const others = Object.entries(dialect.fields ?? {}).filter(
      ([field, told]) => said(told) !== "mapped" && said(told) !== said(openai.fields?.[field]),
    );
    const groups = Map.groupBy(others, ([, told]) => said(told));
    const text = [...groups]
      .map(([how, of]) => `${how} (${of.map(([field]) => `\`${field}\``).join(", ")})`)
      .join("; ");
    return text === "" ? [] : [`| \`${id}\` | ${text} |`];
  });
  return `| Provider | Unlike openai-chat above, and not simply mapped |\n|---|---|\n${rows.join("\n")}`;
}

function defectList(): string[] {
  return Object.entries(DEFECTS).flatMap(([provider, reasons]) =>
    [...new Set(Object.values(reasons))].map((reason) => `* To be mended: \`${provider}\`: ${reason}.`),
  );
}
