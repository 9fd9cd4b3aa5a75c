/** TLS that starts after plain bytes, on the adapter of whatever runtime runs this (runtime.md 6). */
import assert from "node:assert/strict";
import * as tls from "node:tls";
import { test } from "node:test";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { RuntimeError, type TlsInfo, type TlsServerOptions } from "../../../src/runtime/types.ts";
import { makeCertificate } from "../../helpers/certificates.ts";
import { makePair, type Pair, patternBytes, sameBytes, turns } from "../../helpers/sockets.ts";

const { network } = await pickRuntime();
const MIB = 1024 * 1024;
const INFO = 'INFO {"tls_required":true}\r\n';

const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
const server = makeCertificate({
  commonName: "localhost",
  issuer: authority,
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
});
const client = makeCertificate({ commonName: "alice", organization: "tests", issuer: authority });
const foreign = makeCertificate({ commonName: "alice", organization: "tests" });

const SERVER: TlsServerOptions = { certificate: server.certificate, key: server.key };
const VERIFYING: TlsServerOptions = { ...SERVER, authorities: authority.certificate, verifyClient: true };
const CLIENT: tls.ConnectionOptions = { ca: authority.certificate };

/** A connection whose near end writes INFO in clear and starts TLS at once. */
interface Upgrading extends Pair {
  readonly done: Promise<TlsInfo>;
}

async function startUpgrading(options: TlsServerOptions): Promise<Upgrading> {
  let done: Promise<TlsInfo> | undefined;
  const pair = await makePair(network, (near) => {
    near.socket.output.append(Buffer.from(INFO));
    done = near.socket.startTls(options);
    done.catch(() => {}); // Looked at by the test, perhaps later than it happens.
  });
  assert.ok(done !== undefined);
  await pair.peer.until(() => pair.peer.receivedBytes >= INFO.length);
  assert.equal(pair.peer.text(), INFO);
  pair.peer.received.length = 0;
  pair.peer.receivedBytes = 0;
  return { ...pair, done };
}

async function assertRefused(pair: Upgrading): Promise<void> {
  await assert.rejects(pair.done, (error) => error instanceof RuntimeError && error.code === "TLS_REFUSED");
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.ok(pair.near.error instanceof RuntimeError);
  assert.equal(pair.near.error.code, "TLS_REFUSED");
  assert.equal(pair.near.receivedBytes, 0, "no byte of application data");
  assert.equal(pair.near.peerEndedCount, 0);
  await pair.close();
  assert.equal(pair.near.closedCount, 1);
}

for (const minVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    if (minVersion > maxVersion) continue;
    test(`runtime 6.1: INFO in clear, then ${maxVersion} (at least ${minVersion}), then echo of many sizes`, async () => {
      const pair = await startUpgrading({ ...SERVER, minVersion });
      pair.near.onData = (bytes) => {
        pair.near.socket.output.append(bytes);
        pair.near.socket.flush();
      };
      await pair.peer.secure({ ...CLIENT, maxVersion });
      const info = await pair.done;
      assert.equal(info.protocol, maxVersion);
      assert.ok(info.cipher.length > 0);
      assert.equal(info.peerCertificate, undefined);
      let total = 0;
      for (const size of [1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, MIB, 10 * MIB]) {
        const sent = patternBytes(size, size);
        pair.peer.received.length = 0;
        pair.peer.stream.write(sent);
        total += size;
        await pair.peer.until(() => pair.peer.receivedBytes >= total);
        assert.ok(sameBytes(pair.peer.bytes(), sent), `${size} bytes`);
      }
      await pair.close();
    });
  }
}

test("runtime 6.3: a client below minVersion is refused", async () => {
  const pair = await startUpgrading({ ...SERVER, minVersion: "TLSv1.3" });
  await pair.peer.secure({ ...CLIENT, maxVersion: "TLSv1.2" });
  await assertRefused(pair);
});

test("runtime 6.2: a good client certificate is accepted and handed out as DER", async () => {
  const pair = await startUpgrading(VERIFYING);
  await pair.peer.secure({ ...CLIENT, cert: client.certificate, key: client.key });
  const info = await pair.done;
  assert.ok(info.peerCertificate !== undefined);
  assert.ok(sameBytes(info.peerCertificate, client.der));
  pair.peer.stream.write("CONNECT {}\r\n");
  await pair.near.until(() => pair.near.receivedBytes === 12);
  await pair.close();
});

