/** The console API over HTTP: what it answers, who may ask, and what it leaves in the log. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TOKEN, withConsole } from "./support.ts";

const API = "/console/api";
const RIGHT = { authorization: `Bearer ${TOKEN}` };

test("every answer below /console is for this site only and is not kept", async () => {
  await withConsole(async ({ get, send, act }) => {
    const replies = [
      await get("/console", {}),
      await get(`${API}/overview`, { origin: "http://elsewhere.example" }),
      await get(`${API}/nothing`, {}),
      await get(`${API}/log`, {}),
      await send("OPTIONS", `${API}/actions/purge`, { origin: "http://elsewhere.example" }),
      await act("purge", { channel: "foo" }),
    ];
    for (const { headers } of replies) {
      for (const name of Object.keys(headers)) assert.ok(!name.startsWith("access-control"), name);
      assert.equal(headers["cache-control"], "no-store");
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.equal(headers["x-frame-options"], "DENY");
    }
    assert.deepEqual(replies.map(({ status }) => status), [200, 200, 404, 401, 405, 404]);
    assert.match(replies[0]!.text, /<title>Stanchion<\/title>/);
    for (const { json } of replies.slice(2)) {
      assert.deepEqual(Object.keys(json), ["error"]);
      assert.deepEqual(Object.keys(json.error), ["code", "message"]);
    }
  });
});

test("a script's callback does not get around the missing CORS header", async () => {
  await withConsole(async ({ get }) => {
    const reply = await get(`${API}/overview?callback=steal`, {});
    assert.equal(reply.headers["content-type"], "application/json");
    assert.ok(reply.text.startsWith("{"));
  });
});

test("overview", async () => {
  await withConsole(async ({ get, client, server }) => {
    const me = await client("me");
    const s = await me.subscribe("foo", { durableName: "D" });
    await me.publish("foo", "one", "two");
    await me.heard(s, 2);
    const { json } = await get(`${API}/overview`);
    assert.deepEqual(Object.keys(json), ["server", "access", "totals", "process"]);
    assert.equal(json.server.cluster_id, "seen");
    assert.equal(json.server.server_id, server.serverId);
    assert.equal(json.server.state, "STANDALONE");
    assert.equal(json.server.store, "MEMORY");
    assert.equal(json.server.read_only, "");
    assert.ok(!Number.isNaN(Date.parse(json.server.now)) && !Number.isNaN(Date.parse(json.server.start_time)));
    assert.deepEqual(json.access, { token_configured: true, browse: false, authorized: true });
    const { totals } = json;
    assert.deepEqual(
      [totals.clients, totals.subscriptions, totals.channels, totals.msgs, totals.in_msgs, totals.out_msgs],
      [1, 1, 1, 2, 2, 2],
    );
    assert.equal(totals.connections, 1);
    assert.ok(totals.bytes > 0 && totals.in_bytes > 0 && totals.out_bytes > 0);
    assert.ok(json.process.resident_bytes > 1_000_000);
    assert.equal(json.process.disk_free_bytes, null);
    assert.equal((await get(`${API}/overview`, {})).json.access.authorized, false);
  });
});

test("channels, clients and durables: lists with search and pages", async () => {
  await withConsole(async ({ get, client }) => {
    const me = await client("me");
    for (const name of ["b.one", "a.two", "B.three", "c"]) await me.publish(name, "x");
    const d = await me.subscribe("c", { durableName: "D", maxInFlight: 7, ackWaitSecs: 9 });
    await me.heard(d, 1);
    await me.subscribe("c", { durableName: "E", queueGroup: "g" });
    const all = (await get(`${API}/channels`, {})).json;
    assert.deepEqual(all.channels.map(({ name }: { name: string }) => name), ["B.three", "a.two", "b.one", "c"]);
    assert.deepEqual([all.total, all.offset, all.limit], [4, 0, 100]);
    const page = (await get(`${API}/channels?search=B.&offset=1&limit=5`, {})).json;
    assert.deepEqual([page.total, page.offset, page.limit], [2, 1, 5]);
    assert.deepEqual(page.channels.map(({ name }: { name: string }) => name), ["b.one"]);
    const c = all.channels[3];
    assert.deepEqual([c.msgs, c.first_seq, c.last_seq, c.subscriptions, c.max_lag, c.stalled, c.paused], [
      1,
      1,
      1,
      2,
      0,
      0,
      0,
    ]);
    for (const wrong of ["limit=0", "limit=1001", "limit=x", "offset=-1", "limit=1.5"]) {
      const reply = await get(`${API}/channels?${wrong}`, {});
      assert.equal(reply.status, 400);
      assert.equal(reply.json.error.code, "BAD_REQUEST");
    }
    const clients = (await get(`${API}/clients?search=M`, {})).json;
    assert.equal(clients.total, 1);
    assert.deepEqual(Object.keys(clients.clients[0]), ["id", "subscriptions", "heartbeat_failures", "connected_ms"]);
    assert.equal(clients.clients[0].subscriptions, 2);
    assert.ok(clients.clients[0].connected_ms >= 0);
    const durables = (await get(`${API}/durables`, {})).json.durables;
    assert.deepEqual(
      durables.map((
        one: Record<string, unknown>,
      ) => [one["channel"], one["kind"], one["durable_name"], one["queue_name"]]),
      [["c", "durable", "D", ""], ["c", "durable_group", "E", "g"]],
    );
    assert.deepEqual([durables[0].max_inflight, durables[0].ack_wait_secs, durables[0].client_id], [7, 9, "me"]);
    assert.deepEqual(durables[1].members, ["me"]);
  });
});

test("channels and durables: sorted by a figure, those alike by name; what is no figure is refused", async () => {
  await withConsole(async ({ get, client }) => {
    const me = await client("me");
    for (const [name, count] of [["a", 1], ["b", 3], ["c", 3], ["d", 2]] as const) {
      await me.publish(name, ...Array.from({ length: count }, () => "x"));
    }
    const names = async (query: string) =>
      (await get(`${API}/channels?${query}`, {})).json.channels.map(({ name }: { name: string }) => name).join("");
    assert.equal(await names(""), "abcd");
    assert.equal(await names("sort=name&order=desc"), "dcba");
    assert.equal(await names("sort=msgs"), "bcda");
    assert.equal(await names("sort=msgs&order=asc"), "adbc");
    assert.equal(await names("sort=last_seq&limit=1&offset=2"), "d");
    for (const sort of ["bytes", "subscriptions", "pending", "max_lag", "stalled"]) {
      assert.equal((await get(`${API}/channels?sort=${sort}`, {})).status, 200, sort);
    }
    for (const query of ["sort=colour", "sort=toString", "order=up"]) {
      assert.equal((await get(`${API}/channels?${query}`, {})).json.error.code, "BAD_REQUEST", query);
    }

    for (const [durableName, maxInFlight] of [["few", 1], ["more", 2]] as const) {
      const subscribed = await me.subscribe("b", { durableName, maxInFlight });
      await me.heard(subscribed, maxInFlight);
    }
    const durables = async (sort: string) =>
      (await get(`${API}/durables?sort=${sort}`, {})).json.durables
        .map(({ durable_name }: { durable_name: string }) => durable_name).join(" ");
    assert.equal(await durables("name"), "few more");
    assert.equal(await durables("pending_count"), "more few");
    assert.equal(await durables("last_sent"), "more few");
    assert.equal(await durables("lag"), "few more");
    assert.equal(await durables("redelivered"), "few more");
    const { totals } = (await get(`${API}/overview`, {})).json;
    assert.deepEqual([totals.pending, totals.stalled, totals.paused], [3, 2, 0]);
    assert.equal(await names("sort=pending&limit=1"), "b");
    assert.equal(await names("sort=max_lag&limit=1"), "b");
  });
});

test("one channel: limits, and every kind of subscription with its position", async () => {
  await withConsole(async ({ get, client }) => {
    const me = await client("me");
    const you = await client("you");
    const plain = await me.subscribe("foo", { maxInFlight: 2 });
    const durable = await me.subscribe("foo", { durableName: "D" });
    const members = [
      await me.subscribe("foo", { queueGroup: "g" }),
      await you.subscribe("foo", { queueGroup: "g" }),
    ];
    await me.publish("foo", "1", "2", "3");
    await me.heard(plain, 2);
    await me.heard(durable, 3);
    await me.closeSubscription(durable);
    await me.publish("foo", "4");
    const { json } = await get(`${API}/channels/foo`, {});
    assert.deepEqual(json.limits, {
      max_msgs: 1_000_000,
      max_bytes: 1_024_000_000,
      max_age_ms: 0,
      max_subscriptions: 1000,
      max_inactivity_ms: 0,
    });
    const shown = json.subscriptions.map((one: Record<string, unknown>) => [
      one["kind"],
      one["is_offline"],
      one["is_stalled"],
      one["last_sent"],
      one["lag"],
      one["pending_count"],
    ]);
    assert.deepEqual(shown, [
      ["plain", false, true, 2, 2, 2],
      ["durable", true, false, 3, 1, 3],
      ["group", false, false, 4, 0, 4],
    ]);
    assert.equal(members.length, 2);
    assert.deepEqual(json.subscriptions[2].members.sort(), ["me", "you"]);
    for (const one of json.subscriptions) assert.ok(one["lag_seconds"] >= 0 && one["lag_seconds"] < 60);
    for (let sequence = 1; sequence <= 2; sequence++) me.ack(plain, sequence);
    await me.heard(plain, 2);
    for (let sequence = 3; sequence <= 4; sequence++) me.ack(plain, sequence);
    await me.publish("bar", "the acks before are done");
    assert.equal((await get(`${API}/channels/foo`, {})).json.subscriptions[0]["lag_seconds"], null);
    assert.deepEqual([json.max_lag, json.pending, json.stalled], [2, 9, 1]);
    assert.equal((await get(`${API}/channels/nobody`, {})).json.error.code, "NOT_FOUND");
  });
});

test("messages: pages, times, cut payloads; the token, or browse", async () => {
  await withConsole(async ({ get, client }) => {
    const me = await client("me");
    await me.publish("foo", "one", new Uint8Array([0, 255, 10]), "", "x".repeat(65_537));
    const { json } = await get(`${API}/channels/foo/messages`);
    assert.deepEqual([json.first_seq, json.last_seq], [1, 4]);
    const [one, two, three, four] = json.messages;
    assert.deepEqual(Object.keys(one), ["sequence", "time", "size", "reply", "data_base64", "truncated"]);
    assert.deepEqual([one.sequence, one.size, one.data_base64, one.truncated], [1, 3, btoa("one"), false]);
    assert.match(one.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
    assert.ok(Math.abs(Date.parse(one.time) - Date.now()) < 60_000);
    assert.equal(two.data_base64, "AP8K");
    assert.deepEqual([three.size, three.data_base64, three.truncated], [0, "", false]);
    assert.deepEqual([four.size, atob(four.data_base64).length, four.truncated], [65_537, 65_536, true]);
    const back = (await get(`${API}/channels/foo/messages?direction=back&limit=2`)).json;
    assert.deepEqual(back.messages.map(({ sequence }: { sequence: number }) => sequence), [4, 3]);
    const from = (await get(`${API}/channels/foo/messages?from=2&limit=2`)).json;
    assert.deepEqual(from.messages.map(({ sequence }: { sequence: number }) => sequence), [2, 3]);
    for (const wrong of ["limit=101", "limit=0", "from=x", "direction=up"]) {
      assert.equal((await get(`${API}/channels/foo/messages?${wrong}`)).status, 400);
    }
    assert.equal((await get(`${API}/channels/foo/messages`, {})).status, 401);
    assert.equal((await get(`${API}/channels/nobody/messages`)).status, 404);
  });
  await withConsole(async ({ get, client, send }) => {
    const me = await client("me");
    await me.publish("foo", "one");
    assert.equal((await get(`${API}/channels/foo/messages`, {})).json.messages.length, 1);
    assert.ok((await get(`${API}/log`, {})).json.lines.length > 0);
    // Looking is not changing.
    const reply = await send("POST", `${API}/actions/purge`, { "x-requested-with": "stanchion" }, `{"channel":"foo"}`);
    assert.equal(reply.status, 401);
    assert.equal((await get(`${API}/overview`, {})).json.access.browse, true);
  }, (draft) => draft.console.browse = true);
});

test("messages of an encrypted store are shown in clear to who has the token", async () => {
  const dir = mkdtempSync(join(tmpdir(), "stanchion-console-"));
  try {
    await withConsole(
      async ({ get, client, log }) => {
        const me = await client("me");
        await me.publish("foo", "a secret");
        const { json } = await get(`${API}/channels/foo/messages`);
        assert.equal(atob(json.messages[0].data_base64), "a secret");
        assert.equal((await get(`${API}/channels/foo/messages`, {})).status, 401);
        const lines = log.recent.find({ after: 0, limit: 1000, level: undefined, search: "a secret" });
        assert.deepEqual(lines, []);
      },
      (draft) => {
        draft.store = "FILE";
        draft.file.dir = dir;
        draft.encryption.enabled = true;
      },
      "a key",
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("log: the tail goes on where it ended, level and search narrow it", async () => {
  await withConsole(async ({ get, log }) => {
    const first = (await get(`${API}/log`)).json;
    assert.ok(first.lines.some(({ text }: { text: string }) => text.includes("Streaming Server is ready")));
    assert.deepEqual(Object.keys(first.lines[0]), ["id", "time", "level", "source", "text"]);
    log.core.error("a grave matter");
    log.streaming.info("nothing to see");
    const next = (await get(`${API}/log?after=${first.last_id}`)).json;
    assert.deepEqual(
      next.lines.map(({ level, source, text }: Record<string, string>) => [level, source, text]),
      [["ERR", "core", "a grave matter"], ["INF", "streaming", "nothing to see"]],
    );
    assert.equal(next.last_id, first.last_id + 2);
    const grave = (await get(`${API}/log?after=${first.last_id}&level=wrn`)).json;
    assert.deepEqual(grave.lines.map(({ text }: { text: string }) => text), ["a grave matter"]);
    assert.equal((await get(`${API}/log?after=${first.last_id}&search=SEE`)).json.lines.length, 1);
    assert.equal((await get(`${API}/log?limit=1`)).json.lines[0].text, "nothing to see");
    assert.equal((await get(`${API}/log?level=loud`)).status, 400);
  });
});

test("the token: required, wrong, not configured, too often wrong", async () => {
  await withConsole(async ({ get, audit }) => {
    const missing = await get(`${API}/log`, {});
    assert.deepEqual([missing.status, missing.json.error.code], [401, "TOKEN_REQUIRED"]);
    assert.match(String(missing.headers["www-authenticate"]), /^Bearer/);
    const wrongs = ["Bearer x", `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, "Bearer", "x"];
    for (const authorization of wrongs) {
      const reply = await get(`${API}/log`, { authorization });
      assert.deepEqual([reply.status, reply.json.error.code], [403, "TOKEN_WRONG"], authorization);
    }
    // In an address it would stand in histories and logs: it does not count there.
    assert.equal((await get(`${API}/log?token=${TOKEN}&access_token=${TOKEN}`, {})).status, 401);
    assert.equal((await get(`${API}/log`, { authorization: `bearer ${TOKEN}` })).status, 200);
    for (let i = wrongs.length; i < 10; i++) await get(`${API}/overview`, { authorization: "Bearer x" });
    for (const path of [`${API}/log`, `${API}/overview`]) {
      const reply = await get(path);
      assert.deepEqual([reply.status, reply.json.error.code], [429, "TOO_MANY_ATTEMPTS"]);
      assert.match(String(reply.headers["retry-after"]), /^\d+$/);
    }
    // Who shows none still sees what everybody sees.
    assert.equal((await get(`${API}/channels`, {})).status, 200);
    assert.equal(audit().length, 2);
    for (const line of audit()) assert.ok(!line.includes(TOKEN));
  });
  await withConsole(async ({ get, act }) => {
    for (const reply of [await get(`${API}/log`), await act("purge", { channel: "foo" })]) {
      assert.deepEqual([reply.status, reply.json.error.code], [403, "NOT_CONFIGURED"]);
      assert.match(reply.json.error.message, /STANCHION_CONSOLE_TOKEN/);
    }
    assert.equal((await get(`${API}/overview`)).json.access.token_configured, false);
  }, (draft) => draft.console.token = "");
});

test("a console that is switched off has nothing", async () => {
  await withConsole(async ({ get, act }) => {
    for (const reply of [await get("/console"), await get(`${API}/overview`), await act("purge", { channel: "x" })]) {
      assert.deepEqual([reply.status, reply.json.error.code], [404, "NOT_FOUND"]);
    }
    assert.equal((await get("/streaming/serverz")).status, 200);
  }, (draft) => draft.console.enabled = false);
});

test("actions: what a request must have", async () => {
  await withConsole(async ({ send, act, get, client, audit }) => {
    const me = await client("me");
    await me.publish("foo", "one", "two");
    const path = `${API}/actions/purge`;
    const body = JSON.stringify({ channel: "foo" });
    // What a form of another site can send.
    const form = await send("POST", path, { ...RIGHT, "content-type": "text/plain" }, body);
    assert.deepEqual([form.status, form.json.error.code], [400, "BAD_REQUEST"]);
    assert.match(form.json.error.message, /X-Requested-With/);
    const get405 = await send("GET", path, { ...RIGHT, "x-requested-with": "stanchion" });
    assert.deepEqual([get405.status, get405.headers["allow"]], [405, "POST"]);
    assert.equal((await send("POST", `${API}/overview`, RIGHT)).status, 405);
    const headers = { ...RIGHT, "x-requested-with": "stanchion" };
    for (const wrong of ["", "{", "[]", "null", "1", `"foo"`, "\u0000"]) {
      assert.equal((await send("POST", path, headers, wrong)).json.error.code, "BAD_REQUEST", wrong);
    }
    assert.equal((await send("POST", path, headers, "x".repeat(70_000))).status, 413);
    const wrongs: unknown[] = [
      {},
      { channel: 1 },
      { channel: "foo", upto: 1 },
      { channel: "foo", up_to: "1" },
      { channel: "foo", up_to: 0 },
      { channel: "foo", up_to: 1.5 },
      { channel: "foo", up_to: null },
      { channel: "foo", up_to: 9_007_199_254_740_993 },
      { channel: "foo", force: true },
      { channel: "x".repeat(2000) },
    ];
    for (const wrong of wrongs) {
      assert.equal((await act("purge", wrong)).json.error.code, "BAD_REQUEST", JSON.stringify(wrong));
    }
    assert.equal((await act("explode", { channel: "foo" })).status, 404);
    assert.equal((await act("delete-channel", { channel: "foo", force: "yes" })).status, 400);
    for (const to of [undefined, null, "middle", {}, { sequence: 1, time: "x" }, { sequence: 0 }, { time: "monday" }]) {
      assert.equal((await act("rewind", { channel: "foo", durable_name: "D", to })).status, 400, JSON.stringify(to));
    }
    assert.equal((await get(`${API}/channels/foo`)).json.msgs, 2);
    assert.ok(audit().every((line) => line.includes("failed: ")));
  });
});

test("actions: each does what it says, and leaves one line before it answers", async () => {
  await withConsole(async ({ act, get, client, audit }) => {
    const me = await client("me");
    const s = await me.subscribe("foo", { durableName: "D" });
    await me.publish("foo", "1", "2", "3");
    assert.equal(await me.heard(s, 3), "1 2 3");
    const done: string[] = [];
    const expectLine = (line: RegExp) => {
      const lines = audit();
      assert.equal(lines.length, done.length + 1);
      assert.match(lines[lines.length - 1]!, line);
      done.push(lines[lines.length - 1]!);
    };

    const purged = await act("purge", { channel: "foo", up_to: 1 });
    assert.deepEqual(purged.json, { ok: true, action: "purge", removed_messages: 1, first_seq: 2, last_seq: 3 });
    expectLine(/^Console: purge channel="foo" by (::ffff:)?127\.0\.0\.1: done$/);

    const rewound = await act("rewind", { channel: "foo", durable_name: "D", to: { sequence: 2 } });
    assert.equal(rewound.json.last_sent, 1);
    assert.equal(await me.heard(s, 2), "2 3");
    expectLine(/^Console: rewind channel="foo" durable="D" by .*: done$/);

    const time = await act("rewind", { channel: "foo", durable_name: "D", to: { time: "2020-01-01T00:00:00+01:00" } });
    assert.equal(time.json.last_sent, 1);
    assert.equal(await me.heard(s, 2), "2 3");
    expectLine(/^Console: rewind /);

    const paused = await act("pause", { channel: "foo", durable_name: "D" });
    assert.match(paused.json.note, /restart/);
    expectLine(/^Console: pause /);
    await me.publish("foo", "4");
    const shown = (await get(`${API}/channels/foo`)).json;
    assert.deepEqual([shown.paused, shown.subscriptions[0].is_paused, shown.subscriptions[0].lag], [1, true, 1]);
    assert.equal((await act("resume", { channel: "foo", durable_name: "D" })).json.is_paused, false);
    assert.equal(await me.heard(s, 1), "4");
    expectLine(/^Console: resume /);

    const online = await act("delete-durable", { channel: "foo", durable_name: "D" });
    assert.deepEqual([online.status, online.json.error.code], [409, "CONFLICT"]);
    expectLine(/^Console: delete-durable channel="foo" durable="D" by .*: failed: it is online/);
    await me.closeSubscription(s);
    assert.equal((await act("delete-durable", { channel: "foo", durable_name: "D", client_id: "me" })).status, 200);
    expectLine(/^Console: delete-durable channel="foo" durable="D" client="me" by .*: done$/);
    assert.equal((await get(`${API}/durables`)).json.total, 0);

    await me.subscribe("foo");
    assert.equal((await act("delete-channel", { channel: "foo" })).status, 409);
    expectLine(/failed: the channel has 1 subscriptions/);
    const deleted = await act("delete-channel", { channel: "foo", force: true });
    assert.deepEqual([deleted.json.closed_subscriptions, deleted.json.removed_messages], [1, 3]);
    expectLine(/^Console: delete-channel channel="foo" by .*: done$/);
    assert.equal((await get(`${API}/channels/foo`)).status, 404);
    assert.equal((await act("delete-channel", { channel: "foo" })).status, 404);
    expectLine(/failed: there is no channel "foo"$/);
  });
});

test("names: of any bytes, in paths and in actions, and none can forge a line", async () => {
  await withConsole(async ({ act, get, client, audit, send }) => {
    const me = await client("me");
    const encode = (name: string) => encodeURIComponent(name);
    const text = 'käse "x" <b &';
    const bytes = unescape(encodeURIComponent(text));
    await me.publish(bytes, "one");
    assert.equal((await get(`${API}/channels/${encode(text)}`, {})).json.name, text);
    assert.equal((await get(`${API}/channels?search=${encode("KÄSE")}`, {})).json.total, 1);
    assert.equal((await act("purge", { channel: text })).json.removed_messages, 1);
    assert.ok(audit().at(-1)!.includes('channel="käse \\"x\\" <b &"'));
    // No UTF-8: by its bytes, and by what it is shown as while that is clear.
    await me.publish("odd\xff", "one");
    assert.equal((await get(`${API}/channels/odd%FF`, {})).json.name, "odd\ufffd");
    assert.equal((await get(`${API}/channels/${encode("odd\ufffd")}`, {})).json.msgs, 1);
    assert.equal((await act("purge", { channel: "odd\ufffd" })).json.removed_messages, 1);
    assert.equal((await get(`${API}/channels/odd%fe`, {})).status, 200, "the only one that looks like it");
    for (const path of ["%", "%f", "%zz", "a%2fb", "..%2f..", "%00"]) {
      const { status } = await get(`${API}/channels/${path}`, {});
      assert.ok(status === 400 || status === 404, path);
    }
    // A line of the log stays one line.
    await act("purge", { channel: "x\nConsole: purge by nobody: done" });
    assert.ok(audit().at(-1)!.startsWith('Console: purge channel="x\\nConsole'));
    const names = await send("POST", `${API}/actions/purge`, {
      ...RIGHT,
      "x-requested-with": "stanchion",
    }, JSON.stringify({ channel: "foo", ["__proto__\n"]: 1 }));
    assert.equal(names.status, 400);
  });
});

test("a durable and a group whose names are no UTF-8 are found by what is shown", async () => {
  await withConsole(async ({ act, get, client }) => {
    const me = await client("me");
    await me.closeSubscription(await me.subscribe("foo", { durableName: "D\xff" }));
    await me.subscribe("foo", { durableName: "D", queueGroup: "g\xff" });
    const shown = (await get(`${API}/durables`, {})).json.durables;
    assert.deepEqual(
      shown.map((one: Record<string, string>) => [one["durable_name"], one["queue_name"]]),
      [["D", "g\ufffd"], ["D\ufffd", ""]],
    );
    const paused = await act("pause", { channel: "foo", durable_name: "D", queue_name: "g\ufffd" });
    assert.equal(paused.json.changed, 1);
    await me.closeSubscription(await me.subscribe("foo", { durableName: "D\xfe" }));
    assert.equal((await act("delete-durable", { channel: "foo", durable_name: "D\ufffd" })).status, 409);
    await me.subscribe("foo", { durableName: "E\xfe" });
    assert.equal((await act("delete-durable", { channel: "foo", durable_name: "E\ufffd", force: true })).status, 200);
  });
});
