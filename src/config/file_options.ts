/**
 * Configuration files as one step of building the options (operations.md 1.2, 2.1): which file is read for which
 * half, in which order, and what an operator is told when it cannot be used.
 */
import { natsNames, readNatsHalf } from "./file_nats.ts";
import { readStreamingHalf, streamingNames } from "./file_streaming.ts";
import { type ConfigNote, FileReport } from "./file_values.ts";
import { ConfigError } from "./language/errors.ts";
import { type ConfigSources, type ConfigTree, parseConfigFile } from "./language/parser.ts";
import { type Place, placeText } from "./language/values.ts";
import type { OptionsDraft } from "./option_types.ts";

/** What came of the files. With errors the draft is of no use. */
export interface FilesOutcome {
  /** Lines for stderr. */
  readonly errors: readonly string[];
  /** Lines for stderr as well, although the server may start. */
  readonly warnings: readonly string[];
  readonly notes: readonly ConfigNote[];
  /** Where a field of the options was set. */
  readonly setAt: ReadonlyMap<string, Place>;
  /** The store type asked for, in capitals. It is judged together with the command line. */
  readonly store: { readonly type: string; readonly at: Place } | undefined;
  /** The encryption key of the file; undefined = not given. */
  readonly encryptionKey: { readonly text: string; readonly at: Place } | undefined;
  readonly hasUserList: boolean;
  readonly hasAuthTimeout: boolean;
}

/** Reads the files that `draft.configFiles` names into the draft. */
export function applyConfigFiles(draft: OptionsDraft, sources: ConfigSources): FilesOutcome {
  const { nats, streaming } = draft.configFiles;
  const report = new FileReport();
  const natsFile = nats === "" ? streaming : nats;
  const streamingFile = draft.coreOnly ? "" : streaming === "" ? nats : streaming;

  let half = { hasUserList: false, hasAuthTimeout: false };
  let store: FilesOutcome["store"];
  let encryptionKey: FilesOutcome["encryptionKey"];
  let tree: ConfigTree | undefined;
  let lines: readonly string[] = [];
  if (natsFile !== "") {
    lines = told(() => {
      tree = parseConfigFile(natsFile, sources);
      noteLost(tree, report);
      if (tree.root.entries.size === 0) report.warnings.push(`${natsFile}: config has no values or is empty`);
      half = readNatsHalf(tree.root, { draft, report, sources }, draft.coreOnly ? new Set() : streamingNames());
    }, (error) => [error.operatorLine]);
    if (lines.length === 0 && report.errors.length > 0) {
      // An empty line behind the list, as the reference prints it.
      lines = [...report.warnings, ...report.errors.map((error) => error.operatorLine), ""];
    }
    // Without -c the reference does not start with a warning.
    if (lines.length === 0 && nats === "" && report.warnings.length > 0) lines = [...report.warnings, ""];
  }
  if (streamingFile !== "" && lines.length === 0) {
    lines = told(() => {
      const isSame = streamingFile === natsFile;
      const own = isSame && tree !== undefined ? tree : parseConfigFile(streamingFile, sources);
      if (!isSame) noteLost(own, report);
      const found = readStreamingHalf(own.root, draft, report, isSame ? natsNames() : new Set());
      if (found.store !== undefined) store = { type: found.store.type, at: found.store.value.at };
      const key = found.encryptionKey;
      if (key !== undefined) encryptionKey = { text: key.value, at: key.at };
    }, streamingError);
  }
  const { notes, setAt, warnings } = report;
  return { errors: lines, warnings, notes, setAt, store, encryptionKey, ...half };
}

/** The lines of the error that `read` ends with; none when it does not. */
function told(read: () => void, linesOf: (error: ConfigError) => readonly string[]): readonly string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return linesOf(error);
  }
}

/** The reference's line has no place; scripts compare it, so ours stands on a line of its own. */
function streamingError(error: ConfigError): readonly string[] {
  if (error.at === undefined) return [error.message];
  if (error.code === "CONFIG_SYNTAX") return [error.operatorLine];
  return [error.message, `The value stands at ${placeText(error.at)}.`];
}

/** What the reference loses in silence. */
function noteLost(tree: ConfigTree, report: FileReport): void {
  for (const text of tree.warnings) report.notes.push({ level: "warning", text });
}