test("runtime 6.2: no client certificate is refused and no data delivered", async () => {
  const pair = await startUpgrading(VERIFYING);
  void pair.peer.secure(CLIENT).then(() => pair.peer.stream.write("CONNECT {}\r\n"));
  await assertRefused(pair);
});

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`runtime 6.2: a foreign self-signed client certificate is refused, no data delivered (${maxVersion})`, async () => {
    const pair = await startUpgrading(VERIFYING);
    void pair.peer.secure({ ...CLIENT, cert: foreign.certificate, key: foreign.key, maxVersion })
      .then(() => pair.peer.stream.write("CONNECT {}\r\n"));
    await assertRefused(pair);
  });
}

test("runtime 6.2: whoever awaits startTls runs before data that came with the handshake", async () => {
  const pair = await startUpgrading(VERIFYING);
  let isKnown = false;
  let wasKnown = false;
  pair.near.onData = () => {
    wasKnown = isKnown;
  };
  const handled = (async () => {
    await pair.done;
    isKnown = true;
  })();
  void pair.peer.secure({ ...CLIENT, cert: client.certificate, key: client.key })
    .then(() => pair.peer.stream.write("CONNECT {}\r\n"));
  await handled;
  await pair.near.until(() => pair.near.receivedBytes === 12);
  assert.ok(wasKnown);
  await pair.close();
});

test("runtime 6.1: bytes that are no handshake are refused", async () => {
  const pair = await startUpgrading(SERVER);
  pair.peer.stream.write("CONNECT {}\r\nPING\r\n");
  await assertRefused(pair);
});

test("runtime 6.1: a peer that goes away during the handshake is refused", async () => {
  const pair = await startUpgrading(SERVER);
  pair.peer.stream.destroy();
  await assertRefused(pair);
});

test("runtime 6.1: destroy during the handshake rejects it and closes once", async () => {
  const pair = await startUpgrading(SERVER);
  pair.near.socket.destroy();
  await assert.rejects(pair.done, (error) => error instanceof RuntimeError && error.code === "CLOSED");
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.equal(pair.near.error, undefined);
  await pair.close();
  assert.equal(pair.near.closedCount, 1);
});

test("runtime 6.1: a broken certificate rejects instead of throwing", async () => {
  const pair = await startUpgrading({ certificate: "nonsense", key: "nonsense" });
  void pair.peer.secure(CLIENT);
  await assertRefused(pair);
});

test("nats 426: a ClientHello that was looked at in data belongs to TLS when startTls is called there", async () => {
  let done: Promise<TlsInfo> | undefined;
  const pair = await makePair(network, (near) => {
    near.onData = (bytes) => {
      assert.equal(bytes[0], 0x16);
      near.onData = undefined;
      near.receivedBytes = 0;
      done = near.socket.startTls(VERIFYING);
    };
  });
  await pair.peer.secure({ ...CLIENT, cert: client.certificate, key: client.key });
  await pair.near.until(() => done !== undefined);
  const info = await done;
  assert.ok(info?.peerCertificate !== undefined);
  pair.peer.stream.write("CONNECT {}\r\n");
  await pair.near.until(() => pair.near.text() === "CONNECT {}\r\n");
  pair.near.socket.output.append(Buffer.from("+OK\r\n"));
  pair.near.socket.flush();
  await pair.peer.until(() => pair.peer.text() === "+OK\r\n");
  await pair.close();
});

test("runtime 6.1: output queued during the handshake leaves encrypted after it", async () => {
  const pair = await startUpgrading(SERVER);
  const sent = patternBytes(300_000, 21);
  pair.near.socket.output.append(sent);
  pair.near.socket.flush();
  await pair.peer.secure(CLIENT);
  await pair.peer.until(() => pair.peer.receivedBytes >= sent.length);
  assert.ok(sameBytes(pair.peer.bytes(), sent));
  await pair.close();
});

test("runtime 6.1: a large clear output is written before the handshake begins", async () => {
  const clear = patternBytes(20 * MIB, 23);
  let done: Promise<TlsInfo> | undefined;
  const pair = await makePair(network, (near) => {
    near.socket.output.append(clear);
    near.socket.flush();
    done = near.socket.startTls(SERVER);
  });
  await pair.peer.until(() => pair.peer.receivedBytes >= clear.length);
  assert.ok(sameBytes(pair.peer.bytes(), clear));
  await pair.peer.secure(CLIENT);
  assert.ok((await done)?.protocol.startsWith("TLS"));
  await pair.close();
});

test("tail: nothing is pulled of a TLS connection, and a resume brings what came", async () => {
  const pair = await startUpgrading(SERVER);
  await pair.peer.secure(CLIENT);
  await pair.done;
  pair.near.socket.pause();
  const sent = patternBytes(100_000, 3);
  pair.peer.stream.write(sent);
  for (let turn = 0; turn < 50; turn++) {
    assert.equal(pair.near.socket.pull?.(new Uint8Array(1000), 1000, 1) ?? 0, 0);
    await turns(1);
  }
  pair.near.socket.resume();
  await pair.near.until(() => pair.near.receivedBytes === sent.length);
  assert.ok(sameBytes(Buffer.concat(pair.near.received), sent));
  await pair.close();
});

