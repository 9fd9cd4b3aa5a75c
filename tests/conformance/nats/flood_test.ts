/** Two clients that send as much as they can, and one that asks: nothing is lost, doubled, mixed up or kept waiting for all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { msg, pub, withNats } from "../../helpers/nats_server.ts";
import { dialPeer, type Peer } from "../../helpers/sockets.ts";

const MESSAGE_COUNT = 6000;

/** Of all sizes, so that every read cuts them somewhere else. */
function payloadOf(number: number): string {
  return `${number}:`.padEnd(number * 37 % 5000, String.fromCharCode(97 + number % 26));
}

function framesOf(frame: (payload: string) => string): Buffer {
  return Buffer.from(Array.from({ length: MESSAGE_COUNT }, (_, number) => frame(payloadOf(number))).join(""), "latin1");
}

async function dial(port: number): Promise<Peer> {
  const peer = await dialPeer(port);
  peer.stream.write('CONNECT {"verbose":false}\r\n');
  await peer.ping();
  peer.received.length = peer.receivedBytes = 0;
  return peer;
}

test("nats 5, tail: floods arrive complete and in order, and a client beside them is answered", () =>
  withNats({}, async (server) => {
    const floods = await Promise.all(["a", "b"].map(async (subject) => {
      const [sender, receiver] = [await dial(server.port), await dial(server.port)];
      receiver.stream.write(`SUB ${subject} 1\r\n`);
      await receiver.ping();
      receiver.received.length = receiver.receivedBytes = 0;
      return {
        sender,
        receiver,
        input: framesOf((payload) => pub(subject, payload)),
        output: framesOf((payload) => msg(subject, 1, payload)),
      };
    }));
    const asker = await dial(server.port);
    // Both are gone before most of it is read.
    for (const { sender, input } of floods) sender.stream.end(input);
    const arriving = Promise.all(
      floods.map(({ receiver, output }) => receiver.until(() => receiver.receivedBytes >= output.length)),
    );
    let isOver = false;
    void arriving.then(() => isOver = true);
    let answers = 0;
    while (!isOver) {
      await asker.ping();
      answers++;
    }
    await arriving;
    for (const { receiver, output } of floods) assert.ok(Buffer.compare(receiver.bytes(), output) === 0);
    assert.ok(answers > 2, `${answers} answers while ${floods[0]!.input.length * 2} bytes passed`);
    for (const peer of [asker, ...floods.flatMap(({ sender, receiver }) => [sender, receiver])]) peer.stream.destroy();
  }));
