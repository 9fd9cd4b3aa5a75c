/**
 * Who may enter and what it may do, by the numbers of nats-server.md 16. `NATS_ORACLE=/usr/sbin/nats-server` runs the tests
 * with sockets against the reference.
 *
 * | statements | where |
 * |---|---|
 * | 75, 76, 78-85, 87 | here, over sockets |
 * | 77, logins that take their time | here, on a clock that is moved by hand |
 * | 86 | unit/nats/auth_authenticator_test.ts, on given certificates |
 * | 88 | belongs to the configuration |
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nkeys } from "@nats-io/nats-core";
import { hashSync } from "bcryptjs";
import { LOGIN_BACKLOG_BYTES_MAX } from "../../../src/nats/auth/login.ts";
import type { AuthOptions, Permissions, UserOptions } from "../../../src/nats/auth/types.ts";
import type { NatsServer } from "../../../src/nats/nats_server.ts";
import { NO_AUTH } from "../../helpers/auth_config.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";
import {
  connect,
  createNats,
  msg,
  ORACLE,
  pub,
  type RawClient,
  RecordedLog,
  type TestServer,
  withNats,
} from "../../helpers/nats_server.ts";

const VIOLATION = "-ERR 'Authorization Violation'\r\n";
const isOracle = ORACLE !== undefined && ORACLE !== "";

/** One test with a server of its own. */
function statement(name: string, auth: Partial<AuthOptions>, work: (server: TestServer) => Promise<void>): void {
  test(`nats 16: ${name}`, () => withNats({ auth: { ...NO_AUTH, ...auth } }, work));
}

/** A user `name` with the password "p". */
function user(name: string, permissions?: Permissions, account?: string): UserOptions {
  return {
    user: name,
    password: "p",
    ...(permissions === undefined ? {} : { permissions }),
    ...(account === undefined ? {} : { account }),
  };
}

/** A quiet client that is let in. */
function enter(server: TestServer, name: string): Promise<RawClient> {
  return connect(server, { user: name, pass: "p" });
}

/** Each of `connects` is refused. */
async function eachRefused(server: TestServer, connects: readonly Record<string, unknown>[]): Promise<void> {
  for (const options of connects) {
    const client = await connect(server);
    client.write(`CONNECT ${JSON.stringify(options)}\r\nPING\r\n`);
    await client.closesWith(VIOLATION);
  }
}

function publishError(subject: string): string {
  return `-ERR 'Permissions Violation for Publish to "${subject}"'\r\n`;
}

function subscribeError(subject: string, queue?: string): string {
  const group = queue === undefined ? "" : ` using queue "${queue}"`;
  return `-ERR 'Permissions Violation for Subscription to "${subject}"${group}'\r\n`;
}

statement(
  "75. a token lets in; a wrong or missing one, or one given as user, does not",
  { token: "t" },
  async (server) => {
    const client = await connect(server, { auth_token: "t" });
    assert.equal(client.info.auth_required, true);
    assert.ok(!("nonce" in client.info));
    await client.quiet();
    await eachRefused(server, [{ auth_token: "x" }, {}, { user: "t" }, { user: "x", pass: "t" }]);
  },
);

statement("75. a single user", { user: { user: "a", password: "b" } }, async (server) => {
  await (await connect(server, { user: "a", pass: "b" })).quiet();
  await eachRefused(server, [{ user: "a", pass: "x" }, { user: "b", pass: "b" }, {}, { auth_token: "b" }]);
});

statement("76. anything before CONNECT is a violation", { token: "t" }, async (server) => {
  for (const input of ["PING\r\n", "PONG\r\n", "SUB foo 1\r\n", "P", "\r\n", "+OK\r\n", "xyz"]) {
    const client = await connect(server);
    client.write(input);
    await client.closesWith(VIOLATION);
  }
});

statement("76. an operation that begins like CONNECT is judged as what it is", { token: "t" }, async (server) => {
  const client = await connect(server);
  client.write("CX\r\n");
  await client.closesWith("-ERR 'Unknown Protocol Operation'\r\n");
});

