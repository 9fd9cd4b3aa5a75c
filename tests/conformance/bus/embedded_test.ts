/** The embedded router as a bus: on a platform moved by hand, and over real sockets. */
import { setImmediate } from "node:timers";
import { INTERNAL_QUEUE_BYTES_MAX } from "../../../src/nats/router.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { FakeRuntime } from "../../helpers/fake_runtime.ts";
import { connect, createNats, RecordedLog } from "../../helpers/nats_server.ts";
import { type BusPeer, busSuite, type BusWorld } from "./suite.ts";

const SUPPORTS = { knowsInterest: true, internalBytesMax: INTERNAL_QUEUE_BYTES_MAX, congestion: true };
const QUIET = '{"verbose":false,"pedantic":false}';

async function makeFakeWorld(): Promise<BusWorld> {
  const runtime = new FakeRuntime();
  const nats = createNats(runtime.asRuntime());
  await nats.listen();
  const settle = () => {
    runtime.turn();
    return Promise.resolve();
  };
  const peer = (): Promise<BusPeer> => {
    const socket = runtime.dial();
    socket.send(`CONNECT ${QUIET}\r\n`);
    runtime.turn();
    socket.take();
    return Promise.resolve({
      write: (text) => socket.send(text),
      sync: () => {
        runtime.turn();
        return Promise.resolve(socket.take());
      },
      freeze: () => void (socket.room = 0),
      thaw: () => socket.drain(),
      close: () => {
        socket.handler?.closed(undefined);
        return Promise.resolve();
      },
    });
  };
  return { bus: nats.router, settle, peer, close: () => nats.close() };
}

async function makeRealWorld(): Promise<BusWorld> {
  const nats = createNats(await pickRuntime());
  await nats.listen();
  const server = { port: nats.port, log: new RecordedLog(), nats, close: () => nats.close() };
  const clients: { destroy(): void }[] = [];
  // Two turns: work that a turn asks for runs in the next one.
  const settle = async () => {
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  };
  const peer = async (): Promise<BusPeer> => {
    const client = await connect(server, {});
    clients.push(client);
    return {
      write: (text) => void client.write(text),
      async sync() {
        client.write("PING\r\n");
        return (await client.takeUntil("PONG\r\n")).slice(0, -"PONG\r\n".length);
      },
      freeze: () => void client.stream.pause(),
      thaw: () => void client.stream.resume(),
      close: () => {
        client.destroy();
        return Promise.resolve();
      },
    };
  };
  const close = async () => {
    for (const client of clients) client.destroy();
    await nats.close();
  };
  return { bus: nats.router, settle, peer, close };
}

busSuite({ name: "embedded, moved by hand", make: makeFakeWorld, supports: SUPPORTS });
busSuite({ name: "embedded, over sockets", make: makeRealWorld, supports: SUPPORTS });
