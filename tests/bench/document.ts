/** Puts the result of a bench run into a document, so that no figure there is typed by hand. */
import { readFileSync, writeFileSync } from "node:fs";

/** `text` with the lines between `<!-- NAME: begin … -->` and `<!-- NAME: end -->` replaced. Throws where they are missing. */
export function withSection(text: string, name: string, body: string): string {
  const begin = new RegExp(`<!-- ${name}: begin[^>]*-->\n`).exec(text);
  const end = text.indexOf(`<!-- ${name}: end -->`);
  if (begin === null || end < begin.index) throw new Error(`there is no section "${name}" in the document`);
  return `${text.slice(0, begin.index + begin[0].length)}\n${body.trim()}\n\n${text.slice(end)}`;
}

export function writeSection(file: string, name: string, body: string): void {
  writeFileSync(file, withSection(readFileSync(file, "utf8"), name, body));
  console.error(`written into ${file}`);
}
