/** Cases of the streaming protocol. */

import { PubAckScanner } from "./frames.ts";
import { deferred, type Run } from "./run.ts";
import {
  IdleClient,
  SequenceTally,
  singlePublish,
  StanPublisher,
  StanSession,
  StanSubscriber,
  START_FIRST,
  START_NEW_ONLY,
} from "./stan_session.ts";

/** Publishes in flight while a replay case fills its channel. */
const FILL_WINDOW = 1024;
/** Channels that the subscriptions of one case are spread over: below the default limit of 100. */
const CHANNEL_COUNT = 90;

/**
 * Names of one phase. Warming up and measuring use different channels and clients, and the process id keeps runs against
 * a server that still knows an earlier generator apart.
 */
export class Names {
  readonly channel: string;
  readonly #seed: string;

  constructor(phase: string) {
    this.#seed = `b${process.pid.toString(36)}${phase}`;
    this.channel = `bench.${this.#seed}`;
  }

  client(role: string, index: number): string {
    return `${this.#seed}${role}${index}`;
  }
}

export async function openAll(run: Run, names: Names, role: string, count: number): Promise<StanSession[]> {
  const sessions: StanSession[] = [];
  for (let index = 0; index < count; index++) sessions.push(await StanSession.open(run, names.client(role, index)));
  return sessions;
}

export function closeAll(sessions: readonly StanSession[]): void {
  for (const session of sessions) session.close();
}

/** Runs `phase` once to warm up, if the job says so, then once measured. */
async function twice(run: Run, phase: (names: Names, messages: number, measured: boolean) => Promise<void>) {
  if (run.job.warmup > 0) await phase(new Names("w"), run.job.warmup, false);
  await phase(new Names("m"), run.job.messages, true);
}

/** Publishers with a window each, one channel. */
export function runPublish(run: Run): Promise<void> {
  const { publishers, sizeBytes, window } = run.job;
  return twice(run, async (names, messages, measured) => {
    const sessions = await openAll(run, names, "p", publishers);
    const senders = sessions.map((session) => new StanPublisher(session, names.channel, sizeBytes, window));
    for (const sender of senders) {
      sender.departures = run.sampler(window);
      sender.ackArrivals = sender.departures;
    }
    const each = Math.ceil(messages / publishers);
    if (measured) run.start(run.samplesOf(each) * publishers);
    await Promise.all(senders.map((sender) => sender.publish(each)));
    if (measured) {
      run.stop(each * publishers);
      await run.rest();
    }
    closeAll(sessions);
  });
}

/** One publisher, one message in flight: latency from write to ack. */
export function runSync(run: Run): Promise<void> {
  return twice(run, async (names, messages, measured) => {
    const sessions = await openAll(run, names, "p", 1);
    const sender = new StanPublisher(sessions[0] as StanSession, names.channel, run.job.sizeBytes, 1);
    let sentAt = 0;
    const done = deferred();
    const next = (): void => {
      sentAt = performance.now();
      sender.more(1);
    };
    sender.onAck = () => {
      if (measured) run.latency?.add(performance.now() - sentAt);
      if (sender.acked < messages) next();
      else done.resolve();
    };
    if (measured) run.start(messages);
    next();
    await run.race(done.promise);
    if (measured) run.stop(messages);
    closeAll(sessions);
  });
}

interface Receiving {
  readonly subscribers: readonly StanSubscriber[];
  readonly done: Promise<void>;
  /** Deliveries expected in all. */
  readonly deliveries: number;
  readonly sessions: readonly StanSession[];
}

async function receivers(run: Run, names: Names, messages: number): Promise<Receiving> {
  const { subscribers: count, sizeBytes, queue } = run.job;
  const sessions = await openAll(run, names, "s", count);
  const done = deferred();
  const shared = new SequenceTally(messages, true);
  const deliveries = queue ? messages : messages * count;
  let left = deliveries;
  const subscribers = sessions.map((session) => {
    const tally = queue ? shared : new SequenceTally(messages, false);
    const subscriber = new StanSubscriber(session, names.channel, sizeBytes, tally);
    subscriber.onDelivery = () => {
      if (--left === 0) done.resolve();
    };
    return subscriber;
  });
  return { subscribers, done: done.promise, deliveries, sessions };
}

function subscribeAll(run: Run, receiving: Receiving, start: number): Promise<unknown> {
  const queueName = run.job.queue ? "workers" : undefined;
  return Promise.all(receiving.subscribers.map((subscriber) => subscriber.subscribe(start, queueName)));
}

/** Stores the messages first, then lets subscribers read the channel from its first message on. */
export function runReplay(run: Run): Promise<void> {
  return twice(run, async (names, messages, measured) => {
    const writers = await openAll(run, names, "p", 1);
    await new StanPublisher(writers[0] as StanSession, names.channel, run.job.sizeBytes, FILL_WINDOW).publish(messages);
    const receiving = await receivers(run, names, messages);
    if (measured) run.start();
    await subscribeAll(run, receiving, START_FIRST);
    await run.race(receiving.done);
    if (measured) run.stop(receiving.deliveries);
    closeAll([...writers, ...receiving.sessions]);
  });
}

