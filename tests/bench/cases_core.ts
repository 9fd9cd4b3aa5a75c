/** Cases of the core NATS protocol: prebuilt blocks go out, frames of constant size are counted by their bytes. */

import { bytesOf, ConstantFrameCounter, longName, msgFrame, payloadOf, pubFrame, repeatFrame } from "./frames.ts";
import type { LatencySampler } from "./latency_sampler.ts";
import { NatsLink } from "./nats_link.ts";
import { PIECE_BYTES } from "./raw_socket.ts";
import { deferred, type Run } from "./run.ts";

/** One output block: the size of one write. */
const BLOCK_BYTES = 64 * 1024;
/** Bytes a publisher writes before it lets the receivers of this process have their turn. */
const TURN_BYTES = 1024 * 1024;
/**
 * How far a publisher may be ahead of its slowest receiver: a quarter of the 64 MiB at which a server cuts a slow
 * consumer, so a run measures forwarding and never that rule.
 */
const AHEAD_BYTES_MAX = 16 * 1024 * 1024;

/** Counts what one subscription gets. */
export class CountingReceiver {
  readonly counter: ConstantFrameCounter;
  target = 0;
  onProgress: () => void = () => {};
  /** Told of all messages of one chunk at once; one connection keeps their order, so their count is their number. */
  arrivals: LatencySampler | undefined = undefined;

  /** `interest` is what is subscribed to when it differs from the subject of the messages. */
  constructor(readonly link: NatsLink, run: Run, subject: string, sizeBytes: number, interest = subject) {
    this.counter = new ConstantFrameCounter(
      msgFrame(subject, 1, "", payloadOf(sizeBytes)).length,
      (line) => link.controlLine(line),
    );
    link.raw = (chunk) => {
      const before = this.counter.count;
      this.counter.feed(chunk);
      this.arrivals?.arriveAll(before, this.counter.count);
      run.progress += this.counter.count - before;
      if (this.counter.count > this.target) {
        throw new Error(`a receiver got ${this.counter.count} messages, ${this.target} were published`);
      }
      this.onProgress();
    };
    link.sendText(`SUB ${interest} 1\r\n`);
  }
}

/** Writes one prebuilt block over and over. */
export class BlockPublisher {
  readonly frameBytes: number;
  readonly #link: NatsLink;
  readonly #run: Run;
  readonly #block: Uint8Array;
  readonly #receivers: readonly CountingReceiver[];
  readonly #departures: LatencySampler | undefined;
  #sentBytes = 0;
  #targetBytes = 0;
  #pumping = false;
  #done: () => void = () => {};

  /** Goes round `subjects`, whose names have one length. */
  constructor(
    link: NatsLink,
    run: Run,
    subjects: readonly string[],
    sizeBytes: number,
    receivers: readonly CountingReceiver[],
  ) {
    this.#link = link;
    this.#run = run;
    this.#receivers = receivers;
    const payload = payloadOf(sizeBytes);
    const frames = subjects.map((subject) => pubFrame(subject, "", payload));
    this.frameBytes = frames[0]?.length ?? 0;
    if (frames.some(({ length }) => length !== this.frameBytes)) throw new Error("frames differ in length");
    this.#block = frames.length === 1 ? repeatFrame(frames[0] as Uint8Array, BLOCK_BYTES) : joined(frames);
    link.onDrain = () => this.pump();
    // The bound on bytes ahead of the slowest receiver bounds the messages under way.
    this.#departures = receivers.length === 0 ? undefined : run.sampler(AHEAD_BYTES_MAX / this.frameBytes + 1);
    for (const receiver of receivers) {
      receiver.arrivals = this.#departures;
      receiver.onProgress = () => this.pump();
    }
  }

