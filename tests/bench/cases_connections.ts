/** Cases about connections: many that are idle, many at once, and one that does not read. */

import net from "node:net";
import { BlockPublisher, CountingReceiver } from "./cases_core.ts";
import { NatsLink } from "./nats_link.ts";
import type { Run } from "./run.ts";

const SUBJECT = "bench.slow";

/** Opens `messages` connections, `window` at a time, each with CONNECT and an answered PING, and leaves them idle. */
export async function runConnections(run: Run): Promise<void> {
  const { host, port, messages, window } = run.job;
  const links: NatsLink[] = [];
  const sampler = run.sampler(messages);
  let opened = 0;
  const open = async (): Promise<void> => {
    while (opened < messages) {
      const number = opened++;
      sampler?.depart(number, number + 1);
      links.push(await NatsLink.open(run, host, port));
      sampler?.arrive(number);
      run.progress++;
    }
  };
  run.start(run.samplesOf(messages));
  await run.race(Promise.all(Array.from({ length: Math.min(window, messages) }, open)));
  run.stop(messages);
  await run.rest();
  for (const link of links) link.close();
}

/** One to one, first alone, then beside a subscriber of the same subject that never reads: what is left of the rate? */
export async function runSlowConsumer(run: Run): Promise<void> {
  const { host, port, messages, warmup, sizeBytes } = run.job;
  const receiver = new CountingReceiver(await NatsLink.open(run, host, port), run, SUBJECT, sizeBytes);
  await receiver.link.ping();
  const publisher = new BlockPublisher(await NatsLink.open(run, host, port), run, [SUBJECT], sizeBytes, [receiver]);
  if (warmup > 0) await publisher.publish(warmup);
  const startedAt = performance.now();
  await publisher.publish(messages);
  const aloneRate = messages / ((performance.now() - startedAt) / 1000);
  const frozen = await freeze(host, port);
  run.start(run.samplesOf(messages));
  await publisher.publish(messages);
  run.stop(messages);
  run.compare(aloneRate);
  frozen.destroy();
}

/** A subscriber that stops reading once the server has seen its subscription. */
function freeze(host: string, port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => {
      socket.write(`CONNECT {"verbose":false}\r\nSUB ${SUBJECT} 1\r\nPING\r\n`);
    });
    socket.on("error", reject);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (!text.includes("PONG\r\n")) return;
      socket.removeAllListeners("error");
      // Cut by the server in the end.
      socket.on("error", () => undefined);
      socket.pause();
      resolve(socket);
    });
  });
}
