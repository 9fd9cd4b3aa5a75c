/** The command line of this process, and the files that it names as they are whenever they are read. */
import { CONSOLE_TOKEN_VARIABLE, type FileText, parseCommandLine, type ParsedCommandLine } from "../config/options.ts";
import { type Files, type Runtime, RuntimeError } from "../runtime/types.ts";
import { ENCRYPTION_KEY_VARIABLE, KEY_STAND_IN } from "./encryption.ts";

/** Reads everything anew at each call. */
export type OptionsReader = () => ParsedCommandLine;

/**
 * The reader for this process. Takes the console token out of the environment, so that no program that is run from here gets
 * it; the encryption key is taken by the server that needs it.
 */
export function optionsReader({ process, files }: Pick<Runtime, "process" | "files">): OptionsReader {
  const token = process.env(CONSOLE_TOKEN_VARIABLE);
  process.unsetEnv(CONSOLE_TOKEN_VARIABLE);
  const hasKey = (process.env(ENCRYPTION_KEY_VARIABLE) ?? "") !== "";
  const env = (name: string): string | undefined => {
    if (name === CONSOLE_TOKEN_VARIABLE) return token;
    // A file may name the variable of the key, also when it is read again and the variable is gone. What it is given does
    // not matter: the variable itself beats the file.
    return name === ENCRYPTION_KEY_VARIABLE && hasKey ? KEY_STAND_IN : process.env(name);
  };
  return () =>
    parseCommandLine(process.args, process.programName, { readFile: (path) => readConfig(files, path), env });
}

/** A file of the configuration; the reason is in the words that the reference takes from the system. */
function readConfig(files: Pick<Files, "readText">, path: string): FileText {
  try {
    return { ok: true, text: files.readText(path) };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    if (error.code === "NOT_FOUND") return { ok: false, reason: "no such file or directory" };
    return { ok: false, reason: error.code === "PERMISSION_DENIED" ? "permission denied" : error.message };
  }
}