  /** Publishes `count` more messages; resolves when all receivers have them, or the server has handled them. */
  async publish(count: number): Promise<void> {
    this.#targetBytes += count * this.frameBytes;
    for (const receiver of this.#receivers) receiver.target += count;
    const done = deferred();
    this.#done = done.resolve;
    this.pump();
    await this.#run.race(done.promise);
    if (this.#receivers.length === 0) await this.#link.ping();
  }

  /** Writes until the socket, the turn or the slowest receiver says stop. */
  pump(): void {
    const ahead = this.#receivers.length === 0 ? Infinity : this.#slowest() * this.frameBytes + AHEAD_BYTES_MAX;
    const turnEnd = this.#sentBytes + TURN_BYTES;
    const wanted = Math.min(this.#targetBytes, ahead, turnEnd);
    // Whole frames only, also where the socket stops taking bytes: the answer to a server's PING may have to go out next.
    const limit = wanted - (wanted % this.frameBytes);
    while (this.#sentBytes < limit && !this.#link.out.blocked) {
      const at = this.#sentBytes % this.#block.length;
      const piece = Math.min(this.#block.length - at, limit - this.#sentBytes, PIECE_BYTES);
      this.#departures?.departBytes(this.#sentBytes, this.#sentBytes + piece, this.frameBytes);
      this.#sentBytes += this.#link.out.offer(this.#block, at, piece);
      this.#run.progress++;
    }
    const begun = this.#sentBytes % this.frameBytes;
    if (begun > 0) {
      const at = this.#sentBytes % this.#block.length;
      this.#link.out.send(this.#block, at, this.frameBytes - begun);
      this.#sentBytes += this.frameBytes - begun;
    }
    if (this.#sentBytes >= this.#targetBytes) {
      if (this.#slowest() * this.frameBytes >= this.#targetBytes) this.#done();
    } else if (turnEnd - this.#sentBytes < this.frameBytes && !this.#pumping) {
      this.#pumping = true;
      setImmediate(() => {
        this.#pumping = false;
        this.#run.guard(() => this.pump());
      });
    }
  }

  #slowest(): number {
    let slowest = Infinity;
    for (const receiver of this.#receivers) slowest = Math.min(slowest, receiver.counter.count);
    return slowest;
  }
}

function joined(frames: readonly Uint8Array[]): Uint8Array {
  const block = new Uint8Array(frames.length * (frames[0]?.length ?? 0));
  for (const [index, frame] of frames.entries()) block.set(frame, index * frame.length);
  return block;
}

/** Publishers into the void, one to one, one to many, or many pairs on their own subjects. */
export async function runCorePubSub(run: Run): Promise<void> {
  const { host, port, messages, warmup, publishers, subscribers, sizeBytes, pairs, subjects, kind } = run.job;
  const open = () => NatsLink.open(run, host, port);
  const numbered = (index: number) => `bench.core.${String(index).padStart(4, "0")}`;
  const subjectOf = (index: number) => pairs || subjects > 1 ? numbered(index) : "bench.core";
  const interestOf = (index: number) => subjects > 1 ? "bench.core.*" : subjectOf(index);
  const subjectsOf = (index: number) =>
    subjects > 1 ? Array.from({ length: subjects }, (_, i) => numbered(i)) : [subjectOf(index)];
  const receiversOf: CountingReceiver[][] = [];
  const receivers: CountingReceiver[] = [];
  for (let index = 0; index < publishers; index++) receiversOf.push([]);
  if (!pairs && publishers > 1 && kind === "core-pubsub") {
    throw new Error("several publishers on one subject are not a case: use pairs");
  }
  if (kind === "core-pubsub") {
    const count = pairs ? publishers : subscribers;
    for (let index = 0; index < count; index++) {
      const owner = pairs ? index : 0;
      const receiver = new CountingReceiver(await open(), run, subjectOf(owner), sizeBytes, interestOf(owner));
      receiversOf[owner]?.push(receiver);
      receivers.push(receiver);
    }
    for (const receiver of receivers) await receiver.link.ping();
  }
  const senders: BlockPublisher[] = [];
  for (let index = 0; index < publishers; index++) {
    senders.push(new BlockPublisher(await open(), run, subjectsOf(index), sizeBytes, receiversOf[index] ?? []));
  }
  const each = (count: number) => Math.ceil(count / publishers);
  const all = (count: number) => Promise.all(senders.map((sender) => sender.publish(each(count))));
  if (warmup > 0) await all(warmup);
  const published = each(messages) * publishers;
  const receiversEach = pairs ? 1 : subscribers;
  run.start(kind === "core-void" ? 0 : run.samplesOf(each(messages)) * publishers * receiversEach);
  await all(messages);
  run.stop(kind === "core-void" ? published : published * receiversEach);
}

/** Request and reply through one responder, one request in flight. */
export async function runCoreRequest(run: Run): Promise<void> {
  const { host, port, messages, warmup, sizeBytes } = run.job;
  const inbox = `_INBOX.${longName("requester")}`;
  const subject = "bench.request";
  const requester = await NatsLink.open(run, host, port);
  const responder = await NatsLink.open(run, host, port);
  const payload = payloadOf(sizeBytes);
  const request = pubFrame(subject, inbox, payload);
  const reply = pubFrame(inbox, "", payload);

  const asked = new ConstantFrameCounter(
    msgFrame(subject, 1, inbox, payload).length,
    (line) => responder.controlLine(line),
  );
  responder.raw = (chunk) => {
    const before = asked.count;
    asked.feed(chunk);
    if (asked.count - before > 1) throw new Error("more than one request arrived at once");
    if (asked.count > before) responder.out.send(reply);
  };
  responder.out.send(bytesOf(`SUB ${subject} 1\r\n`));
  await responder.ping();

  const answered = new ConstantFrameCounter(
    msgFrame(inbox, 1, "", payload).length,
    (line) => requester.controlLine(line),
  );
  let target = 0;
  let sentAt = 0;
  let done = deferred();
  const ask = (): void => {
    sentAt = performance.now();
    requester.out.send(request);
  };
  requester.raw = (chunk) => {
    const before = answered.count;
    answered.feed(chunk);
    if (answered.count === before) return;
    if (answered.count > before + 1) throw new Error("one request was answered twice");
    run.latency?.add(performance.now() - sentAt);
    run.progress++;
    if (answered.count < target) ask();
    else done.resolve();
  };
  requester.sendText(`SUB ${inbox} 1\r\n`);
  await requester.ping();
  const phase = (count: number): Promise<void> => {
    target += count;
    done = deferred();
    ask();
    return run.race(done.promise);
  };
  if (warmup > 0) await phase(warmup);
  run.start(messages);
  await phase(messages);
  run.stop(messages);
}

/** One PING after the other: how long the server keeps one connection waiting while others are busy. */
export async function runCorePing(run: Run): Promise<void> {
  const { host, port, messages } = run.job;
  const link = await NatsLink.open(run, host, port);
  run.start(messages);
  for (let i = 0; i < messages; i++) {
    const sentAt = performance.now();
    await run.race(link.ping());
    run.latency?.add(performance.now() - sentAt);
    run.progress++;
  }
  run.stop(messages);
  link.close();
}
