/**
 * A page of the manual as a list of steps, so that a test can do what a reader would do.
 *
 * Blocks fenced as `sh` are commands, and one fenced as `text` right behind is what they print. What a reader sees from the
 * text around a block, the test is told by a comment that is not shown:
 *
 *   <!-- docs: server -->                 the next block starts a server, which goes on
 *   <!-- docs: background -->             the next block starts a command that goes on, in a terminal of its own
 *   <!-- docs: shown in background -->    the next block of text is what that command shows by now
 *   <!-- docs: stopped -->                the server has ended before the next block begins
 *   <!-- docs: status 1 -->               the next block ends with this status instead of 0
 *   <!-- docs: file NAME -->              the next block is the content of this file
 *   <!-- docs: golden NAME -->            the next block finds this directory of the original as "data"
 *   <!-- docs: not run: REASON -->        the next block cannot run in a test
 */

/** What a test does for one block. */
export type DocsStep =
  | { readonly kind: "run"; readonly line: number; readonly script: string; readonly status: number; output?: string }
  | { readonly kind: "server" | "background"; readonly line: number; readonly script: string }
  | { readonly kind: "shown"; readonly line: number; readonly output: string }
  | { readonly kind: "stopped"; readonly line: number }
  | { readonly kind: "file"; readonly line: number; readonly name: string; readonly text: string }
  | { readonly kind: "golden"; readonly line: number; readonly name: string }
  /** A configuration without a name: it must be valid, and nothing else happens. */
  | { readonly kind: "config"; readonly line: number; readonly text: string }
  | { readonly kind: "notRun"; readonly line: number; readonly script: string; readonly reason: string };

/** A page that a test cannot follow: a mistake in it. */
export class DocsPageError extends Error {
  override readonly name = "DocsPageError";
}

interface Block {
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

const MARKER = /^<!-- docs: (.*) -->$/;

/** The steps of a page, in its order. */
export function docsSteps(path: string, page: string): DocsStep[] {
  const steps: DocsStep[] = [];
  const lines = page.split("\n");
  let marker: { readonly text: string; readonly line: number } | undefined;
  /** Blocks of text are output only right behind the commands that print it. */
  let justRan: Extract<DocsStep, { kind: "run" }> | undefined;
  const fail = (line: number, why: string): never => {
    throw new DocsPageError(`${path}:${line}: ${why}`);
  };
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] as string;
    const number = index + 1;
    const marked = MARKER.exec(line.trim());
    if (marked !== null) {
      const text = marked[1] as string;
      if (text === "stopped") steps.push({ kind: "stopped", line: number });
      else if (text.startsWith("golden ")) steps.push({ kind: "golden", line: number, name: text.slice(7) });
      else if (marker !== undefined) fail(number, `the comment of line ${marker.line} has no block`);
      else marker = { text, line: number };
      continue;
    }
    const fence = /^( *)```(\w*)$/.exec(line);
    if (fence === null) {
      if (line.trim() !== "") justRan = undefined;
      continue;
    }
    const end = lines.findIndex((other, at) => at > index && other === `${fence[1]}\`\`\``);
    if (end === -1) fail(number, "a block without an end");
    const indent = (fence[1] as string).length;
    const text = lines.slice(index + 1, end).map((line) => line.slice(indent)).join("\n");
    const block: Block = { line: number, language: fence[2] as string, text: `${text}\n` };
    index = end;
    const step = stepOf(block, marker?.text, justRan, fail);
    marker = undefined;
    if (step !== undefined) steps.push(step);
    justRan = step?.kind === "run" ? step : undefined;
  }
  if (marker !== undefined) fail(marker.line, "a comment without a block");
  return steps;
}

function stepOf(
  { line, language, text }: Block,
  marker: string | undefined,
  justRan: Extract<DocsStep, { kind: "run" }> | undefined,
  fail: (line: number, why: string) => never,
): DocsStep | undefined {
  const name = /^file (\S+)$/.exec(marker ?? "")?.[1];
  if (name !== undefined) return { kind: "file", line, name, text };
  if (marker === "shown in background") {
    return language === "text" ? { kind: "shown", line, output: text } : fail(line, "no block of text");
  }
  if (language === "sh") {
    if (marker === undefined) return { kind: "run", line, script: text, status: 0 };
    if (marker === "server" || marker === "background") return { kind: marker, line, script: text };
    const status = /^status (\d+)$/.exec(marker);
    if (status !== null) return { kind: "run", line, script: text, status: Number(status[1]) };
    const reason = /^not run: (.+)$/.exec(marker);
    if (reason !== null) return { kind: "notRun", line, script: text, reason: reason[1] as string };
  }
  if (marker !== undefined) return fail(line, `a comment that means nothing here: ${marker}`);
  if (language === "conf") return { kind: "config", line, text };
  if (language === "text" && justRan !== undefined) justRan.output = text;
  return undefined;
}

/** Times, identifiers and the like: what differs from run to run becomes what it is. */
export function withoutVolatile(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, "<time>")
    .replaceAll(/\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d+/g, "<time>")
    .replaceAll(/^\[\d+\]/gm, "[<pid>]")
    .replaceAll(/\b\d+(?:\.\d+)? ?m?s\b/g, "<duration>")
    .replaceAll(/\bguid \w+/g, "guid <guid>");
}

/** Why what was printed is not what the page shows; undefined if it is. A line "..." stands for any number of lines. */
export function outputDifference(shown: string, printed: string): string | undefined {
  const pattern = withoutVolatile(shown).trimEnd().split("\n")
    .map((line) => line.trim() === "..." ? "(?:.*\\n)*?" : `${escapePattern(line.trimEnd())}[ \\t]*\\n`).join("");
  const text = `${withoutVolatile(printed).trimEnd()}\n`;
  if (new RegExp(`^${pattern}$`).test(text)) return undefined;
  return `The page shows:\n${shown}\nIt printed:\n${printed}`;
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
