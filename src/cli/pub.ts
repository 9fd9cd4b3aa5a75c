/** `stanchion pub`: publishes messages and waits until they are stored. */
import { formatSize } from "../base/size.ts";
import type { Arguments } from "./arguments.ts";
import { channelOf, connectStan } from "./connection.ts";
import { readFileBytes, readFilePieces } from "./files.ts";
import { type CliHost, CommandError, nowNs, UsageError } from "./host.ts";
import { Meter } from "./meter.ts";
import type { StanClient } from "./stan_client.ts";
import { counted, millisText, timeText } from "./texts.ts";

const LF = 10;
const CR = 13;
const IN_FLIGHT_DEFAULT = 256;
/** A message of standard input cannot be larger than a server would ever take. */
const INPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Where the payloads come from. */
interface Source {
  readonly payloads: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Undefined: it ends when it ends. */
  readonly total: number | undefined;
}

/** Runs the command; resolves with the exit status. */
export async function runPub(args: Arguments, host: CliHost): Promise<number> {
  const [name, payload] = args.wordsAs(["CHANNEL", "PAYLOAD"], 1);
  const channel = channelOf(name);
  const source = sourceOf(args, host, payload);
  const inFlight = args.number("inflight", IN_FLIGHT_DEFAULT);
  const rate = args.number("rate", undefined);
  const client = await connectStan(args, host);
  try {
    return await publishAll(client, channel, source, { inFlight, rate, json: args.flag("json") }, host);
  } finally {
    await client.close();
  }
}

function sourceOf(args: Arguments, host: CliHost, payload: string | undefined): Source {
  const file = args.text("file");
  const count = args.number("count", undefined);
  const isInput = payload === "-";
  if (file !== undefined && payload !== undefined) {
    throw new UsageError("-file stands for the payload: leave PAYLOAD out");
  }
  if (file === undefined && payload === undefined) {
    throw new UsageError('PAYLOAD is missing; "-" reads standard input, -file a file');
  }
  if (args.flag("lines")) {
    if (file === undefined && !isInput) throw new UsageError('-lines reads a file (-file) or standard input ("-")');
    return {
      payloads: linesOf(file === undefined ? host.input() : readFilePieces(file), count ?? Infinity),
      total: count,
    };
  }
  const total = count ?? 1;
  return { payloads: repeated(() => wholeOf(host, file, payload ?? ""), total), total };
}

async function wholeOf(host: CliHost, file: string | undefined, payload: string): Promise<Uint8Array> {
  if (file !== undefined) return readFileBytes(file);
  if (payload !== "-") return new TextEncoder().encode(payload);
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of host.input()) {
    pieces.push(piece);
    length += piece.length;
    if (length > INPUT_BYTES_MAX) {
      throw new CommandError(
        "CLI_FILE",
        `Standard input is longer than ${
          formatSize(INPUT_BYTES_MAX)
        }: no server takes such a message. Is -lines meant?`,
      );
    }
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

async function* repeated(payload: () => Promise<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  const bytes = await payload();
  for (let i = 0; i < count; i++) yield bytes;
}

/** Lines without their ends, also a last one that has none. At most `countMax`. */
export async function* linesOf(
  pieces: AsyncIterable<Uint8Array>,
  countMax: number,
): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  let count = 0;
  const line = (bytes: Uint8Array) => bytes.at(-1) === CR ? bytes.slice(0, -1) : bytes.slice();
  for await (const piece of pieces) {
    let bytes = piece;
    if (rest.length > 0) {
      bytes = new Uint8Array(rest.length + piece.length);
      bytes.set(rest);
      bytes.set(piece, rest.length);
    }
    let at = 0;
    for (let end = bytes.indexOf(LF, at); end >= 0; end = bytes.indexOf(LF, at)) {
      if (count++ >= countMax) return;
      yield line(bytes.subarray(at, end));
      at = end + 1;
    }
    rest = bytes.slice(at);
    if (rest.length > INPUT_BYTES_MAX) {
      throw new CommandError("CLI_FILE", `A line is longer than ${formatSize(INPUT_BYTES_MAX)}`);
    }
  }
  if (rest.length > 0 && count < countMax) yield line(rest);
}

async function publishAll(
  client: StanClient,
  channel: string,
  source: Source,
  options: { readonly inFlight: number; readonly rate: number | undefined; readonly json: boolean },
  host: CliHost,
): Promise<number> {
  const { inFlight, rate, json } = options;
  const meter = new Meter(host, source.total, "messages");
  const startedMs = host.clock.monotonicMs();
  let sent = 0;
  let stored = 0;
  let bytes = 0;
  let failure: string | undefined;
  let isStopped = false;
  let lastGuid = "";
  let wake: () => void = () => {};
  const stop = () => {
    isStopped = true;
    wake();
  };
  host.onEnd(stop);
  const send = (payload: Uint8Array) => {
    const number = ++sent;
    client.publish(channel, payload, (error, guid, durationMs) => {
      if (error !== undefined) {
        failure ??= `Message ${number} was not stored: ${error}`;
        return stop();
      }
      stored++;
      bytes += payload.length;
      lastGuid = guid;
      meter.add(1);
      if (!json) return;
      const line = {
        guid,
        channel,
        bytes: payload.length,
        time: timeText(nowNs(host.clock)),
        ack_ms: rounded(durationMs),
      };
      host.out(`${JSON.stringify(line)}\n`);
    });
  };
  try {
    for await (const payload of source.payloads) {
      if (isStopped) break;
      if (rate !== undefined) {
        const waitMs = startedMs + sent * 1000 / rate - host.clock.monotonicMs();
        if (waitMs > 0) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, waitMs);
            wake = () => {
              clearTimeout(timer);
              resolve();
            };
          });
        }
      }
      await client.room(inFlight);
      // The failure may have come while this one waited.
      if (isStopped) break;
      send(payload);
    }
    await client.allAcked();
  } finally {
    meter.end();
  }
  const tookMs = host.clock.monotonicMs() - startedMs;
  if (failure !== undefined) {
    host.err(`${failure}\n${counted(stored, "message")} of ${sent} sent ${stored === 1 ? "was" : "were"} stored\n`);
    return 1;
  }
  if (!json) host.out(summary(channel, stored, bytes, tookMs, lastGuid));
  if (isStopped && source.total !== undefined && stored < source.total) {
    host.err(`Stopped: ${stored} of ${source.total} messages were published\n`);
    return 1;
  }
  return 0;
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function summary(channel: string, stored: number, bytes: number, tookMs: number, guid: string): string {
  const sizes = `${counted(stored, "message")} (${formatSize(bytes)}) stored in channel "${channel}"`;
  if (stored === 1) return `${sizes} after ${millisText(tookMs)}, guid ${guid}\n`;
  const rate = tookMs > 0 ? Math.round(stored / tookMs * 1000) : 0;
  return `${sizes} in ${millisText(tookMs)}, ${rate} per second\n`;
}
