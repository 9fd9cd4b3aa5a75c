/** Reads a whole directory of a FILE store and says what is wrong with it and how it should be. Changes nothing. */
import { displayText } from "../../base/bytes.ts";
import { quote } from "../../base/quote.ts";
import { nearestName } from "../../base/suggest.ts";
import { type Disk, RuntimeError } from "../../runtime/types.ts";
import { Crc32, CRC_POLYNOMIAL_IEEE } from "../../store/file/crc.ts";
import { sliceNumber } from "../../store/file/format.ts";
import { DescriptorPool } from "../../store/file/log_file.ts";
import {
  FOREIGN_MARK,
  FOREIGN_MARK_AT_START,
  PURGE_FILE,
  type PurgeMark,
  readPurgeMarks,
} from "../../store/file/purge_mark.ts";
import { recoverServer } from "../../store/file/recover.ts";
import { StoreError } from "../../store/types.ts";
import { type InspectContext, inspectedMark, inspectSlices } from "./inspect_slice.ts";
import {
  inspectClients,
  inspectSubscriptions,
  type SubscriptionsInspection,
  typedFindings,
  type TypedInspection,
} from "./inspect_typed.ts";
import { figuresOf, type LogFigures, type LogPlan, planLog } from "./plan.ts";
import { type ChannelSummary, finding, type StoreFinding, type StoreReport } from "./store_finding.ts";
import type { ToolOptions } from "./tool_arguments.ts";

/** The files of a store that are not of a channel. */
export const STORE_FILES = Object.freeze({
  server: "server.dat",
  clients: "clients.dat",
  subscriptions: "subs.dat",
  lock: ".rootdir.lck",
});

/** Polynomials that people give to `file_crc_poly`: IEEE, Castagnoli, Koopman. */
const USUAL_POLYNOMIALS = Object.freeze([CRC_POLYNOMIAL_IEEE, 0x82f6_3b78, 0xeb31_d82e]);

