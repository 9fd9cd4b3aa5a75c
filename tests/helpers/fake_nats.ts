/** A core NATS server on a platform that the test moves by hand, and clients of it. */
import type { NatsServer } from "../../src/nats/nats_server.ts";
import { FakeRuntime, type FakeSocket } from "./fake_runtime.ts";
import { createNats } from "./nats_server.ts";

export interface FakeNats {
  readonly runtime: FakeRuntime;
  readonly nats: NatsServer;
  /** A connection that has sent CONNECT; what it was sent so far is taken. `canPull`: of a platform that can. */
  client(canPull?: boolean): FakeSocket;
}

/** `options` are those of every client's CONNECT. */
export async function startFakeNats(options: Readonly<Record<string, boolean>>): Promise<FakeNats> {
  const runtime = new FakeRuntime();
  const nats = createNats(runtime.asRuntime());
  await nats.listen();
  const client = (canPull?: boolean) => {
    const socket = runtime.dial(canPull);
    socket.send(`CONNECT ${JSON.stringify(options)}\r\n`);
    runtime.turn();
    socket.take();
    return socket;
  };
  return { runtime, nats, client };
}
