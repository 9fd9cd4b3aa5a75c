/** `stanchion trace`: follows the protocol between clients and a streaming server. */
import { Nuid } from "../base/nuid.ts";
import { oneLine } from "../base/quote.ts";
import { displayText } from "../base/bytes.ts";
import type { Arguments } from "./arguments.ts";
import { clusterOf, discoverPrefixOf, natsOptionsOf } from "./connection.ts";
import { type CliHost, CommandError, nowNs, wantsColours } from "./host.ts";
import { NatsClient } from "./nats_client.ts";
import { millisText, payloadJson, textOf, timeText } from "./texts.ts";
import { TraceDecoder, type TraceEvent, traceSubjects } from "./trace_decoder.ts";

const PAYLOAD_SHOWN_MAX = 200;
const KIND_WIDTH = 11;

/** Runs the command; resolves with the exit status. */
export async function runTrace(args: Arguments, host: CliHost): Promise<number> {
  args.wordsAs([]);
  const cluster = clusterOf(args, host);
  const prefix = discoverPrefixOf(args);
  const channel = args.text("channel");
  const client = args.text("client");
  const countMax = args.number("count", Infinity);
  const idleMs = args.durationMs("idle", undefined);
  const isJson = args.flag("json");
  const withPayload = args.flag("payload");
  const colours = wantsColours(host);
  const names = new Nuid(host.random);
  const nats = await NatsClient.connect(natsOptionsOf(args, host, "stanchion-trace"), () => names.next());
  const decoder = new TraceDecoder(cluster, prefix);
  const ended = Promise.withResolvers<CommandError | undefined>();
  nats.onLost = (error) => ended.resolve(error);
  const subjects = traceSubjects(cluster, prefix, args.text("inbox") ?? "_INBOX");
  nats.onRefused = (text) => {
    const needed = subjects.map((subject) => `"${displayText(subject)}"`).join(", ");
    const message = `The server refused: ${text}. A trace needs the permission to subscribe to ${needed}`;
    ended.resolve(new CommandError("CLI_REFUSED", message));
  };
  host.onEnd(() => ended.resolve(undefined));
  let count = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waitIdle = () => {
    if (idleMs === undefined) return;
    clearTimeout(timer);
    timer = setTimeout(() => ended.resolve(undefined), idleMs);
  };
  const heard = (payload: Uint8Array, subject: string, reply: string) => {
    const event = decoder.read(subject, reply, payload, host.clock.monotonicMs());
    const isWanted = event !== undefined && count < countMax && (channel === undefined || event.channel === channel) &&
      (client === undefined || event.client === client);
    if (!isWanted) return;
    waitIdle();
    const time = timeText(nowNs(host.clock));
    host.out(
      isJson
        ? `${JSON.stringify(eventJson(event, time, withPayload))}\n`
        : eventText(event, time, withPayload, colours),
    );
    if (++count >= countMax) ended.resolve(undefined);
  };
  try {
    for (const subject of subjects) nats.subscribe(subject, heard);
    // From the answer on every message is seen, and a refusal has come before it.
    await Promise.race([nats.flush(), ended.promise]);
    host.err(`Tracing cluster "${oneLine(cluster)}"${host.errIsTerminal ? ", Ctrl-C ends" : ""}\n`);
    waitIdle();
    const error = await ended.promise;
    if (error !== undefined) throw error;
    return 0;
  } finally {
    clearTimeout(timer);
    await nats.close();
  }
}

/** An event as a JSON line. */
export function eventJson(event: TraceEvent, time: string, withPayload: boolean): Record<string, unknown> {
  const { kind, client, channel, sequence, guid, answers, error, detail, data, roundTripMs } = event;
  return {
    time,
    kind,
    ...(answers === undefined ? {} : { answers }),
    ...(client === "" ? {} : { client }),
    ...(channel === "" ? {} : { channel }),
    ...(sequence === undefined ? {} : { sequence }),
    ...(guid === undefined ? {} : { guid }),
    ...(detail === undefined ? {} : { detail }),
    ...(error === undefined ? {} : { error }),
    ...(roundTripMs === undefined ? {} : { round_trip_ms: Math.round(roundTripMs * 1000) / 1000 }),
    ...(data === undefined ? {} : { bytes: data.length, ...(withPayload ? payloadJson(data) : {}) }),
  };
}

/** An event as a line for people. */
export function eventText(event: TraceEvent, time: string, withPayload: boolean, colours: boolean): string {
  const { kind, client, channel, sequence, answers, error, detail, data, roundTripMs } = event;
  const parts: string[] = [];
  if (client !== "") parts.push(`client ${client}`);
  if (channel !== "") parts.push(`channel ${channel}`);
  if (sequence !== undefined) parts.push(`#${sequence}`);
  if (data !== undefined) parts.push(`${data.length} B`);
  if (detail !== undefined) parts.push(detail);
  if (error !== undefined) parts.push(`${answers}: ${error}`);
  else if (kind === "done") parts.push(`answer to ${answers}`);
  if (roundTripMs !== undefined) parts.push(`after ${millisText(roundTripMs)}`);
  if (withPayload && data !== undefined) {
    const text = textOf(data);
    parts.push(text === undefined ? "payload is no text" : text.slice(0, PAYLOAD_SHOWN_MAX));
  }
  const word = kind.padEnd(KIND_WIDTH);
  const shown = colours && kind === "refused" ? `\x1b[31m${word}\x1b[0m` : word;
  return `${time.slice(11, 26)}  ${shown}  ${oneLine(parts.join("  ").replaceAll("\t", " "))}\n`;
}
