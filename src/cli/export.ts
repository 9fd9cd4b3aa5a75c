/** `stanchion export`: the messages of a channel as JSON lines or files, from a directory or from a server. */
import { quote } from "../base/quote.ts";
import { Progress } from "../server/tools/progress.ts";
import { ENCRYPTION_KEY_VARIABLE } from "../server/encryption.ts";
import { CRC_POLYNOMIAL_IEEE } from "../store/file/crc.ts";
import type { Arguments } from "./arguments.ts";
import { channelOf, connectStan } from "./connection.ts";
import { lastLine, makeDirectory, PartFile, writeWhole } from "./files.ts";
import { type CliHost, CommandError, nowNs, UsageError } from "./host.ts";
import { Meter } from "./meter.ts";
import type { StanClient, StanMessage, StartPosition } from "./stan_client.ts";
import { StoredChannel } from "./stored_messages.ts";
import { messageJson } from "./sub.ts";
import { counted, parseTime } from "./texts.ts";

const BUFFER_BYTES = 64 * 1024;
const MAX_IN_FLIGHT = 1024;
const ACK_WAIT_SECS = 30;
/** Longest wait for one message of a channel that may be empty. */
const PROBE_MS_MAX = 2000;
/** How much earlier than asked a search for a time begins. */
const SLACK_NS = 60_000_000_000n;
const SEQUENCE_DIGITS = 16;

/** One end of what is exported. */
type Bound = { readonly sequence: number } | { readonly timeNs: bigint } | undefined;

/** Takes messages in order. */
interface Sink {
  write(message: StanMessage): void;
  /** All is there. */
  complete(): void;
  /** Something went wrong; how to go on, if there is a way. */
  leave(next: number): string;
}

/** What an export did, for its last word. */
interface Outcome {
  messages: number;
  bytes: number;
  first: number;
  last: number;
}

/** Runs the command; resolves with the exit status. */
export async function runExport(args: Arguments, host: CliHost): Promise<number> {
  args.wordsAs([]);
  const dir = args.text("dir");
  if (dir !== undefined && args.has("server")) throw new UsageError("-dir and -server do not go together");
  const name = args.text("channel");
  if (name === undefined) throw new UsageError("-channel is missing");
  const from = boundOf(args, "from");
  const to = boundOf(args, "to");
  const outcome: Outcome = { messages: 0, bytes: 0, first: 0, last: 0 };
  const sink = sinkOf(args, host, from);
  let isStopped = false;
  let stop: () => void = () => {};
  host.onEnd(() => {
    isStopped = true;
    stop();
  });
  /** False: that was the last one. */
  const take = (message: StanMessage): boolean => {
    if (isStopped || isBehind(message, to)) return false;
    if (isBefore(message, from)) return true;
    sink.write(message);
    if (outcome.messages++ === 0) outcome.first = message.sequence;
    outcome.last = message.sequence;
    outcome.bytes += message.data.length;
    return true;
  };
  let warning: string;
  try {
    warning = dir !== undefined
      ? await exportStored(args, host, dir, name, from, take)
      : await exportOnline(args, host, channelOf(name), from, to, take, (work) => stop = work);
  } catch (error) {
    const way = sink.leave(outcome.last + 1);
    if (error instanceof CommandError && way !== "") throw new CommandError(error.code, `${error.message}\n${way}`);
    throw error;
  }
  if (isStopped) {
    host.err(`Stopped behind message ${outcome.last}\n${sink.leave(outcome.last + 1)}\n`);
    return 1;
  }
  sink.complete();
  tell(args, host, name, outcome);
  if (warning === "") return 0;
  host.err(`${warning}\n`);
  return 1;
}

function tell(args: Arguments, host: CliHost, channel: string, outcome: Outcome): void {
  const { messages, bytes, first, last } = outcome;
  const out = args.text("out");
  if (args.flag("json")) {
    host.err(`${JSON.stringify({ channel, messages, bytes, first_seq: first, last_seq: last, out: out ?? null })}\n`);
    return;
  }
  // Where the messages themselves are printed nothing else is.
  if (out === undefined) return;
  const range = messages === 0 ? "" : `, ${first} to ${last}`;
  host.out(`${counted(messages, "message")} of channel ${quote(channel)}${range}, written to ${out}\n`);
}