test("runtime 6.1: nothing is pulled of a handshake", async () => {
  const pair = await startUpgrading(SERVER);
  let isDone = false;
  const into = new Uint8Array(1000);
  const pulling = (async () => {
    while (!isDone) {
      assert.equal(pair.near.socket.pull?.(into, 1000, 1) ?? 0, 0);
      await turns(1);
    }
  })();
  await pair.peer.secure(CLIENT);
  await pair.done;
  isDone = true;
  await pulling;
  await pair.close();
});

test("nats 2: half close and end work through TLS", async () => {
  const pair = await startUpgrading(SERVER);
  const sent = patternBytes(2 * MIB, 29);
  pair.near.onPeerEnded = () => {
    pair.near.socket.output.append(sent);
    pair.near.socket.end();
  };
  await pair.peer.secure(CLIENT);
  await pair.done;
  pair.peer.stream.end("last words");
  await pair.near.until(() => pair.near.closedCount > 0);
  await pair.peer.until(() => pair.peer.hasClosed);
  assert.equal(pair.near.text(), "last words");
  assert.equal(pair.near.error, undefined);
  assert.equal(pair.near.peerEndedCount, 1);
  await pair.close();
});

test("nats trap 14: end through TLS lets the last bytes arrive", async () => {
  const pair = await startUpgrading(SERVER);
  await pair.peer.secure(CLIENT);
  await pair.done;
  pair.near.socket.pause();
  pair.peer.stream.write(patternBytes(300_000));
  pair.near.socket.output.append(Buffer.from("-ERR 'Authorization Violation'\r\n"));
  pair.near.socket.end();
  await pair.peer.until(() => pair.peer.hasEnded || pair.peer.hasClosed);
  assert.equal(pair.peer.text(), "-ERR 'Authorization Violation'\r\n");
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.equal(pair.near.error, undefined);
  await pair.close();
});

test("runtime 1.5: a TLS peer that does not read keeps pendingBytes up, and gets all when it reads", async () => {
  const pair = await startUpgrading(SERVER);
  await pair.peer.secure(CLIENT);
  await pair.done;
  pair.peer.stream.pause();
  const sent = patternBytes(24 * MIB, 31);
  pair.near.socket.output.append(sent);
  pair.near.socket.flush();
  await turns(300);
  assert.ok(pair.near.socket.output.pendingBytes > 0);
  pair.peer.stream.resume();
  await pair.peer.until(() => pair.peer.receivedBytes >= sent.length);
  assert.ok(sameBytes(pair.peer.bytes(), sent));
  await pair.near.until(() => pair.near.socket.output.pendingBytes === 0);
  await pair.close();
});

for (const how of ["FIN", "RST"] as const) {
  test(`runtime 6.1: a TLS peer that vanishes without a closing notice (${how}) is noticed`, async () => {
    const pair = await startUpgrading(SERVER);
    const plain = pair.peer.stream;
    pair.near.onPeerEnded = () => pair.near.socket.end();
    await pair.peer.secure(CLIENT);
    await pair.done;
    pair.near.socket.output.append(Buffer.from("x"));
    pair.near.socket.flush();
    await pair.peer.until(() => pair.peer.receivedBytes === 1);
    if (how === "FIN") plain.destroy();
    else plain.resetAndDestroy();
    await pair.near.until(() => pair.near.closedCount > 0);
    await pair.close();
    assert.equal(pair.near.closedCount, 1);
  });
}

test("runtime 6.4: handshakes that run at the same time with the same options end each at its own connection", async () => {
  const pairs: Upgrading[] = [];
  for (let count = 0; count < 8; count++) pairs.push(await startUpgrading(VERIFYING));
  pairs.forEach((pair, index) => {
    if (index % 4 === 1) pair.peer.stream.write("junk that is no handshake");
    else if (index % 4 === 2) pair.peer.stream.destroy();
    else void pair.peer.secure({ ...CLIENT, cert: client.certificate, key: client.key });
  });
  for (const [index, pair] of pairs.entries()) {
    if (index % 4 === 1 || index % 4 === 2) {
      await assertRefused(pair);
      continue;
    }
    await pair.done;
    pair.peer.stream.write(`PING ${index}`);
    await pair.near.until(() => pair.near.text() === `PING ${index}`);
    await pair.close();
  }
});
