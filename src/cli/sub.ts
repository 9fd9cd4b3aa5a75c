/** `stanchion sub`: prints the messages of a channel. */
import { quote } from "../base/quote.ts";
import { parseDuration } from "../base/duration.ts";
import type { Arguments } from "./arguments.ts";
import { channelOf, connectStan } from "./connection.ts";
import { type CliHost, type CommandError, nowNs, UsageError, wantsColours } from "./host.ts";
import type { StanMessage, StartPosition, SubscribeOptions } from "./stan_client.ts";
import { counted, hexView, isReadable, parseTime, payloadJson, textOf, timeText } from "./texts.ts";

const MAX_IN_FLIGHT_DEFAULT = 1024;
const ACK_WAIT_MS_DEFAULT = 30_000;
const LINE_END = Uint8Array.of(10);

/** How messages are printed. */
export type SubFormat = "text" | "hex" | "raw" | "json";

/** Runs the command; resolves with the exit status. */
export async function runSub(args: Arguments, host: CliHost): Promise<number> {
  const [name] = args.wordsAs(["CHANNEL"]);
  const channel = channelOf(name);
  const options = subscribeOptionsOf(args, host);
  const format = formatOf(args);
  const countMax = args.number("count", Infinity);
  const idleMs = args.durationMs("idle", undefined);
  const acks = !args.flag("no-ack");
  const client = await connectStan(args, host);
  const ended = Promise.withResolvers<CommandError | undefined>();
  client.onLost = (error) => ended.resolve(error);
  host.onEnd(() => ended.resolve(undefined));
  let count = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waitIdle = () => {
    if (idleMs === undefined) return;
    clearTimeout(timer);
    timer = setTimeout(() => ended.resolve(undefined), idleMs);
  };
  let lost: CommandError | undefined;
  try {
    const subscription = await client.subscribe(channel, options, (message, subscription) => {
      if (count >= countMax) return;
      count++;
      waitIdle();
      printMessage(host, message, format);
      // After it was printed: a message that nobody has seen comes again.
      if (acks) client.ack(subscription, message.sequence);
      if (count >= countMax) ended.resolve(undefined);
    });
    waitIdle();
    if (host.errIsTerminal) host.err(`Subscribed to "${channel}", Ctrl-C ends\n`);
    lost = await ended.promise;
    if (lost === undefined) {
      await client.end(subscription, args.flag("unsubscribe") ? "unsubscribe" : "close");
    }
  } finally {
    clearTimeout(timer);
    await client.close();
  }
  if (lost !== undefined) throw lost;
  if (host.errIsTerminal) host.err(`${counted(count, "message")}\n`);
  return 0;
}

/** What the options ask the server for. Throws {@link UsageError}. */
export function subscribeOptionsOf(args: Arguments, host: Pick<CliHost, "clock">): SubscribeOptions {
  const durableName = args.text("durable");
  if (durableName !== undefined && args.text("queue") === undefined && args.text("client-id") === undefined) {
    throw new UsageError(
      "-durable needs -client-id: a durable belongs to a client ID, and the default is a new one each time",
    );
  }
  const ackWaitMs = args.durationMs("ack-wait", ACK_WAIT_MS_DEFAULT);
  if (ackWaitMs < 1000) throw new UsageError("-ack-wait should be at least 1s: servers count whole seconds");
  return {
    start: startOf(args, host),
    durableName,
    queueGroup: args.text("queue"),
    // No more than will be printed: what is on its way at the end will be sent again to the next one who asks.
    maxInFlight: args.number(
      "max-inflight",
      Math.min(MAX_IN_FLIGHT_DEFAULT, args.number("count", MAX_IN_FLIGHT_DEFAULT)),
    ),
    ackWaitSecs: Math.round(ackWaitMs / 1000),
  };
}

function startOf(args: Arguments, host: Pick<CliHost, "clock">): StartPosition {
  args.onlyOneOf("all", "last", "new", "since", "from");
  if (args.flag("all")) return { kind: "first" };
  if (args.flag("last")) return { kind: "last" };
  const from = args.number("from", undefined);
  if (from !== undefined) return { kind: "sequence", sequence: from };
  const since = args.text("since");
  if (since === undefined) return { kind: "new" };
  const duration = parseDuration(since);
  if (duration.ok && duration.ms >= 0) return { kind: "ago", deltaNs: BigInt(Math.round(duration.ms * 1e6)) };
  const time = parseTime(since);
  if (time === undefined) {
    throw new UsageError(
      `-since should be a duration such as 1h30m or a time such as 2026-01-31T12:00:00Z, got ${quote(since)}`,
    );
  }
  const deltaNs = nowNs(host.clock) - time;
  // A time to come: nothing that is there already.
  return deltaNs > 0n ? { kind: "ago", deltaNs } : { kind: "new" };
}

function formatOf(args: Arguments): SubFormat {
  args.onlyOneOf("json", "raw", "hex");
  return args.flag("json") ? "json" : args.flag("raw") ? "raw" : args.flag("hex") ? "hex" : "text";
}

/** One message as a JSON line has it. */
export function messageJson(message: StanMessage): Record<string, unknown> {
  return {
    sequence: message.sequence,
    time: timeText(message.timeNs),
    channel: message.channel,
    ...(message.reply === "" ? {} : { reply: message.reply }),
    ...payloadJson(message.data),
    ...(message.isRedelivered ? { redelivered: true, redelivery_count: message.redeliveryCount } : {}),
  };
}

function printMessage(host: CliHost, message: StanMessage, format: SubFormat): void {
  if (format === "json") return host.out(`${JSON.stringify(messageJson(message))}\n`);
  if (format === "raw") {
    // Two writes may be torn apart by a signal; one cannot.
    const bytes = new Uint8Array(message.data.length + 1);
    bytes.set(message.data);
    bytes.set(LINE_END, message.data.length);
    return host.outBytes(bytes);
  }
  host.out(messageText(message, format === "hex", wantsColours(host)));
}

/** A message for people: one line, or a head and the payload below it. */
export function messageText(message: StanMessage, isHex: boolean, colours: boolean): string {
  const again = message.isRedelivered ? ` (delivery ${message.redeliveryCount + 1})` : "";
  const plain = `${message.sequence}  ${timeText(message.timeNs)}${again}`;
  const head = colours ? `\x1b[2m${plain}\x1b[0m` : plain;
  if (message.data.length === 0) return `${head}  (empty)\n`;
  const text = isHex ? undefined : textOf(message.data);
  if (text === undefined || !isReadable(text)) {
    return `${head}  ${counted(message.data.length, "byte")}\n${hexView(message.data, "    ")}`;
  }
  if (!text.includes("\n")) return `${head}  ${text}\n`;
  return `${head}\n${text.replace(/\r?\n$/, "").split(/\r?\n/).map((line) => `    ${line}\n`).join("")}`;
}
