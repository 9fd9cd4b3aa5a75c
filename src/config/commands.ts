/**
 * The words that make a command of the executable when they come first, each with the line that help shows. Apart from
 * what the commands do, because a start of the server looks at nothing but the names.
 */
import { nearestName } from "../base/suggest.ts";
import { programRole } from "./version.ts";

/** Every command, in the order of help. `isCompatible`: it exists under the reference's name of the program, too. */
export const COMMANDS = Object.freeze(
  [
    { name: "pub", summary: "Publish messages to a channel", isCompatible: false },
    { name: "sub", summary: "Show the messages of a channel", isCompatible: false },
    { name: "bench", summary: "Measure how fast messages pass", isCompatible: false },
    { name: "channels", summary: "List channels, look into a store, delete or purge", isCompatible: false },
    { name: "clients", summary: "List connected clients and their subscriptions", isCompatible: false },
    { name: "durables", summary: "List durables, move, pause or delete them", isCompatible: false },
    { name: "trace", summary: "Follow the protocol between clients and server", isCompatible: false },
    { name: "export", summary: "Write the messages of a channel to files", isCompatible: false },
    { name: "check", summary: "Say what is wrong with a directory; changes nothing", isCompatible: true },
    { name: "repair", summary: "Put it right, and keep what is taken out", isCompatible: true },
    { name: "completions", summary: "Print the completions of a shell", isCompatible: false },
    { name: "help", summary: "Explain a command", isCompatible: false },
  ] as const,
);

/** Name of a command. */
export type CommandName = (typeof COMMANDS)[number]["name"];

/** The commands that the program has under this name: the core server alone has none (decisions.md 1). */
export function commandsOf(programName: string): readonly (typeof COMMANDS)[number][] {
  const role = programRole(programName);
  if (role === "nats-server") return [];
  return role === "stanchion" ? COMMANDS : COMMANDS.filter(({ isCompatible }) => isCompatible);
}

/** ` (did you mean "bench"?)` for a first word that is nearly a command; else nothing. */
export function commandHint(word: string, programName: string): string {
  const near = nearestName(word, commandsOf(programName).map(({ name }) => name));
  return near === undefined ? "" : ` (did you mean "${near}"?)`;
}