/** Publishers and subscribers at once; done when all is acked and all is delivered. */
export function runLive(run: Run): Promise<void> {
  const { publishers, subscribers, sizeBytes, window, queue, sampleEvery } = run.job;
  if (publishers > 1 && sampleEvery > 0) {
    throw new Error("the sequences of several publishers do not tell whose message it was: sampleEvery must be 0");
  }
  return twice(run, async (names, messages, measured) => {
    const each = Math.ceil(messages / publishers);
    const receiving = await receivers(run, names, each * publishers);
    await subscribeAll(run, receiving, START_NEW_ONLY);
    const writers = await openAll(run, names, "p", publishers);
    const senders = writers.map((session) => new StanPublisher(session, names.channel, sizeBytes, window));
    // An ack says that a message is stored: deliveries may be any number of messages behind.
    const sampler = run.sampler(messages);
    for (const sender of senders) sender.departures = sampler;
    for (const subscriber of receiving.subscribers) subscriber.arrivals = sampler;
    if (measured) run.start(run.samplesOf(each * publishers) * (queue ? 1 : subscribers));
    await Promise.all([...senders.map((sender) => sender.publish(each)), run.race(receiving.done)]);
    if (measured) run.stop(receiving.deliveries);
    closeAll([...writers, ...receiving.sessions]);
  });
}

/** One message at a time: latency from the publisher's write to the subscriber's read. */
export function runReceipt(run: Run): Promise<void> {
  return twice(run, async (names, messages, measured) => {
    const receiving = await receivers(run, names, messages);
    await subscribeAll(run, receiving, START_NEW_ONLY);
    const writers = await openAll(run, names, "p", 1);
    const sender = new StanPublisher(writers[0] as StanSession, names.channel, run.job.sizeBytes, 1);
    let sentAt = 0;
    let received = 0;
    const done = deferred();
    const next = (): void => {
      // The next one leaves when both ends are done with this one: the server is at rest.
      if (sender.acked < received || received < sender.acked) return;
      if (received === messages) return done.resolve();
      sentAt = performance.now();
      sender.more(1);
    };
    sender.onAck = next;
    for (const subscriber of receiving.subscribers) {
      subscriber.onDelivery = () => {
        if (measured) run.latency?.add(performance.now() - sentAt);
        received++;
        next();
      };
    }
    if (measured) run.start(messages);
    next();
    await run.race(done.promise);
    if (measured) run.stop(messages);
    closeAll([...writers, ...receiving.sessions]);
  });
}

/** Clients that connect and stay: rate, CPU per connect, and by the resident memory the bytes of each. */
export async function runClients(run: Run): Promise<void> {
  const { messages, window } = run.job;
  const names = new Names("m");
  const sampler = run.sampler(messages);
  const clients = Array.from(
    { length: messages },
    (_none, index) => new IdleClient(run, names.client("c", index), index, sampler),
  );
  const done = deferred();
  let opened = 0;
  let registered = 0;
  const next = (): void => clients[opened++]?.open(registeredOne);
  const registeredOne = (): void => {
    registered++;
    if (registered === messages) done.resolve();
    else next();
  };
  run.start(run.samplesOf(messages));
  for (let index = 0; index < window; index++) next();
  await run.race(done.promise);
  run.stop(messages);
  await run.rest();
  for (const client of clients) client.close();
}

/** Subscriptions of a few clients, spread over channels. */
export async function runSubscriptions(run: Run): Promise<void> {
  const { messages, window, durable, publishers: clients } = run.job;
  const names = new Names("m");
  const sessions = await openAll(run, names, "c", clients);
  const requests = sessions.map((session, client) => {
    const own: Uint8Array[] = [];
    for (let index = client; index < messages; index += clients) {
      own.push(session.subscriptionRequest(`${names.channel}.${index % CHANNEL_COUNT}`, START_NEW_ONLY, {
        inbox: `${session.deliveryInbox}.${index}`,
        ...(durable ? { durableName: `d${index}` } : {}),
      }));
    }
    return own;
  });
  const each = Math.ceil(window / clients);
  run.start(requests.reduce((sum, own) => sum + run.samplesOf(own.length), 0));
  await Promise.all(sessions.map((session, client) => session.subscribeMany(requests[client] ?? [], each)));
  run.stop(messages);
  await run.rest();
  closeAll(sessions);
}

/** One message to each of many channels: the rate of creating them. The server must allow that many. */
export async function runChannels(run: Run): Promise<void> {
  const { messages, window, sizeBytes } = run.job;
  const names = new Names("m");
  const [session] = await openAll(run, names, "c", 1);
  if (session === undefined) throw new Error("no session");
  const done = deferred();
  // Acks of different channels may overtake one another, so the window does not bound how far numbers lie apart.
  const sampler = run.sampler(messages);
  let sent = 0;
  let acked = 0;
  const pump = (): void => {
    while (sent < messages && sent - acked < window) {
      const frame = singlePublish(session, `${names.channel}.${sent}`, sizeBytes, sent);
      sampler?.depart(sent, sent + 1);
      session.link.out.send(frame);
      sent++;
    }
  };
  const scanner = new PubAckScanner(session.ackSubject, 2, (number) => {
    sampler?.arrive(number);
    acked++;
    run.progress++;
    if (acked === messages) done.resolve();
  });
  session.link.fast = (buffer, from, to) => scanner.scan(buffer, from, to);
  session.link.onChunkEnd = pump;
  run.start(run.samplesOf(messages));
  pump();
  await run.race(done.promise);
  run.stop(messages);
  await run.rest();
  session.close();
}
