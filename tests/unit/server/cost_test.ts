/**
 * What a message costs, in things that can be counted: the same figures on every machine, busy or not. A change that copies
 * more bytes, makes more views or reads the clock per message shows here before it shows in a benchmark. Where a figure got
 * better the record is renewed; where it got worse it needs a reason.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { bytesOf, byteString, installBulkCopy } from "../../../src/base/bytes.ts";
import { defaultOptions } from "../../../src/config/options.ts";
import { Logger } from "../../../src/log/logger.ts";
import { SilentSink } from "../../../src/log/sinks.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { StreamingServer } from "../../../src/server/streaming_server.ts";
import { decodeMessage, encodeMessage } from "../../../src/wire/stan_codec.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";

const BATCH = 1000;
const PAYLOAD = new Uint8Array(128).fill(120);

interface Costs {
  copies: number;
  copiedBytes: number;
  views: number;
  arrays: number;
  strings: number;
  promises: number;
  clockReads: number;
  turns: number;
  timers: number;
  flushes: number;
}

/** Counts while `count` is on. Everything is put back at the end of this file. */
class Meter {
  costs: Costs = Meter.zero();
  #isOn = false;
  readonly #restore: (() => void)[] = [];

  static zero(): Costs {
    return {
      copies: 0,
      copiedBytes: 0,
      views: 0,
      arrays: 0,
      strings: 0,
      promises: 0,
      clockReads: 0,
      turns: 0,
      timers: 0,
      flushes: 0,
    };
  }

  add(what: keyof Costs, count = 1): void {
    if (this.#isOn) this.costs[what] += count;
  }

  count(work: () => void): Costs {
    this.costs = Meter.zero();
    this.#isOn = true;
    try {
      work();
    } finally {
      this.#isOn = false;
    }
    return this.costs;
  }

  /** Wraps a method of an object that all share. */
  wrap(target: object, name: string, what: keyof Costs): void {
    const original: unknown = Reflect.get(target, name);
    assert.ok(typeof original === "function", name);
    // deno-lint-ignore no-this-alias
    const meter = this;
    Object.defineProperty(target, name, {
      configurable: true,
      writable: true,
      value: function (this: unknown, ...given: unknown[]): unknown {
        meter.add(what);
        return Reflect.apply(original, this, given);
      },
    });
    this.#restore.push(() =>
      Object.defineProperty(target, name, { configurable: true, writable: true, value: original })
    );
  }

  /** Counts how often a global is constructed. */
  wrapGlobal(name: "Uint8Array" | "Uint32Array" | "Promise", what: keyof Costs): void {
    const original = globalThis[name];
    const construct = (target: object, given: unknown[]): object => {
      this.add(what);
      return Reflect.construct(target as typeof original, given);
    };
    const proxy = new Proxy<object>(original, { construct });
    Reflect.set(globalThis, name, proxy);
    this.#restore.push(() => void Reflect.set(globalThis, name, original));
  }

  restore(): void {
    for (const work of this.#restore) work();
  }
}

/** Renew these when a figure got better; see the comment at the top. */
const RECORDED: Readonly<Record<"publish" | "channels" | "live" | "acks", Costs>> = {
  publish: {
    copies: 5000,
    copiedBytes: 197000,
    views: 1,
    arrays: 2,
    strings: 0,
    promises: 0,
    clockReads: 5,
    turns: 2,
    timers: 0,
    flushes: 1,
  },
  channels: {
    copies: 5125,
    copiedBytes: 203140,
    views: 1,
    arrays: 200,
    strings: 0,
    promises: 0,
    clockReads: 5,
    turns: 2,
    timers: 0,
    flushes: 1,
  },
  live: {
    copies: 7001,
    copiedBytes: 367050,
    views: 4,
    arrays: 2,
    strings: 0,
    promises: 0,
    clockReads: 5,
    turns: 2,
    timers: 0,
    flushes: 1,
  },
  acks: {
    copies: 1,
    copiedBytes: 37,
    views: 0,
    arrays: 0,
    strings: 0,
    promises: 0,
    clockReads: 3,
    turns: 1,
    timers: 0,
    flushes: 0,
  },
};

const meter = new Meter();
// The runtime installs its own copy when it is picked: before ours, and again behind it.
const platform = await pickRuntime();
installBulkCopy((target, position, source, start, end) => {
  meter.add("copies");
  meter.add("copiedBytes", end - start);
  for (let i = start; i < end; i++) target[position + i - start] = source[i]!;
}, -1);
meter.wrap(Object.getPrototypeOf(Uint8Array.prototype), "subarray", "views");
meter.wrap(Object.getPrototypeOf(Uint8Array.prototype), "slice", "arrays");
meter.wrap(String, "fromCharCode", "strings");
meter.wrapGlobal("Uint8Array", "arrays");
meter.wrapGlobal("Uint32Array", "arrays");
meter.wrapGlobal("Promise", "promises");
after(() => {
  meter.restore();
  installBulkCopy((target, position, source, start, end) => target.set(source.subarray(start, end), position), 96);
});
assert.ok(platform.version !== "");

class Table {
  readonly runtime = new FakeRuntime();
  readonly server: StreamingServer;

  constructor() {
    const { clock, scheduler } = this.runtime;
    const { monotonicMs } = clock;
    clock.monotonicMs = () => (meter.add("clockReads"), monotonicMs());
    const { endOfTurn, after: later } = scheduler;
    scheduler.endOfTurn = (work) => (meter.add("turns"), endOfTurn(work));
    scheduler.after = (delayMs, work) => (meter.add("timers"), later(delayMs, work));
    const options = { ...defaultOptions(), port: 4222 };
    this.server = new StreamingServer(options, this.runtime.asRuntime(), silentLogger());
  }

