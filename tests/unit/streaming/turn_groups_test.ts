/** What becomes safe without each other leaves without each other (turn_groups.ts, flights.ts). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushTicket } from "../../helpers/core_driver.ts";
import { StreamingBench, type Subscriber } from "../../helpers/streaming_bench.ts";

/** A bench with clients `a` to `d` and channels `A` to `D`, whose flushes end when the test says so. */
class SlowDisk {
  readonly b = new StreamingBench();
  readonly #tickets = new Map<string, FlushTicket[]>();
  readonly #names = new Map<string, string>();
  /** What each channel delivers to. */
  readonly subscribers = new Map<string, Subscriber>();

  constructor() {
    for (const name of ["me", ..."abcd"]) this.b.connect(name, { connectionId: `conn-${name}` });
    for (const channel of "ABCD") {
      const subscriber = this.b.subscribe(channel, { maxInFlight: 1000 });
      this.subscribers.set(channel, subscriber);
      this.#names.set(subscriber.inbox, `to ${channel}`);
      const waiting: FlushTicket[] = [];
      this.#tickets.set(channel, waiting);
      this.b.store.channel(channel)!.messages.flush = () => {
        const ticket = new FlushTicket();
        waiting.push(ticket);
        return ticket as unknown as Promise<void>;
      };
    }
    this.b.sent.length = 0;
  }

  /** Publishes, one after the other and without the end of a turn: "aA bB" is client a to channel A, then b to B. */
  publish(what: string): void {
    for (const [client, channel] of what.split(" ") as unknown as [string, string][]) {
      const request = this.b.publishRequest(channel!, "", { clientId: client, connectionId: `conn-${client}` });
      this.#names.set(this.b.post("publish", request), `${client}${channel}`);
    }
  }

  turn(what: string): void {
    this.publish(what);
    this.b.turn();
  }

  /** The oldest flush of each of these channels ends. Returns what leaves because of it: answers as they were asked. */
  end(channels: string): string {
    for (const channel of channels) this.completeFlush(channel);
    const names = this.b.sent.splice(0).map(({ subject }) => this.#names.get(subject) ?? subject);
    return names.filter((name) => !name.startsWith("to ")).join(" ");
  }

  completeFlush(channel: string): void {
    this.#tickets.get(channel)!.shift()!.complete();
    this.b.turn();
  }

  named(reply: string, name: string): void {
    this.#names.set(reply, name);
  }
}

test("11.5, tail: two clients with a channel each: neither waits for the disk of the other, in one turn or in several", () => {
  const disk = new SlowDisk();
  disk.turn("aA bB aA");
  assert.equal(disk.end("B"), "bB");
  disk.turn("bB");
  assert.equal(disk.end("B"), "bB");
  assert.equal(disk.end("A"), "aA aA");
  assert.equal(disk.b.driver.flushesInFlight, 0);
});

test("26.1: a channel of two clients: what came first is answered first, whichever flush ends first", () => {
  const disk = new SlowDisk();
  disk.turn("aA");
  disk.turn("bA");
  assert.equal(disk.end("A"), "aA");
  assert.equal(disk.end("A"), "bA");
  disk.turn("aA bA cB");
  assert.equal(disk.end("B"), "cB");
  assert.equal(disk.end("A"), "aA bA");
});

test("11.7: a client with two channels is answered in the order of what it sent, in one turn and over several", () => {
  const disk = new SlowDisk();
  disk.turn("aA aB");
  assert.equal(disk.end("B"), "");
  assert.equal(disk.end("A"), "aA aB");
  disk.turn("aA");
  disk.turn("aB");
  assert.equal(disk.end("B"), "");
  assert.equal(disk.end("A"), "aA aB");
});

test("11.7: who meets in one turn, by client or channel, is answered together: each client in its order", () => {
  for (const [sent, waits] of [["aA bB bA", "AB"], ["aA bB aB", "AB"], ["aA bB cC cB bA", "ABC"]] as const) {
    const disk = new SlowDisk();
    disk.turn(`${sent} dD`);
    assert.equal(disk.end("D"), "dD", sent);
    assert.equal(disk.end(waits.slice(1)), "", sent);
    const got = disk.end(waits.charAt(0)).split(" ");
    assert.deepEqual([...got].sort(), sent.split(" ").sort());
    for (const client of "abc") {
      const of = (all: readonly string[]) => all.filter((one) => one[0] === client);
      assert.deepEqual(of(got), of(sent.split(" ")), `${sent}: ${client}`);
    }
  }
});

test("26.3: nothing overtakes what is no publish, and that overtakes nothing", () => {
  const disk = new SlowDisk();
  const { b } = disk;
  disk.turn("aA");
  disk.publish("bB");
  disk.named(b.post("subscribe", b.subscribeRequest("E")), "subscribed");
  disk.publish("dD");
  b.turn();
  disk.turn("cC");
  assert.equal(disk.end("C"), "");
  assert.equal(disk.end("BD"), "", "its own group is safe, the one before it is not");
  assert.equal(disk.end("A"), "aA bB subscribed dD cC");
});

test("15: deliveries of a channel do not wait for the disk of another one", () => {
  const disk = new SlowDisk();
  disk.publish("aA bB");
  disk.b.turn();
  disk.b.sent.length = 0;
  disk.completeFlush("B");
  assert.equal(disk.b.heard(disk.subscribers.get("A")!), "");
  assert.equal(disk.b.heard(disk.subscribers.get("B")!), "1");
});

test("bounds: of many clients with a channel each, those behind the fifteenth share a group, and all are answered", () => {
  const b = new StreamingBench();
  const count = 40;
  const tickets: FlushTicket[] = [];
  for (let i = 0; i < count; i++) {
    b.connect(`c${i}`, { connectionId: `conn-c${i}` });
    assert.equal(b.publish(`ch${i}`, "", { clientId: `c${i}`, connectionId: `conn-c${i}` }), "");
    b.store.channel(`ch${i}`)!.messages.flush = () => {
      const ticket = new FlushTicket();
      tickets.push(ticket);
      return ticket as unknown as Promise<void>;
    };
  }
  b.sent.length = 0;
  const replies: string[] = [];
  for (let i = 0; i < count; i++) {
    const request = b.publishRequest(`ch${i}`, "", { clientId: `c${i}`, connectionId: `conn-c${i}` });
    replies.push(b.post("publish", request));
  }
  b.turn();
  assert.equal(b.driver.flushesInFlight, 16);
  for (const ticket of tickets.toReversed()) ticket.complete();
  b.turn();
  assert.deepEqual(b.sent.map(({ subject }) => subject).sort(), replies.sort());
});

test("decision 16: a flush that fails refuses its own publishers, and nobody else's", () => {
  const b = new StreamingBench();
  for (const name of "ab") {
    b.connect(name, { connectionId: `conn-${name}` });
    b.publish(name.toUpperCase(), "", { clientId: name, connectionId: `conn-${name}` });
  }
  b.sent.length = 0;
  const replies = [..."ab"].map((name) =>
    b.post("publish", b.publishRequest(name.toUpperCase(), "", { clientId: name, connectionId: `conn-${name}` }))
  );
  const groups = [...b.core.endTurn()];
  assert.equal(groups.length, 2);
  for (const group of groups) b.core.flushing(group);
  b.core.flushed(groups[0]!, "the disk is full");
  b.core.flushed(groups[1]!);
  b.turn();
  assert.equal(b.error("publish", b.answer(replies[0]!)), "the disk is full");
  assert.equal(b.error("publish", b.answer(replies[1]!)), "");
  assert.equal(b.core.counters.takenBack, 1);
});
