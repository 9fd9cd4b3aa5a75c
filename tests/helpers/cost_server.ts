/** A whole server on a platform that a test moves by hand, with one client, for counting what messages cost. */
import assert from "node:assert/strict";
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import { defaultOptions, type Options } from "../../src/config/options.ts";
import { Logger } from "../../src/log/logger.ts";
import { SilentSink } from "../../src/log/sinks.ts";
import { CHUNK_SIZE_BYTES, OutputQueue } from "../../src/runtime/output_queue.ts";
import { StreamingServer } from "../../src/server/streaming_server.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/stan_codec.ts";
import type { StanMessageName } from "../../src/wire/stan_schema.ts";
import { allCalledBack, type Meter } from "./cost_meter.ts";
import type { CountedDisk } from "./counted_disk.ts";
import { FakeRuntime, type FakeSocket } from "./fake_runtime.ts";

/** Messages that are counted at a time. */
export const BATCH = 1000;
/** What begins with it came to the client: an answer to a publish, a delivery. */
export const ACK = "MSG _STAN.acks.me 2 ";
export const DELIVERY = "MSG _INBOX.deliveries 4 ";

const PAYLOAD = new Uint8Array(128).fill(120);

/** The server, the client, and the ends of everything that a test moves. */
export class CostServer {
  readonly runtime = new FakeRuntime();
  readonly server: StreamingServer;
  readonly #disk: CountedDisk | undefined;
  readonly #meter: Meter;
  #turnsAsked = 0;
  #socket: FakeSocket | undefined;
  #clientId = "";
  /** Came to the client with its last answer, and was not asked for yet. */
  #heard = "";
  #hello: Record<string, unknown> = {};

  /** With a disk the store is FILE, else MEMORY. */
  constructor(meter: Meter, disk?: CountedDisk) {
    const { clock, scheduler } = this.runtime;
    this.#meter = meter;
    fillChunkPool();
    const { monotonicMs, wallNs } = clock;
    clock.monotonicMs = () => (meter.add("clockReads"), monotonicMs());
    clock.wallNs = (out) => (meter.add("clockReads"), wallNs(out));
    const { endOfTurn, after: later } = scheduler;
    scheduler.endOfTurn = (work) => {
      meter.add("turns");
      this.#turnsAsked++;
      endOfTurn(() => {
        this.#turnsAsked--;
        work();
      });
    };
    scheduler.after = (delayMs, work) => (meter.add("timers"), later(delayMs, work));
    this.#disk = disk;
    const options: Options = { ...defaultOptions(), port: 4222 };
    const runtime = this.runtime.asRuntime();
    this.server = disk === undefined ? new StreamingServer(options, runtime, silentLogger()) : new StreamingServer(
      { ...options, store: "FILE", file: { ...options.file, dir: "/srv/data" } },
      Object.assign(runtime, { disk }),
      silentLogger(),
    );
  }

  /** One that serves the client `me`. */
  static async begin(meter: Meter, disk?: CountedDisk): Promise<CostServer> {
    const table = new CostServer(meter, disk);
    await table.start();
    await table.connect("me");
    return table;
  }

  /** Recovers and opens the port. */
  async start(): Promise<void> {
    let isOver = false;
    const started = this.server.start().finally(() => isOver = true);
    while (!isOver) await this.settle();
    await started;
  }

