/**
 * What a reload does to the connections of the server (nats-server.md 3.13), on a clock and with password checks that a
 * test moves by hand. What clients see of it over sockets: conformance/nats/reload_test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashSync } from "bcryptjs";
import { type AuthOptions, AuthOptionsError, type UserOptions } from "../../../src/nats/auth/types.ts";
import type { NatsServer, NatsServerOptions } from "../../../src/nats/nats_server.ts";
import type { NatsTlsOptions } from "../../../src/nats/tls_entry.ts";
import { NO_AUTH } from "../../helpers/auth_config.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";
import { createNats, msg, NATS_DEFAULTS, pub, RecordedLog } from "../../helpers/nats_server.ts";

const VIOLATION = "-ERR 'Authorization Violation'\r\n";
const HASHES = [hashSync("secret", 4), hashSync("secret", 4)] as const;

/** A password check that was asked for. */
interface Question {
  readonly hash: string;
  answer(isRight: boolean): Promise<void>;
}

class World {
  readonly runtime = new FakeRuntime();
  readonly log = new RecordedLog();
  readonly questions: Question[] = [];
  readonly nats: NatsServer;
  options: NatsServerOptions;

  private constructor(options: Partial<NatsServerOptions>) {
    const bcryptMatches = (_password: string, hash: string): Promise<boolean> => {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      this.questions.push({
        hash,
        answer: async (isRight) => {
          resolve(isRight);
          await settled();
          this.runtime.turn();
        },
      });
      return promise;
    };
    this.options = { ...NATS_DEFAULTS, ...options };
    this.nats = createNats(Object.assign(this.runtime.asRuntime(), { bcryptMatches }), options, this.log);
  }

  static async make(options: Partial<NatsServerOptions> = {}): Promise<World> {
    const world = new World(options);
    await world.nats.listen();
    return world;
  }

  reload(changes: Partial<NatsServerOptions>): void {
    this.options = { ...this.options, ...changes };
    this.nats.adopt(this.nats.prepare(this.options));
    this.nats.recheckClients();
    this.runtime.turn();
  }

  /** A connection that has sent `input`; what came for it is taken. */
  client(input = ""): FakeSocket {
    const socket = this.runtime.dial();
    if (input !== "") socket.send(input);
    this.runtime.turn();
    socket.take();
    return socket;
  }

