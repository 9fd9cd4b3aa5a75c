/** What a publish costs beside much else: channels, subscriptions, clients, messages that are there already. */

import { Names, openAll } from "./cases_stan.ts";
import { deferred, type Run } from "./run.ts";
import { IdleClient, StanPublisher, type StanSession, START_NEW_ONLY } from "./stan_session.ts";

/** Subscriptions of one client, and how many of them are asked for at a time. */
const SUBSCRIPTIONS_EACH = 100;
const SUBSCRIBE_WINDOW = 64;
const CONNECT_WINDOW = 32;
/** Messages after which a random order begins again. */
const PICKS_EACH = 4;
const PICKS_MIN = 4096;

async function openClients(run: Run, names: Names, count: number): Promise<IdleClient[]> {
  const clients = Array.from({ length: count }, (_none, index) => new IdleClient(run, names.client("i", index)));
  if (count === 0) return clients;
  const done = deferred();
  let opened = 0;
  let registered = 0;
  const next = (): void => clients[opened++]?.open(one);
  const one = (): void => {
    if (++registered === count) done.resolve();
    else next();
  };
  for (let i = 0; i < CONNECT_WINDOW; i++) next();
  await run.race(done.promise);
  return clients;
}

/** Subscriptions to channels of their own: nothing is ever published to those. */
async function subscribeElsewhere(run: Run, names: Names, count: number): Promise<StanSession[]> {
  const sessions = await openAll(run, names, "o", Math.ceil(count / SUBSCRIPTIONS_EACH));
  for (const [i, session] of sessions.entries()) {
    const own = Math.min(SUBSCRIPTIONS_EACH, count - i * SUBSCRIPTIONS_EACH);
    const requests = Array.from(
      { length: own },
      (_none, j) =>
        session.subscriptionRequest(`${names.channel}.elsewhere.${i}.${j}`, START_NEW_ONLY, {
          inbox: `${session.deliveryInbox}.${j}`,
        }),
    );
    await session.subscribeMany(requests, SUBSCRIBE_WINDOW);
  }
  return sessions;
}

/** Each of `channels` once, so that it exists, then picks at random: enough of them that nothing can learn what follows. */
function randomOrder(channels: readonly string[]): string[] {
  const order = [...channels];
  let state = 1;
  while (order.length < Math.max(PICKS_EACH * channels.length, PICKS_MIN)) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    order.push(channels[(state >>> 8) % channels.length]!);
  }
  return order;
}

/** Publishes with a window to channels in turn, beside what the job asks for. */
export async function runBeside(run: Run): Promise<void> {
  const { job } = run;
  const names = new Names("m");
  const clients = await openClients(run, names, job.otherClients);
  const others = await subscribeElsewhere(run, names, job.otherSubscriptions);
  const [session] = await openAll(run, names, "p", 1);
  if (session === undefined) throw new Error("no session");
  const width = String(job.channels).length;
  const channels = Array.from(
    { length: job.channels },
    (_none, i) => `${names.channel}.${String(i).padStart(width, "0")}`,
  );
  const order = job.shuffled ? randomOrder(channels) : channels;
  const sender = new StanPublisher(session, order, job.sizeBytes, job.window);
  // Every channel exists, and everything that compiles while it runs has done so.
  await sender.publish(Math.max(job.warmup, job.storedMessages, job.channels * 2));
  run.start();
  await sender.publish(job.messages);
  run.stop(job.messages);
  session.close();
  for (const other of others) other.close();
  for (const client of clients) client.close();
}
