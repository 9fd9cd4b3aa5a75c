/** What `channels`, `clients` and `durables` have in common: tables, repetition, and the question before an action. */
import { formatSize } from "../base/size.ts";
import type { Arguments } from "./arguments.ts";
import { type CliHost, UsageError, wantsColours } from "./host.ts";
import type { ChannelRow, ClientRow, SubscriptionRow } from "./monitor_client.ts";
import { ageText, type Column, tableText } from "./texts.ts";

const HOME_AND_CLEAR = "\x1b[H\x1b[2J";
const LF = 10;

/** `paused, stalled`, or `-`. */
function stateOf(states: readonly (readonly [boolean, string])[]): string {
  return states.filter(([holds]) => holds).map(([, text]) => text).join(", ") || "-";
}

/** The table of channels. */
export function channelsTable(rows: readonly ChannelRow[], bold: boolean): string {
  const columns: Column[] = [
    { title: "CHANNEL" },
    { title: "MESSAGES", right: true },
    { title: "SIZE", right: true },
    { title: "FIRST", right: true },
    { title: "LAST", right: true },
    { title: "SUBS", right: true },
    { title: "PENDING", right: true },
    { title: "MAX LAG", right: true },
    { title: "STATE" },
  ];
  return tableText(
    columns,
    rows.map((row) => [
      row.name,
      String(row.msgs),
      formatSize(row.bytes),
      String(row.first_seq),
      String(row.last_seq),
      String(row.subscriptions),
      String(row.pending),
      String(row.max_lag),
      stateOf([[row.stalled, "stalled"], [row.paused, "paused"]]),
    ]),
    bold,
  );
}

/** The table of subscriptions. */
export function subscriptionsTable(rows: readonly SubscriptionRow[], withChannel: boolean, bold: boolean): string {
  const columns: Column[] = [
    ...(withChannel ? [{ title: "CHANNEL" }] : []),
    { title: "KIND" },
    { title: "DURABLE" },
    { title: "QUEUE" },
    { title: "CLIENTS" },
    { title: "LAST SENT", right: true },
    { title: "LAG", right: true },
    { title: "BEHIND", right: true },
    { title: "PENDING", right: true },
    { title: "STATE" },
  ];
  return tableText(
    columns,
    rows.map((row) => [
      ...(withChannel ? [row.channel ?? ""] : []),
      row.kind.replace("_", " "),
      row.durable_name || "-",
      row.queue_name || "-",
      (row.members.length > 0 ? row.members.join(",") : row.client_id) || "-",
      String(row.last_sent),
      String(row.lag),
      row.lag_seconds === null ? "-" : ageText(row.lag_seconds),
      `${row.pending_count}/${row.max_inflight}`,
      stateOf([[row.is_offline, "offline"], [row.is_stalled, "stalled"], [row.is_paused, "paused"]]),
    ]),
    bold,
  );
}

/** The table of clients. */
export function clientsTable(rows: readonly ClientRow[], bold: boolean): string {
  return tableText(
    [
      { title: "CLIENT" },
      { title: "SUBS", right: true },
      { title: "CONNECTED", right: true },
      { title: "MISSED HEARTBEATS", right: true },
    ],
    rows.map(({ id, subscriptions, connected_ms, heartbeat_failures }) => [
      id,
      String(subscriptions),
      connected_ms === null ? "-" : ageText(connected_ms / 1000),
      heartbeat_failures === null ? "-" : String(heartbeat_failures),
    ]),
    bold,
  );
}

/** Shows something once, or again and again with `-watch`. `show` gets whether headings shall be bold. */
export async function showOrWatch(
  args: Arguments,
  host: CliHost,
  show: (bold: boolean) => Promise<string>,
): Promise<number> {
  const everyMs = args.durationMs("watch", undefined);
  const bold = wantsColours(host);
  if (everyMs === undefined) {
    host.out(await show(bold));
    return 0;
  }
  let isOver = false;
  let wake: () => void = () => {};
  host.onEnd(() => {
    isOver = true;
    wake();
  });
  while (!isOver) {
    const text = await show(bold);
    host.out(host.outIsTerminal ? `${HOME_AND_CLEAR}${text}` : text);
    if (isOver) break;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, everyMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  return 0;
}

/** JSON as these commands print it: for people to read, and with `-watch` one document per line. */
export function jsonText(args: Arguments, value: unknown): string {
  return `${args.has("watch") ? JSON.stringify(value) : JSON.stringify(value, null, 2)}\n`;
}

/** Asks before an action. False: the answer was no. Throws where nobody can be asked. */
export async function confirm(args: Arguments, host: CliHost, question: string): Promise<boolean> {
  if (args.flag("yes")) return true;
  if (!host.inIsTerminal || !host.errIsTerminal) {
    throw new UsageError(`${question} There is no terminal to ask at: give -yes if that is meant`);
  }
  host.err(`${question} [y/N] `);
  let answer = "";
  for await (const piece of host.input()) {
    answer += new TextDecoder().decode(piece);
    if (piece.includes(LF)) break;
  }
  return /^y(es)?$/i.test(answer.trim());
}