/** The directory cannot be looked at or repaired; the message is for the operator. */
export class ToolError extends Error {
  override readonly name = "ToolError";
  constructor(
    readonly code: "TOOL_NO_STORE" | "TOOL_IN_USE" | "TOOL_REFUSED",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface ChannelInspection {
  /** As text: it is the name of the directory. */
  readonly name: string;
  readonly directory: string;
  readonly log: LogPlan;
  readonly shown: LogFigures;
  readonly subscriptions: SubscriptionsInspection;
  /** Of which subscriptions the position lies behind the last message, and must go back. */
  readonly positionsToPutBack: readonly number[];
  /** Files whose names a start refuses. */
  readonly misnamed: readonly string[];
  /** The file with the marks of purges says nothing about the messages that are there: it has to go. */
  readonly hasForeignMark: boolean;
}

export interface StoreInspection {
  readonly report: StoreReport;
  readonly channels: readonly ChannelInspection[];
  /** Undefined: a single channel was asked for. */
  readonly clients: TypedInspection | undefined;
  /** server.dat cannot be read: it has to go. */
  readonly isServerDamaged: boolean;
  /** Why `repair` must not touch the directory; empty: it may. */
  readonly obstacle: string;
}

/** The names of a directory's channels, and what else in it deserves a word. */
interface Root {
  readonly channels: readonly string[];
  readonly notes: readonly StoreFinding[];
}

/** Bytes that an inspection will read, for its progress. */
export function bytesToRead(disk: Disk, options: Pick<ToolOptions, "dir" | "channel">): number {
  let bytes = 0;
  for (const channel of selectedChannels(disk, options, listRoot(disk, options.dir))) {
    const directory = `${options.dir}/${channel}`;
    for (const { name, kind } of disk.list(directory)) {
      if (kind === "file" && !name.startsWith(".")) bytes += disk.stat(`${directory}/${name}`)?.sizeBytes ?? 0;
    }
  }
  return bytes;
}

/** Throws {@link ToolError} where there is nothing to inspect. */
export function inspectStore(
  disk: Disk,
  options: Pick<ToolOptions, "dir" | "channel" | "crcPolynomial" | "drop">,
  isInUse: boolean | undefined,
  readBytes: (count: number) => void,
): StoreInspection {
  const { dir, channel, drop } = options;
  const context: InspectContext = { disk, crc: new Crc32(options.crcPolynomial), readBytes };
  const root = listRoot(disk, dir);
  const names = selectedChannels(disk, options, root);
  const server = inspectServer(context, dir, root.channels.length);
  if (server.obstacle !== "") {
    // With the wrong polynomial all else looks damaged, too, and a report of that would mislead.
    return {
      report: { dir, clusterId: "", isInUse, channels: [], findings: server.findings },
      channels: [],
      clients: undefined,
      isServerDamaged: true,
      obstacle: server.obstacle,
    };
  }
  const findings: StoreFinding[] = [...server.findings];
  let clients: TypedInspection | undefined;
  if (channel === undefined) {
    findings.push(...root.notes);
    const hasServer = server.clusterId !== "" || server.isDamaged;
    clients = inspectClients(context, `${dir}/${STORE_FILES.clients}`);
    // Nothing was stored here yet, so nothing can be missing.
    if (clients.version !== "missing" || hasServer || names.length > 0) {
      findings.push(...typedFindings("", STORE_FILES.clients, "registrations of clients", clients));
    }
  }
  const channels = names.map((name) => inspectChannel(context, dir, name, drop, findings));
  return {
    report: { dir, clusterId: server.clusterId, isInUse, channels: channels.map(summaryOf), findings },
    channels,
    clients,
    isServerDamaged: server.isDamaged,
    obstacle: obstacleOf(options, channels, clients),
  };
}

function listRoot(disk: Disk, dir: string): Root {
  const found = disk.stat(dir);
  if (found?.kind !== "directory") {
    const what = found === undefined ? "there is no such directory" : "that is not a directory";
    throw new ToolError("TOOL_NO_STORE", `Cannot look at the store in ${quote(dir)}: ${what}`);
  }
  const channels: string[] = [];
  const notes: StoreFinding[] = [];
  const note = (file: string, text: string) =>
    notes.push(finding({ severity: "note", file, text, atStart: "", byRepair: "" }));
  for (const { name, kind } of disk.list(dir)) {
    if (kind === "directory") {
      channels.push(name);
      if (name === "lost+found") note(name, "this directory of the file system is taken for a channel");
    } else if (kind === "link" && disk.stat(`${dir}/${name}`)?.kind === "directory") {
      note(name, "a symbolic link is not recovered as a channel: move the directory itself here");
    } else if (/^(clients\.dat|subs)\d+$/.test(name)) {
      note(name, "left by an interrupted compaction and never read: it may be removed");
    }
  }
  return { channels: channels.sort(), notes };
}

function selectedChannels(disk: Disk, { dir, channel }: Pick<ToolOptions, "dir" | "channel">, root: Root): string[] {
  if (channel === undefined) return [...root.channels];
  if (root.channels.includes(channel)) return [channel];
  const near = nearestName(channel, root.channels);
  const isLink = disk.list(dir).some(({ name, kind }) => name === channel && kind === "link");
  const hint = isLink
    ? ": a symbolic link is not recovered as a channel"
    : near === undefined
    ? ""
    : ` (did you mean ${quote(near)}?)`;
  throw new ToolError("TOOL_NO_STORE", `There is no channel ${quote(channel)} in ${quote(dir)}${hint}`);
}

interface ServerInspection {
  readonly clusterId: string;
  readonly isDamaged: boolean;
  readonly findings: readonly StoreFinding[];
  readonly obstacle: string;
}

function inspectServer(context: InspectContext, dir: string, channelCount: number): ServerInspection {
  const { disk, crc } = context;
  const path = `${dir}/${STORE_FILES.server}`;
  const recover = (crc: Crc32) =>
    recoverServer(
      { disk, pool: new DescriptorPool(disk, 0), crc, checkCrc: true, apply: false, report: () => undefined },
      path,
    );
  try {
    const record = recover(crc);
    if (record !== undefined) {
      return { clusterId: displayText(record.clusterId), isDamaged: false, findings: [], obstacle: "" };
    }
    const findings = channelCount === 0 ? [] : [finding({
      severity: "healed",
      file: STORE_FILES.server,
      text: "there is no server information, although there are channels",
      atStart: "it is made anew, with the cluster ID that the server is started with",
      byRepair: "left to the next start",
    })];
    return { clusterId: "", isDamaged: false, findings, obstacle: "" };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    // A wrong option looks like a directory full of damage, and repairing that would destroy it.
    const right = USUAL_POLYNOMIALS.find((polynomial) => {
      try {
        return polynomial !== crc.polynomial && recover(new Crc32(polynomial)) !== undefined;
      } catch (failure) {
        if (failure instanceof StoreError) return false;
        throw failure;
      }
    });
    const hint = right === undefined ? "" : `: its checksum is right with -file_crc_poly ${right}`;
    const reason = /^unable to recover server file ".*": (.*?)\. Nothing was changed/s.exec(error.message)?.[1];
    return {
      clusterId: "",
      isDamaged: true,
      findings: [finding({
        severity: "fatal",
        file: STORE_FILES.server,
        offset: 0,
        text: `${reason ?? error.message}${hint}`,
        atStart: "the server does not start",
        byRepair: right === undefined
          ? "moved aside: the next start makes it anew, with the cluster ID that the server is started with"
          : `refused without -file_crc_poly ${right}`,
      })],
      obstacle: right === undefined ? "" : `the checksums of this store are right with -file_crc_poly ${right}`,
    };
  }
}

function inspectChannel(
  context: InspectContext,
  dir: string,
  name: string,
  drop: ToolOptions["drop"],
  findings: StoreFinding[],
): ChannelInspection {
  const { disk } = context;
  const directory = `${dir}/${name}`;
  const report = (fields: Parameters<typeof finding>[0]) => findings.push(finding({ channel: name, ...fields }));
  const numbers: number[] = [];
  const misnamed: string[] = [];
  const files = new Set<string>();
  for (const { name: file, kind } of disk.list(directory)) {
    if (kind !== "file") continue;
    files.add(file);
    const number = file === "msgs.dat" ? NaN : sliceNumber(file);
    if (number === undefined) continue;
    if (!Number.isNaN(number)) {
      numbers.push(number);
      continue;
    }
    misnamed.push(file);
    report({
      severity: "fatal",
      file: `${name}/${file}`,
      text: "the name is not that of a slice",
      atStart: `the server does not start: message log has an invalid name: ${file}`,
      byRepair: "moved aside; messages in it are not looked at",
    });
  }
  numbers.sort((a, b) => a - b);
  for (const file of files) {
    if (!/^msgs\.\d+\.idx$/.test(file) || files.has(`${file.slice(0, -4)}.dat`)) continue;
    report({
      severity: "note",
      file: `${name}/${file}`,
      text: "an index without a data file is not read",
      atStart: "",
      byRepair: "",
    });
  }
  const isMarked = files.has(PURGE_FILE);
  const marks = isMarked ? readPurgeMarks(disk, directory) : [];
  const slices = [...inspectSlices(context, directory, numbers, { drop, marks })];
  const mark = inspectedMark(marks, slices);
  const markAtStart = inspectedMark(marks, slices, true);
  if (isMarked) findings.push(purgeFinding(name, marks.length > 0, mark, markAtStart));
  const log = planLog(name, dir, slices, drop, mark);
  findings.push(...log.findings);
  const subscriptions = inspectSubscriptions(context, `${directory}/${STORE_FILES.subscriptions}`);
  const file = `${name}/${STORE_FILES.subscriptions}`;
  findings.push(...typedFindings(name, file, "subscriptions or their positions", subscriptions));
  const positionsToPutBack: number[] = [];
  for (const { record } of subscriptions.subscriptions.values()) {
    if (record.lastSent <= log.lastSequence) continue;
    positionsToPutBack.push(record.id);
    report({
      severity: "healed",
      file,
      text: `subscription ${record.id} had got messages up to ${record.lastSent}, the last one is ${log.lastSequence}`,
      atStart: "it goes on behind the last one",
      byRepair: "it goes on behind the last one",
    });
  }
  const hasForeignMark = isMarked && mark === undefined;
  const shown = figuresOf(slices, markAtStart?.sequence ?? 0);
  return { name, directory, log, shown, subscriptions, positionsToPutBack, misnamed, hasForeignMark };
}

/** What there is to say where an operator has purged a channel. */
function purgeFinding(
  channel: string,
  isReadable: boolean,
  mark: PurgeMark | undefined,
  markAtStart: PurgeMark | undefined,
): StoreFinding {
  const where = { channel, file: `${channel}/${PURGE_FILE}` };
  if (mark !== undefined && mark !== markAtStart) {
    return finding({
      ...where,
      severity: "damaged",
      lastSequence: mark.sequence,
      text: `messages up to ${mark.sequence} were purged, but the last message of the channel is damaged`,
      atStart: "that is taken for a message that was never stored, and what was purged and is still there is served",
      byRepair: "it is kept: what was purged does not count",
    });
  }
  if (mark !== undefined) {
    return finding({
      ...where,
      severity: "note",
      lastSequence: mark.sequence,
      text: `messages up to ${mark.sequence} were purged; what the slices still hold of them does not count`,
      atStart: "",
      byRepair: "",
    });
  }
  if (isReadable) {
    return finding({
      ...where,
      severity: "healed",
      text: FOREIGN_MARK,
      atStart: FOREIGN_MARK_AT_START,
      byRepair: "it is moved aside",
    });
  }
  return finding({
    ...where,
    severity: "damaged",
    offset: 0,
    text: "it cannot be read: how far the channel was purged is not known",
    atStart: "all messages are served, also those that were purged and are still in the slices",
    byRepair: "it is moved aside",
  });
}

function summaryOf({ name, shown, subscriptions }: ChannelInspection): ChannelSummary {
  return { name, ...shown, subscriptionCount: subscriptions.subscriptions.size };
}

/** What speaks against a repair of what was found. */
function obstacleOf(
  { drop }: Pick<ToolOptions, "drop">,
  channels: readonly ChannelInspection[],
  clients: TypedInspection | undefined,
): string {
  for (const { name, log, shown } of channels) {
    if (log.obstacle !== "") return `channel ${quote(name)}: ${log.obstacle}`;
    if (drop === undefined) continue;
    const { firstSequence: first, lastSequence: last, messageCount } = shown;
    if (messageCount === 0 || drop.first < first || drop.last > last) {
      const what = messageCount === 0 ? "no messages" : `messages ${first} to ${last}`;
      return `-drop ${drop.first}..${drop.last} goes beyond the channel, which has ${what}`;
    }
  }
  const slices = channels.flatMap(({ log }) => log.slices.map(({ slice }) => slice));
  const typed = [...channels.map(({ subscriptions }) => subscriptions), ...clients === undefined ? [] : [clients]];
  const goodCount = [...slices, ...typed].reduce((sum, { recordCount }) => sum + recordCount, 0);
  const hasBad = slices.some(({ bad }) => bad.length > 0) || typed.some(({ bad }) => bad.length > 0);
  return goodCount === 0 && hasBad
    ? "not one checksum in these files is right: was the store written with another -file_crc_poly?"
    : "";
}

/** Whether somebody holds the lock of the directory; undefined: it cannot be told. */
export function isDirectoryInUse(disk: Disk, dir: string): boolean | undefined {
  const path = `${dir}/${STORE_FILES.lock}`;
  try {
    // Without the file nobody holds its lock, and nothing must be created here.
    if (disk.stat(path) === undefined) return false;
    const lock = disk.lock(path);
    // Asking is trying: the lock is given back at once.
    lock?.release();
    return lock === undefined;
  } catch (error) {
    if (error instanceof RuntimeError) return undefined;
    throw error;
  }
}
