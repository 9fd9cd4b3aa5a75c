/** The words of `check` and `repair`: for people, and as JSON for programs. Pure. */
import { quote } from "../../base/quote.ts";
import { formatSize } from "../../base/size.ts";
import { statusOf, type StoreFinding, type StoreReport } from "./store_finding.ts";

/** Meaning of the exit status, as JSON and the last line say it. */
const VERDICTS = Object.freeze(["sound", "healed at the next start", "damaged", "a server would not start"] as const);

function range(first: number, last: number): string {
  return first === last ? `message ${first}` : `messages ${first} to ${last}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Where a finding is: `orders/msgs.1.dat at byte 164, 27 bytes, message 6`. */
export function placeOf({ file, offset, sizeBytes, firstSequence, lastSequence }: StoreFinding): string {
  const parts = [offset < 0 ? file : `${file} at byte ${offset}`];
  if (sizeBytes > 0) parts.push(counted(sizeBytes, "byte"));
  if (firstSequence > 0) parts.push(range(firstSequence, lastSequence));
  return parts.join(", ");
}

function findingLines(item: StoreFinding): string[] {
  const lines = [`  ${item.severity.padEnd(8)}${placeOf(item)}: ${item.text}`];
  if (item.severity === "note") return lines;
  lines.push(`          at start: ${item.atStart}`, `          repair: ${item.byRepair}`);
  return lines;
}

/** The report of `check` for people. */
export function reportText(report: StoreReport, programName: string): string {
  const { dir, clusterId, channels, findings, isInUse } = report;
  const of = clusterId === "" ? "" : ` of cluster ${quote(clusterId)}`;
  const lines = [`Store ${quote(dir)}${of}: ${counted(channels.length, "channel")}`];
  if (isInUse === true) {
    lines.push("A server uses this directory: what it is writing at this moment may look incomplete");
  }
  lines.push(...findings.filter(({ channel }) => channel === "").flatMap(findingLines));
  const named = new Set(channels.map(({ name }) => name));
  for (const channel of channels) {
    const { firstSequence, lastSequence, messageCount, byteCount, subscriptionCount } = channel;
    const messages = messageCount === 0
      ? "no messages"
      : `${range(firstSequence, lastSequence)} (${messageCount}, ${formatSize(byteCount)})`;
    lines.push(`Channel ${quote(channel.name)}: ${messages}, ${counted(subscriptionCount, "subscription")}`);
    lines.push(...findings.filter((item) => item.channel === channel.name).flatMap(findingLines));
  }
  // A channel that cannot be read at all has findings only.
  lines.push(...findings.filter(({ channel }) => channel !== "" && !named.has(channel)).flatMap(findingLines));
  const status = statusOf(findings);
  const count = (severity: string) => findings.filter((item) => item.severity === severity).length;
  const parts = [
    [count("healed"), "healed at the next start"],
    [count("damaged"), "with a loss"],
    [count("fatal"), "that would stop a start"],
  ] as const;
  const told = parts.filter(([number]) => number > 0).map(([number, text]) => `${number} ${text}`);
  lines.push(told.length === 0 ? "Sound" : `Findings: ${told.join(", ")}`);
  if (status >= 2) {
    lines.push(`Keep a copy of the directory, stop its server, then: ${programName} repair --dir ${dir}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The report of `check` for programs. */
export function reportJson(report: StoreReport): string {
  const status = statusOf(report.findings);
  const json = {
    dir: report.dir,
    cluster_id: report.clusterId,
    in_use: report.isInUse ?? null,
    status,
    verdict: VERDICTS[status],
    channels: report.channels.map((channel) => ({
      channel: channel.name,
      first_seq: channel.firstSequence,
      last_seq: channel.lastSequence,
      msgs: channel.messageCount,
      bytes: channel.byteCount,
      subscriptions: channel.subscriptionCount,
    })),
    findings: report.findings.map((item) => ({
      severity: item.severity,
      channel: item.channel,
      file: item.file,
      offset: item.offset,
      bytes: item.sizeBytes,
      first_seq: item.firstSequence,
      last_seq: item.lastSequence,
      text: item.text,
      at_start: item.atStart,
      by_repair: item.byRepair,
    })),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** The report of `repair` for people: what it did, and what `check` says now. */
export function repairText(actions: readonly string[], report: StoreReport): string {
  const lines = actions.length === 0 ? ["Nothing to repair"] : actions;
  const status = statusOf(report.findings);
  const end = status === 0 ? [`Store ${quote(report.dir)} is sound`] : [
    `Store ${quote(report.dir)}: ${VERDICTS[status]}`,
    ...report.findings.filter(({ severity }) => severity !== "note").flatMap(findingLines),
  ];
  return `${[...lines, ...end].join("\n")}\n`;
}

/** The report of `repair` for programs. */
export function repairJson(actions: readonly string[], report: StoreReport): string {
  const status = statusOf(report.findings);
  return `${JSON.stringify({ dir: report.dir, status, verdict: VERDICTS[status], actions }, null, 2)}\n`;
}