const HASH = hashSync("secret", 4);
const hashUsers = ["2a", "2b", "2x", "2y"].map((prefix) => ({ user: prefix, password: `$${prefix}$` + HASH.slice(4) }));
statement("78. bcrypt with all prefixes; the hash is no password", { users: hashUsers }, async (server) => {
  for (const { user, password } of hashUsers) {
    await (await connect(server, { user, pass: "secret" })).quiet();
    await eachRefused(server, [{ user, pass: password }, { user, pass: "Secret" }, { user }]);
    // A second time, when the answer is known.
    await (await connect(server, { user, pass: "secret" })).quiet();
  }
});

statement(
  "78. what follows a CONNECT that is being checked is handled after it, in order",
  { users: hashUsers },
  async (server) => {
    const client = await connect(server);
    const login = `CONNECT ${JSON.stringify({ verbose: false, user: "2a", pass: "secret" })}\r\n`;
    client.write(login + "SUB foo 1\r\n" + pub("foo", "one") + "PING\r\n" + pub("foo", "two"));
    await client.expect(msg("foo", 1, "one") + "PONG\r\n" + msg("foo", 1, "two"));
  },
);

statement(
  "78. a client that ends its half while it is checked gets its answers",
  { users: hashUsers },
  async (server) => {
    const client = await connect(server);
    client.write(
      `CONNECT ${JSON.stringify({ verbose: false, user: "2b", pass: "secret" })}\r\nSUB foo 1\r\n${
        pub("foo", "x")
      }PING\r\n`,
    );
    client.end();
    await client.closesWith(msg("foo", 1, "x") + "PONG\r\n");
  },
);

const guests = { users: [user("guest", { publish: { allow: ["open"] } }), user("alice")], noAuthUser: "guest" };
statement(
  "79. no_auth_user: who gives nothing is that user, who gives something wrong is nobody",
  guests,
  async (server) => {
    const anonymous = await connect(server, {});
    assert.ok(!("auth_required" in anonymous.info));
    await anonymous.answers(pub("closed", "x") + pub("open", "x"), publishError("closed"));
    await (await enter(server, "alice")).answers(pub("closed", "x"), "");
    await eachRefused(server, [
      { user: "guest", pass: "x" },
      { user: "alice", pass: "x" },
      { pass: "x" },
      { auth_token: "x" },
      { user: "nobody", pass: "p" },
    ]);
  },
);

statement("79. no_auth_user: commands before CONNECT run as that user", guests, async (server) => {
  const client = await connect(server);
  await client.answers("SUB open 1\r\n" + pub("closed", "x"), "+OK\r\n" + publishError("closed"));
});