function boundOf(args: Arguments, name: string): Bound {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const sequence = Number(text);
  if (/^\d+$/.test(text) && sequence >= 1 && Number.isSafeInteger(sequence)) return { sequence };
  const timeNs = parseTime(text);
  if (timeNs === undefined) {
    throw new UsageError(
      `-${name} should be a sequence from 1 on or a time such as 2026-01-31T12:00:00Z, got ${quote(text)}`,
    );
  }
  return { timeNs };
}

function isBefore(message: StanMessage, from: Bound): boolean {
  if (from === undefined) return false;
  return "sequence" in from ? message.sequence < from.sequence : message.timeNs < from.timeNs;
}

function isBehind(message: StanMessage, to: Bound): boolean {
  if (to === undefined) return false;
  return "sequence" in to ? message.sequence > to.sequence : message.timeNs > to.timeNs;
}

// Where the messages come from -----------------------------------------------------------------------------------------

async function exportStored(
  args: Arguments,
  host: CliHost,
  dir: string,
  channel: string,
  from: Bound,
  take: (message: StanMessage) => boolean,
): Promise<string> {
  const key = host.env(ENCRYPTION_KEY_VARIABLE) ?? "";
  const stored = new StoredChannel(host.disk, {
    dir: dir.length > 1 ? dir.replace(/\/+$/, "") || "/" : dir,
    channel,
    crcPolynomial: args.number("file_crc_poly", CRC_POLYNOMIAL_IEEE),
    firstSequence: from !== undefined && "sequence" in from ? from.sequence : 0,
    encryptionKey: key === "" ? undefined : key,
  });
  const progress = new Progress(
    { errIsTerminal: host.errIsTerminal, writeErr: host.err },
    host.clock,
    stored.totalBytes,
  );
  let count = 0;
  try {
    await stored.read((message) => {
      if (message.data.length > 0) count++;
      return take(message);
    }, (bytes) => progress.add(bytes));
  } finally {
    progress.end();
  }
  if (stored.damage.length > 0) {
    return `${
      stored.damage.join("\n")
    }\nWhat can be read was exported; "${host.programName} check --dir ${dir}" tells more`;
  }
  if (stored.sealedCount > 0 && stored.sealedCount === count) {
    return `All payloads look encrypted and were exported as they are stored: set ${ENCRYPTION_KEY_VARIABLE} to decrypt them`;
  }
  return "";
}

async function exportOnline(
  args: Arguments,
  host: CliHost,
  channel: string,
  from: Bound,
  to: Bound,
  take: (message: StanMessage) => boolean,
  onStop: (work: () => void) => void,
): Promise<string> {
  const client = await connectStan(args, host);
  try {
    const last = (await probe(client, channel, { kind: "last" }))?.sequence ?? 0;
    const end = to !== undefined && "sequence" in to ? Math.min(to.sequence, last) : last;
    const first = from !== undefined && "sequence" in from ? from.sequence : 1;
    if (end < first || last === 0) return "";
    const start = await startOf(host, client, channel, from);
    await receive(args, host, client, channel, start, first, end, take, onStop);
    return "";
  } finally {
    await client.close();
  }
}

/**
 * Where to begin. A time is told to a server as an age, which its clock and the way there shift: so one earlier message is
 * asked for, and when there is none to be sure by, all are.
 */
async function startOf(host: CliHost, client: StanClient, channel: string, from: Bound): Promise<StartPosition> {
  if (from === undefined) return { kind: "first" };
  if ("sequence" in from) return { kind: "sequence", sequence: from.sequence };
  const deltaNs = nowNs(host.clock) - from.timeNs;
  if (deltaNs <= 0n) return { kind: "last" };
  const earlier = await probe(client, channel, { kind: "ago", deltaNs: deltaNs + SLACK_NS });
  return earlier !== undefined && earlier.timeNs < from.timeNs
    ? { kind: "sequence", sequence: earlier.sequence }
    : { kind: "first" };
}

/** The message with which a subscription begins; undefined: there is none. */
async function probe(client: StanClient, channel: string, start: StartPosition): Promise<StanMessage | undefined> {
  const came = Promise.withResolvers<StanMessage | undefined>();
  client.onLost = (error) => came.reject(error);
  const options = { start, maxInFlight: 1, ackWaitSecs: ACK_WAIT_SECS };
  const subscription = await client.subscribe(channel, options, (message) => came.resolve(message));
  const timer = setTimeout(() => came.resolve(undefined), PROBE_MS_MAX);
  try {
    return await came.promise;
  } finally {
    clearTimeout(timer);
    await client.end(subscription, "close");
  }
}