  /** From here on `socket` is a streaming client that hears its acks and its deliveries. */
  async connect(clientId: string): Promise<void> {
    const socket = this.#socket = this.runtime.dial();
    const { flush } = socket;
    socket.flush = () => {
      this.#meter.add("flushes");
      // From here on it plays the kernel.
      this.#meter.uncounted(() => flush.call(socket));
    };
    socket.send('CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n');
    socket.send("SUB _INBOX.reply 1\r\nSUB _STAN.acks.me 2\r\nSUB _INBOX.hb 3\r\nSUB _INBOX.deliveries 4\r\n");
    this.#clientId = clientId;
    await this.settle();
    const request = { clientId, heartbeatInbox: "_INBOX.hb", protocol: 1, connectionId: "conn" };
    await this.send(this.#request("_STAN.discover.test-cluster", "ConnectRequest", request));
    this.#hello = this.#answer("ConnectResponse");
  }

  get socket(): FakeSocket {
    assert.ok(this.#socket !== undefined);
    return this.#socket;
  }

  /** Runs turns and ends what the disk is at until there is nothing left to do at this moment. */
  async settle(): Promise<void> {
    do {
      this.runtime.turn();
      await allCalledBack();
    } while (this.#turnsAsked > 0 || this.#disk?.next() === true);
  }

  /** A client sends it all in one read. */
  async send(bytes: Uint8Array): Promise<void> {
    this.socket.handler?.data(bytes);
    await this.settle();
  }

  #request(subject: string, name: StanMessageName, value: object): Uint8Array {
    const payload = encodeMessage(name as "ConnectRequest", value);
    return bytesOf(`PUB ${subject} _INBOX.reply ${payload.length}\r\n${byteString(payload)}\r\n`);
  }

  /** What came back to the reply of the last request; nothing else is taken. */
  #answer(name: StanMessageName): Record<string, unknown> {
    const text = this.#heard = this.socket.take();
    const match = /MSG _INBOX\.reply \S+ (\d+)\r\n/.exec(text);
    assert.ok(match, text);
    const start = match.index + match[0].length;
    const bytes = bytesOf(text.slice(start, start + Number(match[1])));
    const answer = decodeMessage(name as "ConnectResponse", bytes, 0, bytes.length) as Record<string, unknown>;
    assert.equal(answer["error"] ?? "", "");
    return answer;
  }

  /** A request for a subscription whose deliveries nothing holds back. */
  subscription(channel: string, startPosition: number): Uint8Array {
    return this.#request(String(this.#hello["subRequests"]), "SubscriptionRequest", {
      clientId: this.#clientId,
      channel,
      inbox: "_INBOX.deliveries",
      maxInFlight: 2 * BATCH,
      ackWaitSecs: 30,
      startPosition,
    });
  }

  /** Subscribes to what is new; returns the ack inbox. */
  async subscribe(channel: string): Promise<string> {
    await this.send(this.subscription(channel, 0));
    return String(this.#answer("SubscriptionResponse")["ackInbox"]);
  }

  /** One publish of 128 bytes, as it comes from a client. */
  publish(i: number, channel: string): string {
    const payload = encodeMessage("PubMsg", {
      clientId: this.#clientId,
      guid: String(i).padStart(22, "0"),
      channel,
      data: PAYLOAD,
      connectionId: "conn",
    });
    return `PUB ${this.#hello["pubPrefix"]}.${channel} _STAN.acks.me ${payload.length}\r\n${byteString(payload)}\r\n`;
  }

  /** A batch of them in one piece, as one read brings it. */
  publishes(channelOf: (i: number) => string): Uint8Array {
    return frames((i) => this.publish(i, channelOf(i)));
  }

  /** A batch of acks, from `first` on. */
  acks(ackInbox: string, channel: string, first: number): Uint8Array {
    return frames((i) => {
      const payload = encodeMessage("Ack", { channel, sequence: first + i });
      return `PUB ${ackInbox} ${payload.length}\r\n${byteString(payload)}\r\n`;
    });
  }

  /** How many of `what` came since it was asked last. */
  received(what: string): number {
    const text = this.#heard + this.socket.take();
    this.#heard = "";
    return text.split(what).length - 1;
  }
}

/** The pool of output chunks belongs to the process: with plenty in it, figures do not tell what ran before. */
function fillChunkPool(): void {
  const output = new OutputQueue();
  for (let i = 0; i < 16; i++) {
    output.reserve(CHUNK_SIZE_BYTES);
    output.length = CHUNK_SIZE_BYTES;
  }
  output.clear();
}

function silentLogger(): Logger {
  return new Logger({
    sink: new SilentSink(),
    style: { pid: 1, time: false, colours: false },
    wallNs: () => {},
    zoneOffsetMinutes: () => 0,
    core: { debug: false, trace: false },
    streaming: { debug: false, trace: false },
  });
}

function frames(frameOf: (i: number) => string): Uint8Array {
  return bytesOf(Array.from({ length: BATCH }, (_none, i) => frameOf(i)).join(""));
}
