/** `stanchion durables`: which durables there are, how far they are, and what an operator does to them. */
import { quote } from "../base/quote.ts";
import type { Arguments } from "./arguments.ts";
import { type CliHost, UsageError } from "./host.ts";
import { MonitorClient } from "./monitor_client.ts";
import { parseTime } from "./texts.ts";
import { confirm, jsonText, showOrWatch, subscriptionsTable } from "./views.ts";

type Action = "delete" | "rewind" | "pause" | "resume";
const ACTIONS: readonly string[] = ["delete", "rewind", "pause", "resume"];

/** Runs the command; resolves with the exit status. */
export async function runDurables(args: Arguments, host: CliHost): Promise<number> {
  const [word] = args.words;
  if (word !== undefined) {
    if (!ACTIONS.includes(word)) {
      throw new UsageError(`unrecognized argument: ${quote(word)}: known are ${ACTIONS.join(", ")}`);
    }
    return await act(args, host, word as Action);
  }
  args.without("a list", "client", "queue", "to", "force", "yes");
  const monitor = new MonitorClient(args, host);
  return await showOrWatch(args, host, async (bold) => {
    const rows = await monitor.durables(args.text("search") ?? "");
    if (args.flag("json")) return jsonText(args, { durables: rows });
    return rows.length === 0 ? "No durables\n" : subscriptionsTable(rows, true, bold);
  });
}

async function act(args: Arguments, host: CliHost, action: Action): Promise<number> {
  const isPause = action === "pause" || action === "resume";
  const [, channel, durable] = args.wordsAs([action, "CHANNEL", "DURABLE"], isPause ? 1 : 0) as [
    string,
    string,
    string?,
  ];
  const foreign = action === "delete" ? ["to"] : action === "rewind" ? ["force"] : ["to", "force"];
  args.without(`durables ${action}`, ...foreign, "search", "watch");
  const client = args.text("client");
  const queue = args.text("queue");
  if (durable === undefined && client === undefined && queue === undefined) {
    throw new UsageError("Which subscription is meant? Give DURABLE, -client or -queue");
  }
  const body = {
    channel,
    ...(durable === undefined ? {} : { durable_name: durable }),
    ...(client === undefined ? {} : { client_id: client }),
    ...(queue === undefined ? {} : { queue_name: queue }),
    ...(action === "rewind" ? { to: positionOf(args.text("to")) } : {}),
    ...(args.flag("force") ? { force: true } : {}),
  };
  const monitor = new MonitorClient(args, host);
  const subject = durable === undefined
    ? `the subscription of ${queue === undefined ? `client ${quote(client ?? "")}` : `queue group ${quote(queue)}`}`
    : `durable ${quote(durable)}`;
  const question = `${QUESTIONS[action]} ${subject} of channel ${quote(channel)}${
    action === "rewind" ? ` to ${args.text("to")}` : ""
  }?`;
  // To go on is what everybody wants anyway.
  if (action !== "resume" && !await confirm(args, host, question)) {
    host.err("Nothing was done\n");
    return 1;
  }
  const answer = await monitor.act(action === "delete" ? "delete-durable" : action, body);
  if (args.flag("json")) host.out(jsonText(args, answer));
  else host.out(`Channel ${quote(channel)}, ${subject}: ${DONE[action]}\n`);
  return 0;
}

const QUESTIONS = Object.freeze({ delete: "Delete", rewind: "Move", pause: "Pause", resume: "Resume" });
const DONE = Object.freeze({
  delete: "deleted",
  rewind: "moved",
  pause: "paused until it is resumed or the server ends",
  resume: "resumed",
});

/** Where a durable shall go on, as the console takes it. */
export function positionOf(text: string | undefined): "first" | "last" | { sequence: number } | { time: string } {
  if (text === undefined) throw new UsageError("rewind needs a position: -to first, last, a sequence, or a time");
  if (text === "first" || text === "last") return text;
  const sequence = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(sequence) && sequence >= 1) return { sequence };
  if (parseTime(text) === undefined) {
    throw new UsageError(
      `-to should be first, last, a sequence from 1 on, or a time such as 2026-01-31T12:00:00Z, got ${quote(text)}`,
    );
  }
  return { time: text };
}