async function receive(
  args: Arguments,
  host: CliHost,
  client: StanClient,
  channel: string,
  start: StartPosition,
  first: number,
  end: number,
  take: (message: StanMessage) => boolean,
  onStop: (work: () => void) => void,
): Promise<void> {
  const idleMs = args.durationMs("timeout", 5000);
  const meter = new Meter(host, end - first + 1, "messages");
  const done = Promise.withResolvers<void>();
  client.onLost = (error) => done.reject(error);
  onStop(() => done.resolve());
  let last = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      done.reject(new CommandError("CLI_TIMEOUT", `No message came for ${idleMs} ms; the last one expected is ${end}`));
    }, idleMs);
  };
  try {
    wait();
    await client.subscribe(
      channel,
      { start, maxInFlight: MAX_IN_FLIGHT, ackWaitSecs: ACK_WAIT_SECS },
      (message, subscription) => {
        // What is sent again was written already.
        if (message.sequence <= last) return;
        last = message.sequence;
        try {
          if (message.sequence <= end && !take(message)) return done.resolve();
        } catch (error) {
          return done.reject(error);
        }
        client.ack(subscription, message.sequence);
        meter.add(1);
        if (message.sequence >= end) return done.resolve();
        wait();
      },
    );
    await done.promise;
  } finally {
    clearTimeout(timer);
    meter.end();
  }
}

// Where they go --------------------------------------------------------------------------------------------------------

function sinkOf(args: Arguments, host: CliHost, from: Bound): Sink {
  const out = args.text("out");
  const format = args.text("format") ?? "jsonl";
  if (format !== "jsonl" && format !== "raw") {
    throw new UsageError(`-format should be jsonl or raw, got ${quote(format)}`);
  }
  if (format === "raw") {
    if (out === undefined) throw new UsageError("-format raw needs a directory: -out DIR");
    return rawSink(out);
  }
  return out === undefined ? outputSink(host) : fileSink(out, from);
}

/** Lines, gathered: a system call per message would be most of the work. */
class Lines {
  readonly #write: (bytes: Uint8Array) => void;
  #text = "";

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  add(message: StanMessage): void {
    this.#text += `${JSON.stringify(messageJson(message))}\n`;
    if (this.#text.length >= BUFFER_BYTES) this.flush();
  }

  flush(): void {
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    this.#write(new TextEncoder().encode(text));
  }
}

function outputSink(host: CliHost): Sink {
  const lines = new Lines((bytes) => host.outBytes(bytes));
  return {
    write: (message) => lines.add(message),
    complete: () => lines.flush(),
    leave(next) {
      lines.flush();
      return next > 1 ? `Go on with -from ${next}` : "";
    },
  };
}

function fileSink(path: string, from: Bound): Sink {
  const file = new PartFile(path, keptBytes(`${path}.part`, from));
  const lines = new Lines((bytes) => file.write(bytes));
  return {
    write: (message) => lines.add(message),
    complete() {
      lines.flush();
      file.complete();
    },
    leave(next) {
      lines.flush();
      file.leave();
      return next > 1
        ? `${file.partPath} holds what was exported; the same command with -from ${next} goes on behind it`
        : "";
    },
  };
}

/** How much of an earlier part stays: all of it when the first message that is wanted follows its last one. */
function keptBytes(part: string, from: Bound): number {
  if (from === undefined || !("sequence" in from)) return 0;
  const line = lastLine(part);
  if (line === undefined) return 0;
  try {
    const { sequence } = JSON.parse(line.text) as { sequence?: unknown };
    return sequence === from.sequence - 1 ? line.end : 0;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return 0;
  }
}

function rawSink(dir: string): Sink {
  makeDirectory(dir);
  return {
    write: ({ sequence, data }) => writeWhole(`${dir}/${String(sequence).padStart(SEQUENCE_DIGITS, "0")}`, data),
    complete() {},
    leave: (next) => next > 1 ? `Go on with -from ${next}` : "",
  };
}
