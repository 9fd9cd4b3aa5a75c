/** Encryption at rest as an operator and a client meet it (stores.md 8, statements 75, 78, 80 and 81 of its section 12). */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { describe, it } from "node:test";
import { closeStan, connectStan, publish, type Stan, subscribe } from "../interop/stan_client.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  type ServerProcess,
  startServerProcess,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";

const timeout = PROCESS_TEST_MS_MAX;
const GOLDEN = new URL("../golden/filestore/", import.meta.url).pathname;
const VARIABLE = "NATS_STREAMING_ENCRYPTION_KEY";

/** Texts of messages 1 to 5 of the reference's channel `secret`; the fourth is 200 bytes that are no text. */
const SECRET = ["secret-1", "", "\x01\x02\x03", undefined, "ключ"];

async function withClient<T>(server: ServerProcess, work: (client: Stan) => Promise<T>, cluster?: string): Promise<T> {
  const client = await connectStan(server.url, "e2e", {}, cluster);
  try {
    return await work(client);
  } finally {
    await closeStan(client);
  }
}

/** The payloads of a channel from its first message on. */
function readAll(server: ServerProcess, channel: string, count: number, cluster?: string): Promise<Buffer[]> {
  return withClient(server, async (client) => {
    const collector = await subscribe(client, channel, { with: (options) => options.setDeliverAllAvailable() });
    await collector.count(count);
    return collector.messages.map((message) => Buffer.from(message.getRawData()));
  }, cluster);
}

/** All bytes of all files below a directory. */
function everything(dir: string): Buffer {
  return Buffer.concat(
    readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name))),
  );
}

function httpText(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => resolve(text));
    }).on("error", reject);
  });
}

for (const target of TARGETS) {
  describe(`encryption by ${target}`, () => {
    it(
      "stores 12.75: directories of the reference are served with the key of the environment",
      { timeout },
      async () => {
        for (const name of ["enc-aes", "enc-chacha"]) {
          using folder = new TestFolder();
          cpSync(join(GOLDEN, name), folder.file("store"), { recursive: true });
          const args = ["-cid", "fixture-cluster", "-st", "FILE", "-dir", folder.file("store"), "-encrypt"];
          const server = await startServerProcess(target, { args, env: { [VARIABLE]: "fixture-key" } });
          const payloads = await readAll(server, "secret", 5, "fixture-cluster");
          payloads.forEach((payload, i) => {
            if (SECRET[i] === undefined) assert.equal(payload.length, 200);
            else assert.equal(payload.toString(), SECRET[i]);
          });
          assert.equal(await server.stop("SIGINT"), 0);
          assert.doesNotMatch(server.log, /fixture-key|\[WRN\]|\[ERR\]/);
        }
      },
    );

    it(
      "stores 12.78: a wrong key is told before clients are served, and nothing is delivered",
      { timeout },
      async () => {
        using folder = new TestFolder();
        cpSync(join(GOLDEN, "enc-aes"), folder.file("store"), { recursive: true });
        const args = [
          "-cid",
          "fixture-cluster",
          "-st",
          "FILE",
          "-dir",
          folder.file("store"),
          "-encryption_key",
          "wrong",
        ];
        const server = await startServerProcess(target, { args, env: { [VARIABLE]: "" } });
        assert.match(server.log, /\[ERR\] STREAM: The encryption key does not fit the messages of channel "secret"/);
        assert.ok(server.log.indexOf("does not fit") < server.log.indexOf("Listening for client connections"));
        assert.match(server.log, /\[WRN\] -encryption_key on the command line can be read by everybody/);
        await withClient(server, async (client) => {
          const collector = await subscribe(client, "secret", { with: (options) => options.setDeliverAllAvailable() });
          await server.process.untilSaid("Error looking up message secret:1 (cipher: message authentication failed)");
          // The answer to this comes behind every delivery there could have been.
          await publish(client, "other", "x");
          assert.deepEqual(collector.received, []);
        }, "fixture-cluster");
        assert.equal(await server.stop("SIGINT"), 0);
        assert.equal(server.log.match(/Error looking up message/g)?.length, 1);
      },
    );

    it("operations 13.18: no key anywhere and an unknown cipher end the start", { timeout }, async () => {
      for (
        const [args, reason] of [
          [["-encrypt"], "encryption key required"],
          [["-encrypt", "-encryption_key="], "encryption key required"],
          [["-encrypt", "-encryption_cipher", "DES", "-encryption_key", "k"], "encryption cipher not supported"],
        ] as const
      ) {
        const program = await runTarget(target, args, { env: { [VARIABLE]: "" } });
        assert.equal(program.exitStatus, 1);
        assert.match(program.stderr, new RegExp(`\\[FTL\\] STREAM: Failed to start: ${reason}\n$`));
      }
    });

    it("stores 12.81: neither payloads nor the key are where they do not belong", { timeout }, async () => {
      using folder = new TestFolder();
      const key = "the-key-that-nobody-sees";
      const script = folder.file("archive.sh");
      writeFileSync(
        script,
        "#!/bin/sh\nenv | grep -i -e STANCHION_TEST_MARK -e ENCRYPTION -e nobody\necho archived $1\n",
        { mode: 0o755 },
      );
      // A file may name the variable; it is gone when the file is read again.
      const config = folder.file("server.conf");
      const write = (debug: boolean) =>
        writeFileSync(config, `debug: ${debug}\nstreaming { encrypt: true, encryption_key: $${VARIABLE} }\n`);
      write(false);
      const dir = folder.file("store");
      const args = ["-c", config, "-m", "-1", "-st", "FILE", "-dir", dir, "-mm", "2", "-file_slice_max_msgs", "1"];
      args.push("-file_slice_archive_script", script);
      const env = { [VARIABLE]: key, STANCHION_TEST_MARK: "mark" };
      const server = await startServerProcess(target, { args, env });
      await withClient(server, async (client) => {
        for (let i = 1; i <= 4; i++) await publish(client, "c", `a payload that is stored, ${i}`);
      });
      await server.process.untilSaid("archived c");
      assert.match(server.log, /STANCHION_TEST_MARK=mark/, "the script shows its environment");
      const port = Number(/Starting http monitor on .*:(\d+)$/m.exec(server.log)?.[1]);
      for (const page of ["serverz", "storez", "clientsz", "channelsz?subs=1"]) {
        const text = await httpText(port, `/streaming/${page}`);
        assert.match(text, /^\{/);
        assert.equal(text.includes(key), false, page);
      }
      write(true);
      server.process.signal("SIGHUP");
      await server.process.untilSaid("Reloaded server configuration");
      const payloads = await readAll(server, "c", 2);
      assert.deepEqual(payloads.map(String), ["a payload that is stored, 3", "a payload that is stored, 4"]);
      assert.equal(await server.stop("SIGINT"), 0);
      assert.equal(server.log.includes(key) || server.log.includes(VARIABLE), false, server.log);
      const stored = everything(dir);
      // Names are not encrypted, so this is where the messages are.
      assert.ok(stored.includes("_STAN.discover.test-cluster"));
      assert.equal(stored.includes("a payload"), false);
      assert.equal(stored.includes(key), false);
    });
  });
}
