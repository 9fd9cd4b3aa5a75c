/** `stanchion channels`: what channels there are, on a server or in a directory, and what an operator does to them. */
import { quote } from "../base/quote.ts";
import { displayText } from "../base/bytes.ts";
import { Progress } from "../server/tools/progress.ts";
import { bytesToRead, type ChannelInspection, inspectStore } from "../server/tools/inspect_store.ts";
import { statusOf } from "../server/tools/store_finding.ts";
import { CRC_POLYNOMIAL_IEEE } from "../store/file/crc.ts";
import type { Arguments } from "./arguments.ts";
import { type CliHost, CommandError, wantsColours } from "./host.ts";
import { type ChannelRow, MonitorClient, type SubscriptionRow } from "./monitor_client.ts";
import { counted } from "./texts.ts";
import { channelsTable, confirm, jsonText, showOrWatch, subscriptionsTable } from "./views.ts";

/** Runs the command; resolves with the exit status. */
export async function runChannels(args: Arguments, host: CliHost): Promise<number> {
  const dir = args.text("dir");
  const [word] = args.words;
  if (dir !== undefined) return showDirectory(args, host, dir);
  // A channel of that name is shown by `channels --search`.
  if (word === "delete" || word === "purge") return await act(args, host, word);
  args.without("a list", "force", "up-to", "yes");
  const [name] = args.wordsAs(["NAME"], 1);
  const monitor = new MonitorClient(args, host);
  const json = args.flag("json");
  return await showOrWatch(args, host, async (bold) => {
    if (name === undefined) {
      const rows = await monitor.channels(args.text("search") ?? "");
      if (json) return jsonText(args, { channels: rows });
      return rows.length === 0 ? "No channels\n" : channelsTable(rows, bold);
    }
    const channel = await monitor.channel(name);
    if (channel === undefined) throw new CommandError("CLI_MONITOR", `There is no channel ${quote(name)}`);
    if (json) return jsonText(args, channel);
    const { subscriptions } = channel;
    const head = channelsTable([{ ...channel, subscriptions: subscriptions.length }], bold);
    return `${head}\n${
      subscriptions.length === 0 ? "No subscriptions\n" : subscriptionsTable(subscriptions, false, bold)
    }`;
  });
}

async function act(args: Arguments, host: CliHost, action: "delete" | "purge"): Promise<number> {
  const [, channel] = args.wordsAs([action, "NAME"]) as [string, string];
  args.without(`channels ${action}`, action === "delete" ? "up-to" : "force", "search", "watch");
  const upTo = args.number("up-to", undefined);
  const monitor = new MonitorClient(args, host);
  const what = action === "delete"
    ? `Delete channel ${quote(channel)} with all its messages and subscriptions?`
    : `Remove ${upTo === undefined ? "all messages" : `the messages up to ${upTo}`} of channel ${quote(channel)}?`;
  if (!await confirm(args, host, what)) {
    host.err("Nothing was done\n");
    return 1;
  }
  const answer = await monitor.act(
    action === "delete" ? "delete-channel" : "purge",
    { channel, ...(upTo === undefined ? {} : { up_to: upTo }), ...(args.flag("force") ? { force: true } : {}) },
  );
  if (args.flag("json")) host.out(jsonText(args, answer));
  else host.out(`Channel ${quote(channel)}: ${action === "delete" ? "deleted" : "purged"}\n`);
  return 0;
}

function showDirectory(args: Arguments, host: CliHost, given: string): number {
  args.without("a directory", "force", "up-to", "yes", "monitor", "watch");
  const [channel] = args.wordsAs(["NAME"], 1);
  const dir = given.length > 1 ? given.replace(/\/+$/, "") || "/" : given;
  const options = {
    dir,
    channel,
    crcPolynomial: args.number("file_crc_poly", CRC_POLYNOMIAL_IEEE),
    drop: undefined,
  };
  const progress = new Progress(
    { errIsTerminal: host.errIsTerminal, writeErr: host.err },
    host.clock,
    bytesToRead(host.disk, options),
  );
  let inspection;
  try {
    inspection = inspectStore(host.disk, options, undefined, (count) => progress.add(count));
  } finally {
    progress.end();
  }
  const { report, channels } = inspection;
  const search = args.text("search") ?? "";
  const shown = channels.filter(({ name }) => name.includes(search));
  const rows = shown.map((item) => storedChannel(item));
  const findings = report.findings.filter(({ severity }) => severity !== "note").length;
  if (statusOf(report.findings) > 0) {
    host.err(
      `${counted(findings, "finding")} in this directory: "${host.programName} check --dir ${dir}" tells them\n`,
    );
  }
  const subscriptions = channel === undefined ? [] : shown.flatMap(storedSubscriptions);
  if (args.flag("json")) {
    host.out(
      jsonText(args, {
        cluster_id: report.clusterId,
        channels: rows,
        ...(channel === undefined ? {} : { subscriptions }),
      }),
    );
    return 0;
  }
  const bold = wantsColours(host);
  host.out(rows.length === 0 ? "No channels\n" : channelsTable(rows, bold));
  if (channel !== undefined) {
    host.out(`\n${subscriptions.length === 0 ? "No subscriptions\n" : subscriptionsTable(subscriptions, false, bold)}`);
  }
  return 0;
}

function storedSubscriptions({ subscriptions, shown }: ChannelInspection): SubscriptionRow[] {
  return [...subscriptions.subscriptions.values()].map(({ record, pending }) => ({
    kind: record.queueGroup === ""
      ? record.isDurable ? "durable" : "plain"
      : record.isDurable
      ? "durable_group"
      : "group",
    client_id: displayText(record.clientId),
    durable_name: displayText(record.durableName),
    queue_name: displayText(record.queueGroup),
    members: [],
    is_offline: record.isClosed,
    is_stalled: record.maxInFlight > 0 && pending.size >= record.maxInFlight,
    is_paused: false,
    last_sent: record.lastSent,
    // As a server counts: what limits or a purge removed lags behind nobody.
    lag: Math.max(0, shown.lastSequence - Math.max(record.lastSent, shown.firstSequence - 1)),
    lag_seconds: null,
    pending_count: pending.size,
    max_inflight: record.maxInFlight,
    ack_wait_secs: record.ackWaitSecs,
  }));
}

function storedChannel(item: ChannelInspection): ChannelRow {
  const { name, shown } = item;
  const subscriptions = storedSubscriptions(item);
  return {
    name,
    msgs: shown.messageCount,
    bytes: shown.byteCount,
    first_seq: shown.firstSequence,
    last_seq: shown.lastSequence,
    subscriptions: subscriptions.length,
    pending: subscriptions.reduce((sum, row) => sum + row.pending_count, 0),
    max_lag: subscriptions.reduce((max, row) => Math.max(max, row.lag), 0),
    stalled: subscriptions.some((row) => row.is_stalled),
    paused: false,
  };
}
