/**
 * TLS on the client port: statements 89 to 92 of nats-server.md 16, and what section 7 says besides. The clients are plain
 * `node:net` and `node:tls`, so every byte in clear is seen.
 */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import * as net from "node:net";
import { test } from "node:test";
import * as tls from "node:tls";
import type { NatsServerOptions } from "../../../src/nats/nats_server.ts";
import type { NatsTlsOptions } from "../../../src/nats/tls_entry.ts";
import { makeCertificate } from "../../helpers/certificates.ts";
import { startNats } from "../../helpers/nats_server.ts";

const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
const own = makeCertificate({ commonName: "localhost", issuer: authority, ipAddresses: ["127.0.0.1"] });
const alice = makeCertificate({ commonName: "alice", issuer: authority });
const bob = makeCertificate({ commonName: "bob", issuer: authority });
const foreign = makeCertificate({ commonName: "alice" });

const PLAIN_CONNECT = 'CONNECT {"verbose":false}\r\nPING\r\n';

function tlsOptions(changes: Partial<NatsTlsOptions> = {}, verifyClient = false): NatsTlsOptions {
  return Object.freeze({
    server: Object.freeze({
      certificate: own.certificate,
      key: own.key,
      ...(verifyClient ? { authorities: authority.certificate, verifyClient } : {}),
    }),
    timeoutMs: 10_000,
    handshakeFirst: false,
    allowNonTls: false,
    pinnedCerts: [],
    ...changes,
  });
}

/** Collects what a stream says; waits for a text in it, or for its end. */
class Listener {
  text = "";
  ended = false;
  #wake: () => void = () => {};

