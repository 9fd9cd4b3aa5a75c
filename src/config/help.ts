/**
 * The texts of `--help` and `--help_tls`, made from the option table. Groups with nothing to offer in this version are
 * left out; the last line says which kinds of options come later.
 */
import { HELP_GROUPS, type HelpGroup, type OptionRow, optionsFor } from "./option_table.ts";
import { CIPHER_SUITES, CURVES } from "./file_tls.ts";
import { commandsOf } from "./commands.ts";
import { programRole } from "./version.ts";

/** Column at which the explanations begin. */
const TEXT_COLUMN = 42;

/** The streaming switches are a part of logging only; readers look for the file and the time stamps there too. */
const GROUP_NOTES: ReadonlyMap<HelpGroup, string> = new Map([
  ["Streaming Server Logging Options", '    (see "Logging Options" for where lines go)'],
]);

/** The names that help shows, short ones first as people type them. */
function listedNames(row: OptionRow): readonly string[] {
  const names = row.names.filter((name) => !row.unlisted.includes(name));
  return names.toSorted((a, b) => a.length - b.length);
}

/** Whether `--help` shows the row. */
export function isInHelp(row: OptionRow): boolean {
  return row.status === "available" && listedNames(row).length > 0;
}

/** Both spellings work for every name; two dashes before words and one before abbreviations is what people expect. */
function isLong(row: OptionRow, name: string): boolean {
  return name === row.names[0] && name !== name.toUpperCase();
}

function entry(row: OptionRow): string {
  const names = listedNames(row).map((name) => `${isLong(row, name) ? "--" : "-"}${name}`).join(", ");
  // A boolean takes a value only behind an equals sign, so a plain "<bool>" would teach an error; and only one that is
  // on by default needs a value at all.
  const value = row.type !== "bool" ? ` ${row.metavar}` : row.default === "true" ? `=${row.metavar}` : "";
  const shown = row.type !== "bool" ? row.default : row.default === "true" ? "true" : "";
  const text = shown === "" ? row.help : `${row.help} (default: ${shown})`;
  const left = `    ${names}${value}`;
  return left.length < TEXT_COLUMN ? left.padEnd(TEXT_COLUMN) + text : `${left}\n${" ".repeat(TEXT_COLUMN)}${text}`;
}

/** Kinds that people look for, in their words. */
const LATER_SUMMARY =
  "Options for the SQL store, clustering, fault tolerance, an external NATS server and routes are known\n" +
  "but not available in this version.";
const LATER_SUMMARY_CORE = "Options for routes are known but not available in this version.";

/** The whole text of `--help`. Begins and ends with an empty line, as the reference's does. */
export function helpText(programName: string): string {
  const coreOnly = programRole(programName) === "nats-server";
  const rows = optionsFor(coreOnly);
  const lines: string[] = ["", `Usage: ${programName} [options]`, ""];
  for (const group of HELP_GROUPS) {
    const entries = rows.filter((row) => row.group === group && isInHelp(row)).map(entry);
    if (entries.length === 0) continue;
    const note = GROUP_NOTES.get(group);
    lines.push(`${group}:`, ...entries, ...(note === undefined ? [] : [note]), "");
  }
  if (!coreOnly) lines.push(...toolLines(programName), "");
  lines.push(coreOnly ? LATER_SUMMARY_CORE : LATER_SUMMARY, "");
  return lines.join("\n") + "\n";
}

/** The words that are commands of their own when they come first. */
function toolLines(programName: string): string[] {
  return [
    `Commands, as the first word ("${programName} COMMAND --help" explains one):`,
    ...commandsOf(programName).map(({ name, summary }) => `    ${name}`.padEnd(TEXT_COLUMN) + summary),
  ];
}

/** The text of `--help_tls`: what this version does, and what it does not do yet. */
export function tlsHelpText(): string {
  return `
TLS for clients, in the configuration file:

    tls {
      cert_file: "server.pem"       # certificate of this server, PEM
      key_file:  "server-key.pem"   # its private key, PEM
      ca_file:   "clients-ca.pem"   # who signs client certificates
      verify:    true               # demand and verify one
      # verify_and_map: true        # the certificate also says which user it is
      # handshake_first: auto       # serve clients that begin with TLS, too
      # allow_non_tls: true         # serve clients without TLS as well
      # timeout: 2                  # seconds for the handshake
      # pinned_certs: ["<sha256>"]  # public keys that clients may have
    }

On the command line: -tls -tlscert FILE -tlskey FILE [-tlscacert FILE] [-tlsverify].

TLS 1.2 and 1.3 with forward secrecy only. Certificates with ECDSA keys cost a
third of what RSA keys cost at each handshake.

A choice of cipher suites or curves is checked and then refused, because not
every platform keeps to one: leave cipher_suites and curve_preferences out.
The names that a file may hold:

${CIPHER_SUITES.map((name) => `    ${name}\n`).join("")}
${CURVES.map((name) => `    ${name}\n`).join("")}
OCSP stapling is not available in this version.

`;
}