const publisher = user("p", { publish: { allow: ["foo.>", "both"], deny: ["foo.no.*", "both"] } });
statement(
  "80. publish deny overrides allow; exact texts; the connection stays",
  { users: [publisher, user("all")] },
  async (server) => {
    const receiver = await enter(server, "all");
    await receiver.answers("SUB > 1\r\n", "");
    const client = await connect(server, { user: "p", pass: "p", verbose: true });
    const denied = ["bar", "both", "foo.no.x", "foo..x", 'q"\\'];
    for (const subject of denied) {
      // No +OK for what is dropped.
      await client.answers(pub(subject, "x"), publishError(subject.replace(/["\\]/g, "\\$&")));
      await client.answers(
        pub(subject, "x") + pub(subject, "x"),
        publishError(subject.replace(/["\\]/g, "\\$&")).repeat(2),
      );
    }
    await client.answers(pub("foo.yes", "x"), "+OK\r\n");
    await receiver.expect(msg("foo.yes", 1, "x"));
    await receiver.quiet();
  },
);

statement("80. a denied request gets no 503", { users: [publisher] }, async (server) => {
  const client = await connect(server, { user: "p", pass: "p", headers: true, no_responders: true });
  await client.answers("SUB inbox 1\r\n" + pub("bar", "x", "inbox"), publishError("bar"));
  await client.answers(pub("foo.nobody", "x", "inbox"), "HMSG inbox 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
});

statement("80. headers and odd separators are no way around", { users: [publisher] }, async (server) => {
  const client = await connect(server, { user: "p", pass: "p", headers: true });
  await client.answers("HPUB bar 2 3\r\nhhx\r\npub  bar\t1\r\nx\r\n", publishError("bar").repeat(2));
});

statement("80. permission comes before the reserved names", { users: [publisher] }, async (server) => {
  const client = await enter(server, "p");
  await client.answers(pub("bar", "x", "_R_.x"), publishError("bar"));
  await client.answers(
    pub("foo.a", "x", "_R_.x"),
    `-ERR 'Permissions Violation for Publish with Reply of "_R_.x"'\r\n`,
  );
});

const subscriber = user("s", { subscribe: { allow: ["foo.>", "one.*"] } });
statement("81. subscribe allow `foo.>`: `>` and `*.a` are refused", { users: [subscriber] }, async (server) => {
  const client = await connect(server, { user: "s", pass: "p", verbose: true });
  await client.answers("SUB foo.* 1\r\nSUB foo.> 2\r\nSUB foo.a q 3\r\n", "+OK\r\n".repeat(3));
  for (const subject of [">", "*.a", "foo", "bar", "*", "foo..x"]) {
    await client.answers(`SUB ${subject} 9\r\n`, subscribeError(subject));
  }
  // The sid of a refused subscription is not in use.
  await client.answers("SUB foo.z 9\r\nUNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\n", "+OK\r\n".repeat(4));
  await client.answers(pub("foo.z", "x"), "+OK\r\n" + msg("foo.z", 9, "x"));
  // 2.9.10 lets this pass, and with it everything below.
  if (!isOracle) await client.answers("SUB one.> 10\r\n", subscribeError("one.>"));
});

const filtered = user("d", { subscribe: { deny: ["bar.x", "w.*.z"] } });
statement("82. subscribe deny `bar.x`: SUB bar.> is accepted, bar.x never delivered", {
  users: [filtered, user("all")],
}, async (server) => {
  const client = await enter(server, "d");
  const sender = await enter(server, "all");
  await client.answers("SUB bar.x 1\r\n", subscribeError("bar.x"));
  await client.answers("SUB bar.> 2\r\nSUB bar.* 3\r\nSUB bar.* q 4\r\nSUB bar.y 5\r\nSUB w.a.* 6\r\n", "");
  await sender.answers(pub("bar.x", "no") + pub("w.a.z", "no") + pub("w.a.y", "w"), "");
  await client.expect(msg("w.a.y", 6, "w"));
  await client.answers("UNSUB 3\r\nUNSUB 4\r\nUNSUB 5\r\n", "");
  await sender.answers(pub("bar.y", "yes") + pub("bar.x", "no"), "");
  await client.answers("", msg("bar.y", 2, "yes"));
});

statement(
  "82. a group skips a member that may not receive, and takes another",
  { users: [filtered, user("all")] },
  async (server) => {
    const client = await enter(server, "d");
    const other = await enter(server, "all");
    await client.answers("SUB bar.> q 1\r\n", "");
    await other.answers("SUB bar.> q 2\r\n", "");
    const sender = await enter(server, "all");
    await sender.answers(pub("bar.x", "x").repeat(20), "");
    await other.expect(msg("bar.x", 2, "x").repeat(20));
    await client.quiet();
  },
);

if (!isOracle) {
  statement(
    "82. every overlap with a denied subject is filtered",
    { users: [filtered, user("all")] },
    async (server) => {
      const client = await enter(server, "d");
      await client.answers("SUB *.b.z 1\r\n", "");
      const sender = await enter(server, "all");
      await sender.answers(pub("w.b.z", "no") + pub("v.b.z", "yes"), "");
      await client.expect(msg("v.b.z", 1, "yes"));
    },
  );
}

const queues = user("q", { subscribe: { allow: ["foo v1", "foo v1.>", "bar v1.*", "both", "both v1"] } });
statement("83. queue permissions", { users: [queues] }, async (server) => {
  const client = await enter(server, "q");
  await client.answers("SUB foo v1 1\r\nSUB foo v1.a.b 2\r\nSUB bar v1.a 3\r\nSUB both 4\r\nSUB both v1 5\r\n", "");
  await client.answers("SUB foo 9\r\n", subscribeError("foo"));
  for (const [subject, queue] of [["foo", "v2"], ["bar", "v1"], ["bar", "v1.a.b"], ["both", "v2"]]) {
    await client.answers(`SUB ${subject} ${queue} 9\r\n`, subscribeError(subject!, queue));
  }
});

const service = user("svc", { subscribe: { allow: ["svc"] }, allowResponses: { max: 1, expiresMs: 120_000 } });
statement("84. allow_responses: the first answer is delivered, a second and a foreign one refused", {
  users: [service, user("all")],
}, async (server) => {
  const answering = await enter(server, "svc");
  await answering.answers("SUB svc 1\r\n", "");
  const asking = await enter(server, "all");
  await asking.answers(
    "SUB inbox.* 1\r\n" + pub("svc", "q", "inbox.1") + pub("svc", "q", "inbox.2") + pub("svc", "q"),
    "",
  );
  await answering.expect(msg("svc", 1, "q", "inbox.1") + msg("svc", 1, "q", "inbox.2") + msg("svc", 1, "q"));
  await answering.answers(
    pub("inbox.1", "a") + pub("inbox.1", "b") + pub("other", "c") + pub("inbox.2", "d"),
    publishError("inbox.1") + publishError("other"),
  );
  await asking.expect(msg("inbox.1", 1, "a") + msg("inbox.2", 1, "d"));
  await asking.quiet();
});

statement(
  "84. allow_responses: with headers, from a queue, and as often as max says",
  {
    users: [user("svc", { subscribe: { allow: ["svc"] }, allowResponses: { max: 3, expiresMs: -1000 } }), user("all")],
  },
  async (server) => {
    const answering = await connect(server, { user: "svc", pass: "p", headers: true });
    await answering.answers("SUB svc q 1\r\n", "");
    const asking = await connect(server, { user: "all", pass: "p", headers: true });
    await asking.answers("SUB in 1\r\nHPUB svc in 2 3\r\nhhx\r\n", "");
    await answering.expect("HMSG svc 1 in 2 3\r\nhhx\r\n");
    await answering.answers(pub("in", "a").repeat(5), publishError("in").repeat(2));
    await asking.expect(msg("in", 1, "a").repeat(3));
  },
);

const pair = nkeys.createUser();
const publicKey = pair.getPublicKey();
function sign(nonce: unknown): { url: string; standard: string } {
  const standard = btoa(String.fromCharCode(...pair.sign(new TextEncoder().encode(String(nonce)))));
  return { url: standard.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""), standard };
}
statement("85. nkey: both forms of the signature; bad, missing, or another connection's are refused", {
  nkeys: [{ nkey: publicKey }],
}, async (server) => {
  const nonces = new Set<unknown>();
  for (const form of ["url", "standard"] as const) {
    const client = await connect(server);
    nonces.add(client.info.nonce);
    assert.match(String(client.info.nonce), /^[\w-]{15}$/);
    assert.equal(client.info.auth_required, true);
    const sig = sign(client.info.nonce)[form];
    client.write(`CONNECT ${JSON.stringify({ verbose: false, nkey: publicKey, sig })}\r\n`);
    await client.quiet();
  }
  assert.equal(nonces.size, 2);
  await eachRefused(server, [
    {},
    { nkey: publicKey },
    { nkey: publicKey, sig: "x" },
    { nkey: publicKey, sig: sign([...nonces][0]).url },
    { nkey: nkeys.createUser().getPublicKey(), sig: sign("x").url },
  ]);
});

const accounts = { users: [user("a", undefined, "A"), user("b", undefined, "B"), user("g")], accounts: ["A", "B"] };
statement("87. accounts: the same subject never crosses", accounts, async (server) => {
  const clients = await Promise.all(["a", "a", "b", "g"].map((name) => enter(server, name)));
  const [a1, a2, b, g] = clients as [RawClient, RawClient, RawClient, RawClient];
  await a1.answers("SUB foo 1\r\n", "");
  await a2.answers("SUB > 2\r\n", "");
  await b.answers("SUB foo q 3\r\n", "");
  await g.answers("SUB *.> 4\r\nSUB foo 5\r\n", "");
  await a1.answers(pub("foo", "A"), msg("foo", 1, "A"));
  await a2.expect(msg("foo", 2, "A"));
  await b.answers(pub("foo", "B"), msg("foo", 3, "B"));
  await g.answers(pub("foo", "G"), msg("foo", 5, "G"));
  for (const client of clients) await client.quiet();
  if (server.nats !== undefined) assert.equal(server.nats.router.statistics.inMessages, 3);
});

statement("87. accounts: a request is answered by its own account only", accounts, async (server) => {
  const other = await enter(server, "b");
  await other.answers("SUB svc 1\r\n", "");
  const asking = await connect(server, { user: "a", pass: "p", headers: true, no_responders: true });
  await asking.answers("SUB in 1\r\n" + pub("svc", "q", "in"), "HMSG in 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
  await other.quiet();
});

statement("3.4. a further CONNECT is judged again; what it leaves out keeps its value", {
  users: [user("a"), user("b")],
}, async (server) => {
  const client = await enter(server, "a");
  await client.answers(
    'SUB foo 1\r\nCONNECT {"verbose":true}\r\n' + pub("foo", "x"),
    "+OK\r\n+OK\r\n" + msg("foo", 1, "x"),
  );
  client.write('CONNECT {"pass":"wrong"}\r\nPING\r\n');
  await client.closesWith(VIOLATION);
});

statement("3.4. authentication is judged before `account` and `protocol`", { token: "t" }, async (server) => {
  const client = await connect(server);
  client.write('CONNECT {"protocol":7}\r\n');
  await client.closesWith(VIOLATION);
  const known = await connect(server);
  known.write('CONNECT {"auth_token":"t","protocol":7}\r\n');
  await known.closesWith("-ERR 'invalid client protocol'\r\n");
  const account = await connect(server);
  account.write('CONNECT {"auth_token":"t","account":"A"}\r\n');
  await account.closesWith(VIOLATION);
});

statement(
  "3.9. log lines name who and what, never the password",
  { users: [publisher, subscriber, queues] },
  async (server) => {
    const client = await connect(server);
    client.write('CONNECT {"user":"p\\"q","pass":"hunter2"}\r\n');
    await client.closesWith(VIOLATION);
    await (await enter(server, "p")).answers(pub("bar", "x"), publishError("bar"));
    await (await enter(server, "s")).answers("SUB bar 7\r\n", subscribeError("bar"));
    await (await enter(server, "q")).answers("SUB foo v9 8\r\n", subscribeError("foo", "v9"));
    const expected = [
      'authentication error - User "p\\"q"',
      'Publish Violation - User "p", Subject "bar"',
      'Subscription Violation - User "s", Subject "bar", SID 7',
      'Subscription Violation - User "q", Subject "foo", Queue: "v9", SID 8',
    ];
    for (const text of expected) {
      await server.log.until(() => server.log.lines.some((line) => line.endsWith(` - ${text}`)));
    }
    assert.ok(server.log.lines.includes("Plaintext passwords detected, use nkeys or bcrypt"));
    assert.ok(!server.log.lines.join("\n").includes("hunter2"));
  },
);

// On a clock that is moved by hand ---------------------------------------------------------------------------------------

/** A bcrypt check that a test answers. */
interface Question {
  readonly password: string;
  answer(isRight: boolean): Promise<void>;
}

class World {
  readonly runtime = new FakeRuntime();
  readonly log = new RecordedLog();
  readonly questions: Question[] = [];

  constructor(readonly nats: NatsServer) {}

  static async make(auth: Partial<AuthOptions>): Promise<World> {
    const runtime = new FakeRuntime();
    const log = new RecordedLog();
    const questions: Question[] = [];
    const bcryptMatches = (password: string): Promise<boolean> => {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      questions.push({
        password,
        answer: async (isRight) => {
          resolve(isRight);
          for (let i = 0; i < 20; i++) await Promise.resolve();
          runtime.turn();
        },
      });
      return promise;
    };
    const nats = createNats(
      Object.assign(runtime.asRuntime(), { bcryptMatches }),
      { auth: { ...NO_AUTH, ...auth } },
      log,
    );
    await nats.listen();
    return Object.assign(new World(nats), { runtime, log, questions });
  }

  dial(): FakeSocket {
    const socket = this.runtime.dial();
    socket.take();
    return socket;
  }

  send(socket: FakeSocket, text: string): void {
    socket.send(text);
    this.runtime.turn();
  }
}

const slow = { users: [{ user: "a", password: HASH }, { user: "b", password: HASH, account: "B" }], accounts: ["B"] };
const LOGIN = 'CONNECT {"verbose":false,"user":"a","pass":"secret"}\r\n';

if (!isOracle) {
  test("nats 16: 77. no CONNECT in time: Authentication Timeout", async () => {
    for (const auth of [{ token: "t" }, { users: [user("n")], noAuthUser: "n" }]) {
      const world = await World.make({ ...auth, timeoutMs: 1000 });
      const socket = world.dial();
      socket.send("CONN");
      let afterMs = 0;
      let text = "";
      while (text === "" && afterMs < 5000) {
        world.runtime.advance(10);
        afterMs += 10;
        text = socket.take();
      }
      assert.equal(text, "-ERR 'Authentication Timeout'\r\n");
      assert.ok(afterMs >= 1000 && afterMs <= 1200, `${afterMs} ms`);
      assert.ok(socket.ended);
    }
  });

  test("nats 16: 77. the time ends with the CONNECT, also while it is being checked", async () => {
    const world = await World.make({ ...slow, timeoutMs: 1000 });
    const socket = world.dial();
    world.send(socket, LOGIN + "PING\r\n");
    world.runtime.advance(10_000);
    assert.equal(socket.take(), "");
    await world.questions[0]!.answer(true);
    assert.equal(socket.take(), "PONG\r\n");
    world.runtime.advance(10_000);
    assert.ok(!socket.ended);
  });

  test("nats 6.1: while a check computes the socket is paused and nothing is handled", async () => {
    const world = await World.make(slow);
    const socket = world.dial();
    world.send(socket, LOGIN + "SUB foo 1\r\nPI");
    assert.ok(socket.paused);
    // The read that was under way.
    world.send(socket, "NG\r\n" + pub("foo", "x") + "PUB fo");
    assert.equal(world.nats.router.sublist.count, 0);
    await world.questions[0]!.answer(true);
    assert.ok(!socket.paused);
    assert.equal(socket.take(), "PONG\r\n" + msg("foo", 1, "x"));
    world.send(socket, "o 1\r\ny\r\n");
    assert.equal(socket.take(), msg("foo", 1, "y"));
  });

  test("nats 6.1: a refused check answers nothing of what followed", async () => {
    const world = await World.make(slow);
    const socket = world.dial();
    world.send(socket, LOGIN + "SUB foo 1\r\nPING\r\n");
    await world.questions[0]!.answer(false);
    assert.equal(socket.take(), VIOLATION);
    assert.ok(socket.ended);
    assert.equal(world.nats.router.sublist.count, 0);
  });

  test("nats 3.1: a login with a check, split at every byte, has the same result", async () => {
    const again = 'CONNECT {"verbose":true}\r\n';
    const other = 'CONNECT {"user":"b","pass":"other"}\r\n';
    const text = LOGIN + "SUB foo 1\r\n" + pub("foo", "one") + again + pub("foo", "two") + other + pub("foo", "three") +
      "SUB foo 2\r\n" + pub("foo", "four") + "PING\r\n";
    const expected = msg("foo", 1, "one") + "+OK\r\n+OK\r\n" + msg("foo", 1, "two") +
      "+OK\r\n+OK\r\n+OK\r\n+OK\r\n" + msg("foo", 2, "four") + "PONG\r\n";
    for (let cut = 0; cut <= text.length; cut++) {
      const world = await World.make(slow);
      const socket = world.dial();
      if (cut > 0) world.send(socket, text.slice(0, cut));
      if (cut < text.length) world.send(socket, text.slice(cut));
      let answered = 0;
      while (answered < world.questions.length) await world.questions[answered++]!.answer(true);
      assert.equal(answered, 2);
      assert.equal(socket.take(), expected, `cut at ${cut}`);
    }
  });

  test("nats 2: a half-closed client that is being checked is served before it is closed", async () => {
    const world = await World.make(slow);
    const socket = world.dial();
    world.send(socket, LOGIN + "PING\r\n");
    socket.handler?.peerEnded();
    assert.ok(!socket.ended);
    await world.questions[0]!.answer(true);
    assert.equal(socket.take(), "PONG\r\n");
    assert.ok(socket.ended);
  });

  test("nats 6.1: a client that leaves while it is checked leaves nothing behind", async () => {
    const world = await World.make(slow);
    const socket = world.dial();
    world.send(socket, LOGIN + "SUB foo 1\r\n");
    socket.handler?.closed(undefined);
    await world.questions[0]!.answer(true);
    assert.equal(world.nats.connections.size, 0);
    assert.equal(world.nats.router.sublist.count, 0);
    assert.equal(world.nats.wheel.count, 0);
  });

  test("nats 6.1: input to a paused login is bounded", async () => {
    const world = await World.make(slow);
    const socket = world.dial();
    world.send(socket, LOGIN);
    const chunk = "x".repeat(65_536);
    for (let sent = 0; sent <= LOGIN_BACKLOG_BYTES_MAX && !socket.destroyed; sent += chunk.length) socket.send(chunk);
    assert.ok(socket.destroyed);
    await world.questions[0]!.answer(true);
    assert.equal(socket.take(), "");
  });

  test("nats 6.1: a crowd with one password costs one check", async () => {
    const world = await World.make(slow);
    const sockets = Array.from({ length: 100 }, () => world.dial());
    for (const socket of sockets) world.send(socket, LOGIN + "PING\r\n");
    assert.equal(world.questions.length, 1);
    await world.questions[0]!.answer(true);
    for (const socket of sockets) assert.equal(socket.take(), "PONG\r\n");
  });

  test("nats 2: a login as somebody else ends the subscriptions and changes the account", async () => {
    const world = await World.make({ users: [user("a"), user("b", undefined, "B")], accounts: ["B"] });
    const socket = world.dial();
    world.send(socket, 'CONNECT {"verbose":false,"user":"a","pass":"p"}\r\nSUB foo 1\r\n');
    const witness = world.dial();
    world.send(witness, 'CONNECT {"verbose":false,"user":"a","pass":"p"}\r\nSUB foo 1\r\n');
    world.send(socket, 'CONNECT {"user":"b"}\r\n' + pub("foo", "x") + "PING\r\n");
    assert.equal(socket.take(), "PONG\r\n");
    assert.equal(witness.take(), "");
    assert.equal(world.nats.router.sublist.count, 1);
  });

  test("nats 6.2: allow_responses expires on the server's clock, and holds for what the server itself asks", async () => {
    const world = await World.make({
      users: [user("s", { subscribe: { allow: ["svc"] }, allowResponses: { max: 1, expiresMs: 1000 } })],
    });
    const socket = world.dial();
    world.send(socket, 'CONNECT {"verbose":false,"user":"s","pass":"p"}\r\nSUB svc 1\r\n');
    const { router } = world.nats;
    const received: string[] = [];
    router.subscribe("in", { receive: () => received.push("in") });
    const ask = () => {
      router.request(router.destination("svc"), "in", new Uint8Array([113]));
      world.runtime.turn();
      assert.equal(socket.take(), msg("svc", 1, "q", "in"));
    };
    ask();
    world.send(socket, pub("in", "a") + pub("in", "b"));
    assert.equal(socket.take(), publishError("in"));
    ask();
    world.runtime.advance(1010);
    world.send(socket, pub("in", "c"));
    assert.equal(socket.take(), publishError("in"));
    assert.deepEqual(received, ["in"]);
  });

  test("nats 6.2: violations are logged a bounded number of times per second", async () => {
    const world = await World.make({ users: [publisher] });
    const socket = world.dial();
    world.send(socket, 'CONNECT {"verbose":false,"user":"p","pass":"p"}\r\n' + pub("bar", "x").repeat(1000));
    const count = () => world.log.lines.filter((line) => line.includes("Publish Violation")).length;
    assert.equal(count(), 20);
    assert.equal(socket.take(), publishError("bar").repeat(1000));
    world.runtime.advance(1000);
    world.send(socket, pub("bar", "x"));
    assert.equal(count(), 21);
  });
}
