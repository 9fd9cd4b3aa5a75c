/**
 * What the core pages say about secure connections (operations.md 5.8). `NATS_ORACLE=/usr/sbin/nats-server` asks the reference
 * the same.
 */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import * as tls from "node:tls";
import { makeCertificate } from "../../helpers/certificates.ts";
import { withConfig } from "../../helpers/configured_server.ts";
import { askJson, monitorPortOf } from "../../helpers/monitor_client.ts";

const authority = makeCertificate({ commonName: "Page test authority", isAuthority: true });
const own = makeCertificate({ commonName: "localhost", issuer: authority, ipAddresses: ["127.0.0.1"] });
const alice = makeCertificate({ commonName: "alice", organization: "Wonder, Ltd", issuer: authority });

const CONFIG = 'http: "127.0.0.1:-1"\n' +
  'tls { cert_file: "FOLDER/cert.pem", key_file: "FOLDER/key.pem", ca_file: "FOLDER/ca.pem", verify: true, timeout: 10 }\n';

/** Connects with TLS behind the INFO; resolves with the socket after the first PONG. */
function connectSecure(port: number, maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const plain = net.connect(port, "127.0.0.1");
    plain.on("error", reject);
    plain.once("data", () => {
      plain.pause();
      const socket = tls.connect({
        socket: plain,
        ca: authority.certificate,
        cert: alice.certificate,
        key: alice.key,
        servername: "localhost",
        maxVersion,
        checkServerIdentity: () => undefined,
      });
      socket.on("error", reject);
      socket.once("secureConnect", () => socket.write('CONNECT {"verbose":false}\r\nPING\r\n'));
      let text = "";
      socket.on("data", (bytes) => {
        text += String(bytes);
        if (text.includes("PONG")) resolve(socket);
      });
    });
  });
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

test("operations.md 5.8: version, suite, and with auth=1 the certificate of a client; varz says that TLS is demanded", async () => {
  const prepare = (folder: string) => {
    writeFileSync(join(folder, "cert.pem"), own.certificate);
    writeFileSync(join(folder, "key.pem"), own.key);
    writeFileSync(join(folder, "ca.pem"), authority.certificate);
  };
  await withConfig(CONFIG, async ({ port, lines }) => {
    const monitor = monitorPortOf(lines.join("\n"));
    const varz = await askJson(monitor, "/varz");
    assert.deepEqual([varz["tls_required"], varz["tls_verify"], varz["tls_timeout"]], [true, true, 10]);
    const sockets = [await connectSecure(port, "TLSv1.3"), await connectSecure(port, "TLSv1.2")];
    try {
      const plain = await askJson(monitor, "/connz") as { connections: Record<string, unknown>[] };
      assert.deepEqual(plain.connections.map((one) => one["tls_version"]), ["1.3", "1.2"]);
      assert.match(String(plain.connections[0]?.["tls_cipher_suite"]), /^TLS_(AES_\d+_GCM|CHACHA20_POLY1305)_SHA\d+$/);
      assert.match(String(plain.connections[1]?.["tls_cipher_suite"]), /^TLS_ECDHE_ECDSA_WITH_\w+_SHA\d+$/);
      assert.equal("tls_peer_certs" in (plain.connections[0] ?? {}), false);
      const key = new X509Certificate(alice.certificate).publicKey.export({ type: "spki", format: "der" });
      const { connections } = await askJson(monitor, "/connz?auth=1") as { connections: Record<string, unknown>[] };
      for (const connection of connections) {
        // Behind it the reference shows those of the authorities, where the client has sent them.
        assert.deepEqual((connection["tls_peer_certs"] as object[])[0], {
          subject: "CN=alice,O=Wonder\\, Ltd",
          spki_sha256: sha256(key),
          cert_sha256: sha256(alice.der),
        });
      }
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  }, { programName: "nats-server", prepare });
});