  constructor(readonly stream: net.Socket) {
    stream.on("data", (bytes) => {
      this.text += String(bytes);
      this.#wake();
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      this.ended = true;
      this.#wake();
    });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  /** Stops listening, so that TLS gets the bytes. */
  release(): net.Socket {
    this.stream.removeAllListeners("data");
    this.stream.pause();
    return this.stream;
  }
}

async function withServer(
  options: Partial<NatsServerOptions>,
  work: (dial: () => Promise<Listener>) => Promise<void>,
): Promise<void> {
  const server = await startNats(options);
  const sockets: net.Socket[] = [];
  try {
    await work(() =>
      new Promise((resolve, reject) => {
        const socket = net.connect(server.port, "127.0.0.1", () => resolve(listener));
        socket.on("error", reject);
        sockets.push(socket);
        const listener = new Listener(socket);
      })
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    await server.close();
  }
}

function upgrade(socket: net.Socket, options: tls.ConnectionOptions = {}): Listener {
  return new Listener(tls.connect({ socket, ca: authority.certificate, servername: "localhost", ...options }));
}

/** PING in, PONG out. */
async function speaks(client: Listener): Promise<void> {
  client.stream.write(PLAIN_CONNECT);
  await client.until(() => client.text.includes("PONG\r\n") || client.ended);
  assert.ok(client.text.includes("PONG\r\n"), `got ${JSON.stringify(client.text)}`);
}

function infoOf(text: string): Record<string, unknown> {
  const end = text.indexOf("\r\n");
  return JSON.parse(text.slice("INFO ".length, end));
}

test("nats 16: 89. INFO in clear says tls_required, and the conversation goes on inside TLS", async () => {
  await withServer({ tls: tlsOptions() }, async (dial) => {
    const clear = await dial();
    await clear.until(() => clear.text.includes("\r\n"));
    const info = infoOf(clear.text);
    assert.equal(info.tls_required, true);
    assert.equal(info.tls_available, undefined);
    const secure = upgrade(clear.release());
    await speaks(secure);
    assert.ok(!secure.text.includes("INFO"), "INFO is sent once");
  });
});

test("nats 16: 89. a plain CONNECT where TLS is demanded closes without a byte", async () => {
  await withServer({ tls: tlsOptions() }, async (dial) => {
    const clear = await dial();
    await clear.until(() => clear.text.includes("\r\n"));
    const info = clear.text;
    clear.stream.write(PLAIN_CONNECT);
    await clear.until(() => clear.ended);
    // A TLS alert may come; nothing of the protocol does.
    assert.ok(!clear.text.slice(info.length).includes("ERR"));
    assert.ok(!clear.text.slice(info.length).includes("PONG"));
  });
});

test("nats 16: 89. TLS 1.1 is refused", async () => {
  await withServer({ tls: tlsOptions() }, async (dial) => {
    const clear = await dial();
    await clear.until(() => clear.text.includes("\r\n"));
    // A ClientHello of TLS 1.1 without extensions, one cipher.
    const body = [1, 0, 0, 41, 3, 2, ...new Array(32).fill(7), 0, 0, 2, 0xc0, 0x13, 1, 0];
    clear.stream.write(new Uint8Array([0x16, 3, 1, 0, body.length, ...body]));
    await clear.until(() => clear.ended);
    assert.ok(!clear.text.includes("PONG"));
  });
});

test("nats 16: 90. verify demands a certificate of the right authority", async () => {
  await withServer({ tls: tlsOptions({}, true) }, async (dial) => {
    for (const certificate of [undefined, foreign]) {
      const clear = await dial();
      await clear.until(() => clear.text.includes("\r\n"));
      assert.equal(infoOf(clear.text).tls_verify, true);
      const secure = upgrade(
        clear.release(),
        certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key },
      );
      secure.stream.write(PLAIN_CONNECT);
      await secure.until(() => secure.ended);
      assert.equal(secure.text, "");
    }
    const clear = await dial();
    await clear.until(() => clear.text.includes("\r\n"));
    await speaks(upgrade(clear.release(), { cert: alice.certificate, key: alice.key }));
  });
});

test("nats 16: 91. allow_non_tls serves both kinds, also when the first bytes come one by one", async () => {
  await withServer({ tls: tlsOptions({ allowNonTls: true }) }, async (dial) => {
    const clear = await dial();
    await clear.until(() => clear.text.includes("\r\n"));
    const info = infoOf(clear.text);
    assert.deepEqual([info.tls_available, info.tls_required], [true, undefined]);
    const plain = await dial();
    await plain.until(() => plain.text.includes("\r\n"));
    plain.stream.setNoDelay(true);
    plain.stream.write("PI");
    await speaks(upgrade(clear.release()));
    plain.stream.write("NG\r\n");
    await plain.until(() => plain.text.includes("PONG\r\n"));
  });
});

test("nats 16: 92. handshake_first says nothing in clear; INFO comes inside", async () => {
  await withServer({ tls: tlsOptions({ handshakeFirst: true }) }, async (dial) => {
    const clear = await dial();
    const secure = upgrade(clear.release());
    await secure.until(() => secure.text.includes("\r\n") || secure.ended);
    assert.equal(infoOf(secure.text).tls_required, true);
    await speaks(secure);
  });
});

test("nats 16: 92. handshake_first auto serves eager clients at once and falls back to INFO in clear for silent ones", async () => {
  await withServer({ tls: tlsOptions({ handshakeFirst: 50 }) }, async (dial) => {
    const silent = await dial();
    await silent.until(() => silent.text.includes("\r\n"));
    await speaks(upgrade(silent.release()));
  });
  // So long that only a ClientHello can be the reason for the INFO.
  await withServer({ tls: tlsOptions({ handshakeFirst: 60_000 }) }, async (dial) => {
    const clear = await dial();
    const eager = upgrade(clear.release());
    await eager.until(() => eager.text.includes("INFO") || eager.ended);
    await speaks(eager);
  });
});

test("7: pinned_certs lets only the named public keys in", async () => {
  const key = new X509Certificate(alice.certificate).publicKey.export({ type: "spki", format: "der" });
  const pinnedCerts = [createHash("sha256").update(key).digest("hex")];
  await withServer({ tls: tlsOptions({ pinnedCerts }, true) }, async (dial) => {
    const first = await dial();
    await first.until(() => first.text.includes("\r\n"));
    await speaks(upgrade(first.release(), { cert: alice.certificate, key: alice.key }));
    const second = await dial();
    await second.until(() => second.text.includes("\r\n"));
    const refused = upgrade(second.release(), { cert: bob.certificate, key: bob.key });
    refused.stream.write(PLAIN_CONNECT);
    await refused.until(() => refused.ended);
    assert.equal(refused.text, "");
  });
});

test("7: a client that never begins its handshake is closed when the time is over", async () => {
  await withServer({ tls: tlsOptions({ timeoutMs: 100 }) }, async (dial) => {
    const clear = await dial();
    await clear.until(() => clear.ended);
    assert.match(clear.text, /^INFO .*\r\n$/);
  });
});

test("6.4: verify_and_map finds the user by the certificate", async () => {
  const auth = {
    users: [{ user: "CN=alice", password: "" }],
    nkeys: [],
    timeoutMs: 10_000,
    accounts: [],
    tlsMap: true,
  };
  await withServer({ tls: tlsOptions({}, true), auth }, async (dial) => {
    const known = await dial();
    await known.until(() => known.text.includes("\r\n"));
    await speaks(upgrade(known.release(), { cert: alice.certificate, key: alice.key }));
    const unknown = await dial();
    await unknown.until(() => unknown.text.includes("\r\n"));
    const refused = upgrade(unknown.release(), { cert: bob.certificate, key: bob.key });
    refused.stream.write(PLAIN_CONNECT);
    await refused.until(() => refused.ended);
    assert.equal(refused.text, "-ERR 'Authorization Violation'\r\n");
  });
});
