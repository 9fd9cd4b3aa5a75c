/** Writes docs/command_line.md from the table of commands. A test compares the two. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandsMarkdown } from "../src/cli/help.ts";
import { ROOT } from "./project.ts";

/** The file, from the root of the repository. */
export const COMMAND_DOCS = "docs/command_line.md";

if (import.meta.main) {
  writeFileSync(join(ROOT, COMMAND_DOCS), commandsMarkdown());
  console.log(`wrote ${COMMAND_DOCS}`);
}
