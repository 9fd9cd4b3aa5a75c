/** What the tests of configuration files share: files in memory, plain values of a tree, options of a text. */
import { ConfigError } from "../../../src/config/language/errors.ts";
import type { ConfigValue } from "../../../src/config/language/values.ts";
import { type ConfigSources, parseConfigText } from "../../../src/config/language/parser.ts";
import { type Options, parseCommandLine, type ParsedCommandLine } from "../../../src/config/options.ts";

/** Files and variables in memory. */
export function memorySources(files: Record<string, string> = {}, env: Record<string, string> = {}): ConfigSources {
  return {
    readFile: (path) => {
      const text = Object.hasOwn(files, path) ? files[path] : undefined;
      return text === undefined ? { ok: false, reason: "no such file or directory" } : { ok: true, text };
    },
    env: (name) => Object.hasOwn(env, name) ? env[name] : undefined,
  };
}

/** A tree as plain values; integers are numbers, dates `Date`s. */
export function plain(value: ConfigValue): unknown {
  switch (value.kind) {
    case "integer":
      return Number(value.value);
    case "date":
      return new Date(value.unixMs);
    case "list":
      return value.items.map(plain);
    case "map":
      return Object.fromEntries([...value.entries.values()].map((entry) => [entry.key, plain(entry.value)]));
    default:
      return value.value;
  }
}

/** The plain values of a text. */
export function parse(text: string, sources: ConfigSources = memorySources()): unknown {
  return plain(parseConfigText("f.conf", text, sources).root);
}

/** The line an operator would read. */
export function syntaxError(text: string, sources: ConfigSources = memorySources()): string {
  try {
    parseConfigText("f.conf", text, sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.operatorLine;
    throw error;
  }
  throw new Error(`not refused: ${text}`);
}

/** Files that TLS blocks of tests may name. */
const PEM_FILES = { "cert.pem": "c", "key.pem": "k", "ca.pem": "a" };

/** The command line of a server with the file `f.conf`. */
export function commandLine(text: string, args: readonly string[] = ["-c", "f.conf"]): ParsedCommandLine {
  return parseCommandLine(args, "stanchion", memorySources({ ...PEM_FILES, "f.conf": text }));
}

/** The accepted outcome of a file. */
export function accepted(text: string, args: readonly string[] = ["-c", "f.conf"]) {
  const parsed = commandLine(text, args);
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed));
  return parsed;
}

/** The options of a file. */
export function optionsOf(text: string, ...more: string[]): Options {
  return accepted(text, ["-c", "f.conf", ...more]).options;
}

/** The lines that a file is refused with. */
export function refusal(text: string, ...more: string[]): readonly string[] {
  const parsed = commandLine(text, ["-c", "f.conf", ...more]);
  if (parsed.kind !== "error") throw new Error(`not refused: ${text}`);
  return parsed.messages;
}