  /** Sends, and takes what comes. */
  ask(socket: FakeSocket, input: string): string {
    socket.send(input);
    this.runtime.turn();
    return socket.take();
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function auth(...users: UserOptions[]): AuthOptions {
  return { ...NO_AUTH, users, accounts: ["A", "B"] };
}

function login(user: string, pass: string): string {
  return `CONNECT ${JSON.stringify({ verbose: false, user, pass })}\r\n`;
}

test("nats 3.13: a client that is being checked is judged by the users there are when the answer comes", async () => {
  const world = await World.make({ auth: auth({ user: "a", password: HASHES[0] }) });
  const socket = world.client(login("a", "secret") + "SUB foo 1\r\nPING\r\n");
  world.reload({ auth: auth({ user: "a", password: HASHES[1] }) });
  await world.questions[0]!.answer(true);
  assert.equal(socket.take(), "", "the old hash lets nobody in any more");
  assert.equal(world.questions[1]!.hash, HASHES[1]);
  await world.questions[1]!.answer(true);
  assert.equal(socket.take(), "PONG\r\n");
  assert.equal(world.nats.router.sublist.count, 1);

  const late = world.client(login("a", "wrong") + "SUB foo 1\r\n");
  world.reload({ auth: auth({ user: "b", password: "p" }) });
  await world.questions[2]!.answer(true);
  assert.equal(late.take(), VIOLATION);
});

test("nats 3.13: a check that is under way when nobody is asked any more lets the client in", async () => {
  const world = await World.make({ auth: auth({ user: "a", password: HASHES[0] }) });
  const socket = world.client(login("a", "secret") + "SUB foo 1\r\n" + pub("foo", "x"));
  assert.ok(socket.paused);
  world.reload({ auth: NO_AUTH });
  assert.ok(!socket.paused);
  assert.equal(socket.take(), msg("foo", 1, "x"));
  assert.equal(world.ask(socket, pub("foo", "y")), msg("foo", 1, "y"));
  await world.questions[0]!.answer(false);
  assert.equal(world.ask(socket, "PING\r\n"), "PONG\r\n");
});

test("nats 3.13: who is in is asked again without handling what it sends meanwhile", async () => {
  const world = await World.make({ auth: auth({ user: "a", password: HASHES[0] }) });
  const socket = world.client(login("a", "secret"));
  await world.questions[0]!.answer(true);
  world.ask(socket, "SUB foo 1\r\nPUB foo 3\r\no");
  world.reload({ auth: auth({ user: "a", password: HASHES[1] }) });
  assert.ok(socket.paused);
  // The read that was under way, in the middle of a message.
  assert.equal(world.ask(socket, "ne\r\nPI"), "");
  await world.questions[1]!.answer(true);
  assert.ok(!socket.paused);
  assert.equal(socket.take(), msg("foo", 1, "one"));
  assert.equal(world.ask(socket, "NG\r\n"), "PONG\r\n");

  world.reload({ auth: auth({ user: "a", password: HASHES[0] }) });
  assert.ok(!socket.ended, "the memory of right passwords outlives the users");
  assert.equal(world.questions.length, 2);
});

test("nats 3.13: a new hash that the client's password does not fit is a violation", async () => {
  const world = await World.make({ auth: auth({ user: "a", password: HASHES[0] }) });
  const socket = world.client(login("a", "secret"));
  await world.questions[0]!.answer(true);
  world.reload({ auth: auth({ user: "a", password: HASHES[1] }) });
  world.ask(socket, "SUB foo 1\r\n");
  await world.questions[1]!.answer(false);
  assert.equal(socket.take(), VIOLATION);
  assert.ok(socket.ended);
  assert.equal(world.nats.router.sublist.count, 0);
});

test("nats 3.13: a client that leaves while it is asked again leaves nothing behind", async () => {
  const world = await World.make({ auth: auth({ user: "a", password: HASHES[0] }) });
  const socket = world.client(login("a", "secret"));
  await world.questions[0]!.answer(true);
  world.reload({ auth: auth({ user: "a", password: HASHES[1] }) });
  socket.handler?.peerEnded();
  assert.ok(!socket.ended);
  await world.questions[1]!.answer(true);
  assert.ok(socket.ended);
  assert.equal(world.nats.connections.size, 0);
});

test("nats 3.13: a client that has not sent CONNECT yet is asked by the new users, within its time", async () => {
  const world = await World.make({ auth: { ...auth({ user: "a", password: "old" }), timeoutMs: 1000 } });
  const [right, wrong, silent] = [world.client(), world.client("CONN"), world.client()];
  world.reload({ auth: { ...auth({ user: "a", password: "new" }), timeoutMs: 1000 } });
  assert.equal(world.ask(right, login("a", "new") + "PING\r\n"), "PONG\r\n");
  assert.equal(world.ask(wrong, login("a", "old").slice(4)), VIOLATION);
  world.runtime.advance(1200);
  assert.equal(silent.take(), "-ERR 'Authentication Timeout'\r\n");
});

test("nats 3.13: nobody is asked again when the users are the same object", async () => {
  const users = auth({ user: "a", password: HASHES[0] });
  const world = await World.make({ auth: users });
  const socket = world.client(login("a", "secret"));
  await world.questions[0]!.answer(true);
  const before = world.nats.authenticator;
  world.reload({ auth: users, pingMax: 5 });
  assert.equal(world.nats.authenticator, before);
  assert.equal(world.ask(socket, "PING\r\n"), "PONG\r\n");
});

test("nats 3.13: with the same users a connection goes on with what it remembers", async () => {
  const users = auth({ user: "a", password: "p", permissions: { publish: { allow: ["foo"] } } });
  const world = await World.make({ auth: users });
  const socket = world.client(login("a", "p"));
  world.ask(socket, pub("foo", "x"));
  const [connection] = world.nats.connections.values();
  assert.equal(connection?.permissions?.decisionCount, 1);
  world.reload({ auth: users, pingMax: 5 });
  assert.equal(connection?.permissions?.decisionCount, 1);
  world.reload({ auth: { ...users } });
  assert.equal(connection?.permissions?.decisionCount, 0, "other users, other decisions");
});

test("nats 3.13: users that contradict each other change nothing", async () => {
  const world = await World.make({ maxPayload: 100 });
  const wrong = { ...NO_AUTH, users: [{ user: "a", password: "p", account: "nowhere" }] };
  assert.throws(() => world.nats.prepare({ ...world.options, maxPayload: 5, auth: wrong }), AuthOptionsError);
  assert.equal(world.nats.options.maxPayload, 100);
  assert.equal(world.nats.authenticator, null);
});

test("nats 6.2, 3.13: requests that wait for an answer can still be answered after a reload", async () => {
  const responder = {
    user: "r",
    password: "p",
    permissions: { subscribe: { allow: ["svc"] }, allowResponses: { max: 1, expiresMs: 9999 } },
  };
  const world = await World.make({ auth: auth(responder, { user: "c", password: "p" }) });
  const server = world.client(login("r", "p") + "SUB svc 1\r\n");
  const client = world.client(login("c", "p") + "SUB inbox 1\r\n");
  world.ask(client, pub("svc", "?", "inbox"));
  assert.equal(server.take(), msg("svc", 1, "?", "inbox"));
  world.reload({ auth: auth(responder, { user: "c", password: "p" }, { user: "new", password: "p" }) });
  assert.equal(world.ask(server, pub("inbox", "!")), "");
  assert.equal(client.take(), msg("inbox", 1, "!"));
  assert.equal(world.ask(server, pub("inbox", "!")), `-ERR 'Permissions Violation for Publish to "inbox"'\r\n`);

  world.ask(client, pub("svc", "?", "inbox"));
  world.reload({
    auth: auth({ ...responder, permissions: { subscribe: { allow: ["svc"] }, publish: { allow: [] } } }, {
      user: "c",
      password: "p",
    }),
  });
  server.take();
  assert.equal(world.ask(server, pub("inbox", "!")), `-ERR 'Permissions Violation for Publish to "inbox"'\r\n`);
});

test("nats 6.6, 3.13: the router of an account that stays is the same, one that is gone ends with its clients", async () => {
  const users = auth({ user: "a", password: "p", account: "A" }, { user: "b", password: "p", account: "B" });
  const world = await World.make({ auth: users });
  const a = world.client(login("a", "p") + "SUB foo 1\r\n");
  const b = world.client(login("b", "p") + "SUB foo 1\r\n");
  const router = world.nats.accounts.router("A");
  world.reload({ auth: { ...users, users: users.users.slice(0, 1), accounts: ["A", "C"] } });
  assert.equal(world.nats.accounts.router("A"), router);
  assert.equal(world.nats.accounts.router("B"), undefined);
  assert.notEqual(world.nats.accounts.router("C"), undefined);
  assert.ok(b.ended);
  assert.equal(world.ask(a, pub("foo", "x")), msg("foo", 1, "x"));
});

test("nats 3.13: a new account counts into the same statistics and has the new payload limit", async () => {
  const world = await World.make();
  world.reload({ maxPayload: 77, auth: auth({ user: "a", password: "p", account: "A" }) });
  const router = world.nats.accounts.router("A");
  assert.equal(router?.statistics, world.nats.router.statistics);
  assert.equal(router?.maxPayload, 77);
  assert.equal(world.nats.router.maxPayload, 77);
});

test("nats 3.7, 3.13: a shorter ping_interval holds for connections that wait for a longer one", async () => {
  const world = await World.make();
  const socket = world.client('CONNECT {"verbose":false}\r\n');
  world.runtime.advance(10_000);
  world.reload({ pingIntervalMs: 1_000, pingMax: 1 });
  world.runtime.advance(1_250);
  assert.equal(socket.take(), "PING\r\n");
  world.runtime.advance(1_250);
  assert.equal(socket.take(), "-ERR 'Stale Connection'\r\n");
});

test("nats 3.7, 3.13: a longer ping_interval holds from the next PING on", async () => {
  const world = await World.make({ pingIntervalMs: 1_000 });
  const socket = world.client('CONNECT {"verbose":false}\r\n');
  world.reload({ pingIntervalMs: 60_000 });
  world.runtime.advance(1_250);
  assert.equal(socket.take(), "PING\r\n");
  world.ask(socket, "PONG\r\n");
  world.runtime.advance(50_000);
  assert.equal(socket.take(), "");
});

test("nats 3.10, 3.13: write_deadline and max_pending of live connections", async () => {
  const world = await World.make();
  const consumer = world.client('CONNECT {"verbose":false}\r\nSUB foo 1\r\n');
  const publisher = world.client('CONNECT {"verbose":false}\r\n');
  world.reload({ writeDeadlineMs: 1_000 });
  consumer.room = 0;
  world.ask(publisher, pub("foo", "x"));
  world.runtime.advance(1_300);
  assert.ok(consumer.destroyed);
});

test("nats 3.13: max_connections takes whichever connections, and only as many as are too many", async () => {
  const world = await World.make();
  const sockets = Array.from({ length: 10 }, () => world.client());
  world.reload({ maxConnections: 4 });
  world.nats.closeSurplus();
  world.runtime.turn();
  assert.equal(sockets.filter((socket) => socket.ended).length, 6);
  for (const socket of sockets) {
    assert.equal(socket.take(), socket.ended ? "-ERR 'maximum connections exceeded'\r\n" : "");
  }
  assert.equal(world.log.lines.at(-1), "Closed 6 connections to fall within max_connections");
  world.nats.closeSurplus();
  assert.equal(world.nats.connections.size, 4);
});

const tlsOptions: NatsTlsOptions = {
  server: { certificate: "c", key: "k" },
  timeoutMs: 1000,
  handshakeFirst: false,
  allowNonTls: false,
  pinnedCerts: [],
  connectionRateLimit: 2,
};

test("nats 7: connection_rate_limit: what is too many in a second gets the text, and the log a line", async () => {
  const world = await World.make({ tls: tlsOptions });
  const throttled = /^INFO \{.*\} \r\n-ERR 'Connection throttling is active\. Please try again later\.'\r\n$/;
  const dial = () => world.runtime.dial();
  const first = [dial(), dial(), dial(), dial()];
  for (const [index, socket] of first.entries()) {
    if (index < 2) assert.match(socket.take(), /^INFO \{.*\} \r\n$/);
    else assert.match(socket.take(), throttled);
    assert.equal(socket.ended, index >= 2);
  }
  world.runtime.advance(1_000);
  assert.deepEqual(world.log.lines, ["Rejected 2 connections due to TLS rate limiting"]);
  assert.ok(!dial().ended);
  world.runtime.advance(5_000);
  assert.equal(world.log.lines.length, 1);
});

test("nats 7: with TLS before INFO a throttled connection gets no byte in clear", async () => {
  const world = await World.make({ tls: { ...tlsOptions, handshakeFirst: true, connectionRateLimit: 1 } });
  world.runtime.dial();
  const socket = world.runtime.dial();
  assert.ok(socket.ended);
  assert.equal(socket.take(), "");
});

/** Publishers that go round subjects are answered by what came behind each one last time (subject_order_test.ts). */
const ROUND = pub("a", "x", "re") + pub("b", "x", "re") + pub("c", "x", "re");
const forbidden = (subject: string) => `-ERR 'Permissions Violation for Publish to "${subject}"'\r\n`;

test("nats 3.13: who goes round subjects may do from the next message on what a reload says", async () => {
  const allow = (...subjects: string[]) =>
    auth({ user: "a", password: "p", permissions: { publish: { allow: subjects } } });
  const world = await World.make({ auth: allow("a", "b", "c") });
  const socket = world.client(login("a", "p"));
  for (let round = 0; round < 5; round++) {
    assert.equal(world.ask(socket, ROUND + pub("a", "x", "re")), "");
    // Where `b` is expected, and the line of `a` is remembered.
    world.reload({ auth: allow("a", "c") });
    for (let i = 0; i < 3; i++) {
      assert.equal(world.ask(socket, pub("b", "x", "re")), forbidden("b"));
      assert.equal(world.ask(socket, pub("c", "x", "re") + pub("a", "x", "re")), "");
    }
    world.reload({ auth: allow("b", "c") });
    assert.equal(world.ask(socket, pub("a", "x", "re") + ROUND), forbidden("a").repeat(2));
    assert.equal(world.ask(socket, pub("a", "x", "_R_.x") + pub("b", "x", "_R_.x")).split("-ERR").length, 3);
    world.reload({ auth: allow("a", "b", "c") });
  }
  world.reload({ auth: NO_AUTH });
  assert.equal(world.ask(socket, ROUND.repeat(3)), "");
});

test("nats 3.13: an expected subject is no way around a smaller limit of control lines", async () => {
  const world = await World.make();
  const [short, long] = ["a".repeat(10), "b".repeat(40)];
  const socket = world.client(login("a", "p") + (pub(short, "x", "re") + pub(long, "x", "re")).repeat(5));
  assert.equal(world.ask(socket, pub(short, "x", "re")), "");
  world.reload({ maxControlLine: 30 });
  assert.equal(world.ask(socket, pub(short, "x", "re")), "");
  assert.equal(world.ask(socket, pub(long, "x", "re")), "-ERR 'maximum control line exceeded'\r\n");
  assert.ok(socket.ended);
});

test("nats 2: what somebody expected whose connection logs in to another account is not taken there", async () => {
  const users = auth({ user: "a", password: "p", account: "A" }, { user: "b", password: "p", account: "B" });
  const world = await World.make({ auth: users });
  const socket = world.client(login("a", "p"));
  const witnesses = ["a", "b"].map((user) => world.client(login(user, "p") + "SUB * 1\r\n"));
  const frames = (from: number) => ROUND.repeat(3).split(/(?=PUB)/).slice(from);
  world.ask(socket, frames(0).join("") + pub("a", "x", "re"));
  const [ofA, ofB] = witnesses.map((witness) => witness.take());
  assert.equal(ofA!.split("MSG").length, 11);
  assert.equal(ofB, "");
  assert.equal(world.nats.accounts.router("A")!.generation, world.nats.accounts.router("B")!.generation);
  // `b` is expected, of the other account, and resolved in a generation of the same number.
  world.ask(socket, login("b", "p") + frames(1).join(""));
  assert.deepEqual(witnesses.map((witness) => witness.take().split("MSG").length), [1, 9]);
});

test("nats 6.2: allow_responses counts each answer of who goes round the same ones, whatever is expected", async () => {
  const permissions = { allowResponses: { max: 2, expiresMs: 60_000 }, publish: { allow: ["a", "b"] } };
  const world = await World.make({
    auth: auth({ user: "a", password: "p", permissions }, { user: "b", password: "p" }),
  });
  const service = world.client(login("a", "p") + "SUB service 1\r\n");
  const asking = world.client(login("b", "p") + "SUB in.* 1\r\n");
  const answers = [1, 2, 3].map((i) => pub(`in.${i}`, "x")).join("");
  for (let round = 0; round < 4; round++) {
    world.ask(asking, [1, 2, 3].map((i) => pub("service", "q", `in.${i}`)).join(""));
    service.take();
    const refused = [1, 2, 3].map((i) => forbidden(`in.${i}`)).join("");
    assert.equal(world.ask(service, answers.repeat(4)), refused.repeat(2));
    assert.equal(asking.take(), [1, 2, 3].map((i) => msg(`in.${i}`, 1, "x")).join("").repeat(2));
  }
  // What is forgotten because answers are counted is not what a reply may not be.
  const reserved = pub("a", "x", "_R_.x") + pub("a", "x", "_R_.x") + pub("b", "xy", "_R_.x");
  const refusal = `-ERR 'Permissions Violation for Publish with Reply of "_R_.x"'\r\n`;
  assert.equal(world.ask(service, reserved.repeat(3)), refusal.repeat(9));
  assert.equal(world.ask(service, pub("a", "x", "re") + pub("b", "x", "re")), "");
});
