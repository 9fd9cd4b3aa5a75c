/** The server inside another program: what `mod.ts` promises beside start and close. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ReloadError, ServerError, startServer } from "../../../mod.ts";
import { connect } from "../../helpers/nats_server.ts";

const OPTIONS = { nats: { disableShortFirstPing: true, lameDuckGraceMs: 1 } };

test("operations 2.8: reload takes complete options, applies them, and leaves what is not reloadable", async () => {
  const server = await startServer(OPTIONS);
  try {
    const client = await connect(server, {});
    assert.equal(client.info.max_payload, 1_048_576);
    server.reload({ nats: { ...OPTIONS.nats, maxPayload: 10 }, clusterId: "another" });
    client.write("PUB foo 11\r\n");
    await client.closesWith("-ERR 'Maximum Payload Violation'\r\n");

    const refused = { nats: { ...OPTIONS.nats, maxPayload: 20, serverName: "x" } };
    assert.throws(() => server.reload(refused), (error) => {
      assert.ok(error instanceof ReloadError);
      assert.equal(error.message, "config reload not supported for ServerName: old=, new=x");
      return true;
    });
    const late = await connect(server);
    assert.equal(late.info.max_payload, 10);

    server.reload({ ...OPTIONS, auth: { users: [{ user: "a", password: "p" }] } });
    await late.closesWith("-ERR 'Authorization Violation'\r\n");
    await (await connect(server, { user: "a", pass: "p" })).quiet();
    assert.equal(server.clusterId, "test-cluster");
  } finally {
    await server.close();
  }
  assert.throws(() => server.reload(OPTIONS), ReloadError);
});

test("operations 2.8: the options of a caller stay his own", async () => {
  const users = [{ user: "a", password: "p" }];
  const server = await startServer({ ...OPTIONS, auth: { users } });
  users.push({ user: "b", password: "p" });
  await assert.rejects(async () => await (await connect(server, { user: "b", pass: "p" })).quiet());
  server.reload({ ...OPTIONS, auth: { users } });
  await (await connect(server, { user: "b", pass: "p" })).quiet();
  await server.close();
});

test("nats 3.12: lameDuck ends the server and its clients; close cuts it short", async () => {
  const first = await startServer(OPTIONS);
  const told = await connect(first, { protocol: 1 });
  await first.lameDuck();
  assert.match(await told.remainder(), /^INFO \{.*"ldm":true\} \r\n$/);

  const second = await startServer({ nats: { lameDuckGraceMs: 100_000 } });
  const waiting = await connect(second, { protocol: 1 });
  const gone = second.lameDuck();
  await waiting.takeUntil("\r\n");
  await second.close();
  await gone;
  assert.equal(await waiting.remainder(), "");
});

test("a server inside a program keeps its messages in a directory, encrypted if asked, and has it to itself", async () => {
  const root = mkdtempSync(join(tmpdir(), "stanchion-embed-"));
  try {
    const dir = join(root, "data");
    const first = await startServer({ ...OPTIONS, file: { dir }, encryption: { key: "secret", cipher: "AES" } });
    assert.ok(existsSync(join(dir, "server.dat")));
    await assert.rejects(
      startServer({ ...OPTIONS, file: { dir } }),
      (error: unknown) => error instanceof ServerError && error.message.includes("is in use by another server"),
    );
    await first.close();
    await assert.rejects(
      startServer({ ...OPTIONS, file: { dir }, clusterId: "other" }),
      (error: unknown) =>
        error instanceof ServerError &&
        error.message === 'cluster ID "other" does not match recovered value of "test-cluster"',
    );
    await (await startServer({ ...OPTIONS, file: { dir } })).close();
    await assert.rejects(
      startServer({ ...OPTIONS, file: { dir: "" } }),
      (error: unknown) => error instanceof ServerError && /root directory must be specified/.test(error.message),
    );
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
