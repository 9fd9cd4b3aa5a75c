/**
 * What the core pages say about secure connections (operations.md 5.8). `NATS_ORACLE=/usr/sbin/nats-server` asks the reference
 * the same.
 */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificate } from "../../helpers/certificates.ts";
import { withConfig } from "../../helpers/configured_server.ts";
import { askJson, monitorPortOf } from "../../helpers/monitor_client.ts";
import { dialSecurePeer, type Peer } from "../../helpers/sockets.ts";

const authority = makeCertificate({ commonName: "Page test authority", isAuthority: true });
const own = makeCertificate({ commonName: "localhost", issuer: authority, ipAddresses: ["127.0.0.1"] });
const alice = makeCertificate({ commonName: "alice", organization: "Wonder, Ltd", issuer: authority });

const CONFIG = 'http: "127.0.0.1:-1"\n' +
  'tls { cert_file: "FOLDER/cert.pem", key_file: "FOLDER/key.pem", ca_file: "FOLDER/ca.pem", verify: true, timeout: 10 }\n';

/** A client with a certificate. */
function dialAlice(port: number, maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<Peer> {
  return dialSecurePeer(port, {
    ca: authority.certificate,
    cert: alice.certificate,
    key: alice.key,
    maxVersion,
    checkServerIdentity: () => undefined,
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
    const peers = [await dialAlice(port, "TLSv1.3"), await dialAlice(port, "TLSv1.2")];
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
      for (const { stream } of peers) stream.destroy();
    }
  }, { programName: "nats-server", prepare });
});