  async start(): Promise<void> {
    const started = this.server.start();
    let isOver = false;
    started.finally(() => isOver = true);
    while (!isOver) {
      this.runtime.turn();
      await Promise.resolve();
    }
    await started;
  }

  connect(): FakeSocket {
    const socket = this.runtime.dial();
    const { flush } = socket;
    socket.flush = () => (meter.add("flushes"), flush.call(socket));
    socket.send('CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n');
    this.runtime.turn();
    return socket;
  }

  /** Sends a request and returns what came back to its reply. */
  ask(socket: FakeSocket, subject: string, request: string, answer: string, value: object): Record<string, unknown> {
    socket.take();
    const payload = encodeMessage(request as "ConnectRequest", value);
    socket.send(`PUB ${subject} _INBOX.reply ${payload.length}\r\n${byteString(payload)}\r\n`);
    this.runtime.turn();
    const text = socket.take();
    const match = /MSG _INBOX\.reply \S+ (\d+)\r\n/.exec(text);
    assert.ok(match, text);
    const start = match.index + match[0].length;
    const bytes = bytesOf(text.slice(start, start + Number(match[1])));
    return decodeMessage(answer as "ConnectResponse", bytes, 0, bytes.length) as Record<string, unknown>;
  }
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

/** A frame for each message of a batch, in one piece, as one read brings it. */
function frames(count: number, frameOf: (i: number) => string): Uint8Array {
  return bytesOf(Array.from({ length: count }, (_none, i) => frameOf(i)).join(""));
}

function publishes(prefix: string, channelOf: (i: number) => string): Uint8Array {
  return frames(BATCH, (i) => {
    const channel = channelOf(i);
    const payload = encodeMessage("PubMsg", {
      clientId: "me",
      guid: String(i).padStart(22, "0"),
      channel,
      data: PAYLOAD,
      connectionId: "conn",
    });
    return `PUB ${prefix}.${channel} _STAN.acks.me ${payload.length}\r\n${byteString(payload)}\r\n`;
  });
}

/** One read, and the turn behind it. */
function costOf(table: Table, socket: FakeSocket, bytes: Uint8Array): Costs {
  return meter.count(() => {
    socket.handler?.data(bytes);
    table.runtime.turn();
  });
}

async function begin() {
  const table = new Table();
  await table.start();
  const socket = table.connect();
  socket.send("SUB _INBOX.reply 1\r\nSUB _STAN.acks.me 2\r\nSUB _INBOX.hb 3\r\nSUB _INBOX.deliveries 4\r\n");
  const hello = table.ask(socket, "_STAN.discover.test-cluster", "ConnectRequest", "ConnectResponse", {
    clientId: "me",
    heartbeatInbox: "_INBOX.hb",
    protocol: 1,
    connectionId: "conn",
  });
  assert.equal(hello["error"] ?? "", "");
  return { table, socket, hello };
}

/** How many of `what` came. */
function count(text: string, what: string): number {
  return text.split(what).length - 1;
}

test("style 6, runtime 2: what a thousand publishes of one read cost", async () => {
  const { table, socket, hello } = await begin();
  const bytes = publishes(String(hello["pubPrefix"]), () => "foo");
  for (let warm = 0; warm < 3; warm++) costOf(table, socket, bytes);
  socket.take();
  const costs = costOf(table, socket, bytes);
  assert.equal(count(socket.take(), "MSG _STAN.acks.me 2 "), BATCH);
  assert.deepEqual(costs, RECORDED.publish);
});

test("style 6, runtime 2: what a thousand publishes to a hundred channels in turn cost", async () => {
  const { table, socket, hello } = await begin();
  const bytes = publishes(String(hello["pubPrefix"]), (i) => `c${i % 100}`);
  for (let warm = 0; warm < 3; warm++) costOf(table, socket, bytes);
  socket.take();
  const costs = costOf(table, socket, bytes);
  assert.equal(count(socket.take(), "MSG _STAN.acks.me 2 "), BATCH);
  assert.deepEqual(costs, RECORDED.channels);
});

test("style 6, runtime 2: what a thousand deliveries and their acks cost", async () => {
  const { table, socket, hello } = await begin();
  const accepted = table.ask(
    socket,
    String(hello["subRequests"]),
    "SubscriptionRequest",
    "SubscriptionResponse",
    { clientId: "me", channel: "foo", inbox: "_INBOX.deliveries", maxInFlight: 2 * BATCH, ackWaitSecs: 30 },
  );
  assert.equal(accepted["error"] ?? "", "");
  const bytes = publishes(String(hello["pubPrefix"]), () => "foo");
  let first = 1;
  const acks = () =>
    frames(BATCH, () => {
      const payload = encodeMessage("Ack", { channel: "foo", sequence: first++ });
      return `PUB ${accepted["ackInbox"]} ${payload.length}\r\n${byteString(payload)}\r\n`;
    });
  for (let warm = 0; warm < 3; warm++) {
    costOf(table, socket, bytes);
    costOf(table, socket, acks());
  }
  socket.take();
  const live = costOf(table, socket, bytes);
  assert.equal(count(socket.take(), "MSG _INBOX.deliveries 4 "), BATCH);
  assert.deepEqual(live, RECORDED.live);
  assert.deepEqual(costOf(table, socket, acks()), RECORDED.acks);
});
