/**
 * The client protocol over real sockets, by the numbers of nats-server.md 16. `NATS_ORACLE=/usr/sbin/nats-server` runs the
 * same tests against the reference.
 *
 * | statements | where |
 * |---|---|
 * | 1-58, 66, 67 | here |
 * | 59, 60, 62, 130, exact counts of 61 | timing_test.ts, on a clock that is moved by hand |
 * | 61, 68-73, 129 | delivery_test.ts |
 * | 74 | differential_test.ts |
 * | 63 (lame duck), 64 (reload), 65 (routes) | not here: they belong to parts that this server does not have yet |
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, msg, ORACLE, pub, type RawClient, type TestServer, withNats } from "../../helpers/nats_server.ts";

const UNKNOWN = "-ERR 'Unknown Protocol Operation'\r\n";
const isOracle = ORACLE !== undefined && ORACLE !== "";

/** One test with a server of its own. */
function statement(name: string, work: (server: TestServer) => Promise<void>, options = {}): void {
  test(`nats 16: ${name}`, () => withNats(options, work));
}

/** Each input on a connection of its own ends it with exactly `text`. */
async function eachCloses(server: TestServer, inputs: readonly string[], text: string): Promise<void> {
  for (const input of inputs) {
    const client = await connect(server);
    client.write(input);
    await client.closesWith(text);
    client.destroy();
  }
}

/** A second client of a test, quiet. */
function quietClient(server: TestServer): Promise<RawClient> {
  return connect(server, {});
}

statement("1. the first bytes are INFO, one line of JSON with the needed fields", async (server) => {
  const client = await connect(server);
  assert.match(client.infoLine, /^INFO \{[^\n]*\} ?\r\n$/);
  const { info } = client;
  assert.equal(typeof info.server_id, "string");
  assert.match(String(info.server_id), /^N[A-Z2-7]{55}$/);
  assert.equal(info.server_name, info.server_id);
  assert.equal(info.proto, 1);
  assert.equal(info.headers, true);
  assert.equal(info.max_payload, 1_048_576);
  assert.equal(info.host, "127.0.0.1");
  assert.equal(info.port, server.port);
  assert.equal(typeof info.client_id, "number");
  assert.equal(info.client_ip, "127.0.0.1");
  assert.equal(typeof info.go, "string");
  for (const absent of ["auth_required", "tls_required", "nonce", "connect_urls", "cluster", "ldm", "jetstream"]) {
    assert.ok(!(absent in info), absent);
  }
});

statement("2. the version has three numbers", async (server) => {
  assert.match(String((await connect(server)).info.version), /\d+\.\d+\.\d+/);
});

statement("3. client_id rises with every connection", async (server) => {
  let last = 0;
  for (let i = 0; i < 4; i++) {
    const id = Number((await connect(server)).info.client_id);
    assert.ok(id > last && id < 2 ** 31);
    last = id;
  }
});

statement("4. PING without CONNECT is answered", async (server) => {
  await (await connect(server)).answers("", "");
});

statement("5. without CONNECT every operation works and is confirmed", async (server) => {
  const client = await connect(server);
  await client.answers("SUB foo 1\r\nPUB foo 2\r\nhi\r\n", "+OK\r\n+OK\r\n" + msg("foo", 1, "hi"));
});

statement("6. CONNECT {} is verbose", async (server) => {
  await (await connect(server)).answers("CONNECT {}\r\n", "+OK\r\n");
});

statement("7. no space is needed after CONNECT", async (server) => {
  await (await connect(server)).answers('CONNECT{"verbose":false}\r\nSUB foo 1\r\n', "");
});

statement("8. keys of CONNECT match in any case", async (server) => {
  await (await connect(server)).answers('CONNECT {"VERBOSE":false}\r\nSUB foo 1\r\n', "");
});

statement("9. CONNECT null is CONNECT {}; what is no object closes without a byte", async (server) => {
  await (await connect(server)).answers("CONNECT null\r\n", "+OK\r\n");
  await eachCloses(
    server,
    ["[]", "{bad", '{"protocol":"1"}', "5", '"x"', "", "{} x", '{"verbose":1}', '{"name":7}'].map((json) =>
      `CONNECT ${json}\r\n`
    ),
    "",
  );
});

statement("9. null keeps the default, unknown keys are ignored, the last duplicate wins", async (server) => {
  const first = await connect(server);
  await first.answers('CONNECT {"verbose":null,"zzz":{"a":[1]},"__proto__":{"verbose":false}}\r\n', "+OK\r\n");
  const second = await connect(server);
  await second.answers('CONNECT {"verbose":true,"verbose":false}\r\n', "");
});

statement("10. protocol 2 or -1 is refused", async (server) => {
  for (const protocol of [2, -1]) {
    await eachCloses(
      server,
      [`CONNECT {"verbose":false,"protocol":${protocol}}\r\n`],
      "-ERR 'invalid client protocol'\r\n",
    );
  }
  for (const protocol of [0, 1]) await connect(server, { protocol });
});

statement("11. no_responders needs headers", async (server) => {
  await eachCloses(
    server,
    ['CONNECT {"no_responders":true}\r\n'],
    "-ERR 'no responders requires headers support'\r\n",
  );
});

statement("12. an account in CONNECT is a violation", async (server) => {
  await eachCloses(
    server,
    ['CONNECT {"account":"a"}\r\n', 'CONNECT {"new_account":true}\r\n'],
    "-ERR 'Authorization Violation'\r\n",
  );
  await connect(server, { account: "", new_account: false });
});

statement("13. a second CONNECT changes what it names and keeps the rest", async (server) => {
  const client = await connect(server, { echo: false });
  await client.answers(
    'SUB foo 1\r\nCONNECT {"verbose":true}\r\nSUB bar 2\r\nPUB foo 1\r\nx\r\n',
    "+OK\r\n+OK\r\n+OK\r\n",
  );
});

statement("14. a CONNECT argument of 5000 bytes is too long", async (server) => {
  await eachCloses(
    server,
    [`CONNECT {"name":"${"x".repeat(5000)}"}\r\n`],
    "-ERR 'maximum control line exceeded'\r\n",
  );
});

statement("15. operations in any case; arguments are case-sensitive", async (server) => {
  const client = await connect(server);
  await client.answers(
    'connect {"verbose":false}\r\nsub foo 1\r\nSuB FOO 2\r\npub foo 1\r\na\r\nPuB foo 1\r\nb\r\nuNsUb 1\r\npub foo 1\r\nc\r\npong\r\n+ok\r\n',
    msg("foo", 1, "a") + msg("foo", 1, "b"),
  );
  await client.write("ping\r\n").expect("PONG\r\n");
});

statement("16. tabs and repeated spaces separate", async (server) => {
  const client = await connect(server, {});
  await client.answers(
    "SUB\t \tfoo  \t q\t\t1 \r\nPUB   foo\t  bar \t 2\t\r\nhi\r\nUNSUB \t 1  1\t\r\n",
    msg("foo", 1, "hi", "bar"),
  );
});

statement("17. a bare LF ends a control line, but not a payload", async (server) => {
  const client = await connect(server, {});
  await client.answers("SUB foo 1\nPUB foo 2\nhi\r\nPING\n", msg("foo", 1, "hi") + "PONG\r\n");
  await eachCloses(server, ["PUB foo 2\r\nhi\n", "PUB foo 2\r\nhi\nPING\r\n", "PUB foo 2\r\nhi\r\r\n"], UNKNOWN);
});

statement("18. PINGxyz is a PING", async (server) => {
  await (await connect(server)).answers("PINGxyz\r\n", "PONG\r\n");
  // What is ignored has no limit and may hold a CR.
  await (await connect(server)).answers(`PING ${"x".repeat(10_000)}\r\npongQ\r\n+OKz\rz\r\n`, "PONG\r\n");
});

statement("19. an empty line is an error", async (server) => {
  await eachCloses(server, ["\r\n", "\n", "  \r\n"], UNKNOWN);
});

statement("20. operations of servers are refused", async (server) => {
  await eachCloses(
    server,
    [
      "RS+ $G foo\r\n",
      "LS+ foo\r\n",
      "A+ foo\r\n",
      "MSG foo 1 2\r\n",
      "HMSG foo 1 2 2\r\n",
      "RMSG $G foo 2\r\n",
      "FOO\r\n",
      "PUBX foo 2\r\n",
      "PUB\r\n",
      "SUB\r\n",
      "UNSUB\r\n",
      " PING\r\n",
    ],
    UNKNOWN,
  );
});

statement("21. +OK is ignored, -ERR closes without a byte", async (server) => {
  await (await connect(server)).answers("+OK\r\n", "");
  await eachCloses(server, ["-ERR 'x'\r\n", "-err \r\n"], "");
  await eachCloses(server, ["-ERR\r\n"], UNKNOWN);
});

statement("22. INFO {} is ignored, INFO of anything else closes without a byte", async (server) => {
  await (await connect(server)).answers("INFO {}\r\nINFO{}\r\nINFO null\r\n", "");
  await eachCloses(server, ["INFO {x\r\n", "INFO []\r\n", "INFO\r\n", "INFO 1\r\n"], "");
});

statement("23. malformed PUB closes without a byte", async (server) => {
  const forms = ["foo", "a b c 2", "foo x", "foo -1", "foo +5", "foo 99999999999", "foo 1.0", "foo 0x1", ""];
  await eachCloses(server, forms.map((form) => `PUB ${form}\r\n`), "");
});

statement("24. a size is echoed as written", async (server) => {
  const client = await connect(server, {});
  await client.answers("SUB foo 1\r\nPUB foo 005\r\nhello\r\n", "MSG foo 1 005\r\nhello\r\n");
});

statement("25. an empty payload", async (server) => {
  await (await connect(server, {})).answers("SUB foo 1\r\nPUB foo 0\r\n\r\n", "MSG foo 1 0\r\n\r\n");
});

statement("26. a payload longer than announced is an error and is not delivered", async (server) => {
  const witness = await quietClient(server);
  await witness.answers("SUB foo 1\r\n", "");
  await eachCloses(server, ["PUB foo 2\r\nabc\r\n"], UNKNOWN);
  await witness.quiet();
});

statement("27. a size of max_payload passes, one more is refused before its payload", async (server) => {
  const client = await connect(server, {});
  const payload = "x".repeat(1000);
  await client.answers("SUB foo 1\r\n" + pub("foo", payload), msg("foo", 1, payload));
  await eachCloses(server, ["PUB foo 1001\r\n"], "-ERR 'Maximum Payload Violation'\r\n");
}, { maxPayload: 1000 });

statement("28. headers and payload count against max_payload together", async (server) => {
  const client = await connect(server, { headers: true });
  await client.answers(
    "SUB foo 1\r\nHPUB foo 900 1000\r\n" + "x".repeat(1000) + "\r\n",
    "HMSG foo 1 900 1000\r\n" + "x".repeat(1000) + "\r\n",
  );
  await client.write("HPUB foo 900 1001\r\n").closesWith("-ERR 'Maximum Payload Violation'\r\n");
}, { maxPayload: 1000 });

statement("29. the stream byte by byte has the same result", async (server) => {
  const client = await connect(server);
  client.stream.setNoDelay(true);
  const input =
    'CONNECT {"verbose":true,"headers":true}\r\nSUB foo q 1\r\nPUB foo bar 2\r\nhi\r\nPUB foo bar 2\r\nho\r\n' +
    "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 1\nPING\r\n";
  for (const byte of input) {
    client.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.expect(
    "+OK\r\n+OK\r\n+OK\r\n" + msg("foo", 1, "hi", "bar") + "+OK\r\n" + msg("foo", 1, "ho", "bar") + "+OK\r\n" +
      "HMSG foo 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n+OK\r\nPONG\r\n",
  );
});

statement("30. SUB and UNSUB with a wrong number of arguments close without a byte", async (server) => {
  await eachCloses(
    server,
    [
      "SUB foo\r\n",
      "SUB a b c d\r\n",
      "SUB a b c d e\r\n",
      "SUB a b c d e f g\r\n",
      "SUB \r\n",
      "UNSUB \r\n",
      "UNSUB 1 2 3\r\n",
    ],
    "",
  );
});

statement("31. an invalid subject is refused, the connection stays", async (server) => {
  const client = await connect(server, {});
  for (const subject of ["foo..bar", ".foo", "foo.", "foo.>.bar", ".", ">.a"]) {
    await client.answers(`SUB ${subject} 1\r\n`, "-ERR 'Invalid Subject'\r\n");
  }
  await client.answers("SUB foo 1\r\nPUB foo 1\r\nx\r\n", msg("foo", 1, "x"));
});

statement("32. a wildcard character inside of a token is literal", async (server) => {
  const client = await connect(server, {});
  await client.answers("SUB foo* 1\r\nSUB foo.>x 2\r\nSUB f*o 3\r\n", "");
  for (const subject of ["foox", "foo.ax", "fxo", "foo.a"]) await client.answers(pub(subject, "x"), "");
  await client.answers(
    pub("foo*", "a") + pub("foo.>x", "b") + pub("f*o", "c"),
    msg("foo*", 1, "a") + msg("foo.>x", 2, "b") + msg("f*o", 3, "c"),
  );
});

statement("33. an argument part of 4096 bytes passes, 4097 fail", async (server) => {
  const client = await connect(server);
  await client.answers(`SUB ${"a".repeat(4094)} 1\r\n`, "+OK\r\n");
  await client.answers(`SUB \t  ${"b".repeat(4094)} 2\n`, "+OK\r\n");
  const text = "-ERR 'maximum control line exceeded'\r\n";
  // Separators behind the arguments count, those in front of them do not.
  await eachCloses(server, [`SUB ${"a".repeat(4095)} 1\r\n`, `SUB ${"a".repeat(4094)} 1 \r\n`], text);
  await eachCloses(server, [`PUB ${"a".repeat(4095)} 1\r\n`], text);
});

statement("34. 5000 bytes without a LF fail at once", async (server) => {
  await eachCloses(server, [`SUB ${"a".repeat(5000)}`], "-ERR 'maximum control line exceeded'\r\n");
});

statement("35. a sid in use keeps its subscription", async (server) => {
  const client = await connect(server);
  await client.answers("SUB foo 1\r\nSUB bar 1\r\nSUB bad..one 1\r\n", "+OK\r\n+OK\r\n+OK\r\n");
  await client.answers(pub("bar", "x") + pub("foo", "y"), "+OK\r\n+OK\r\n" + msg("foo", 1, "y"));
});

statement("36. UNSUB of an unknown sid is confirmed", async (server) => {
  await (await connect(server)).answers("UNSUB 77\r\nUNSUB 78 5\r\n", "+OK\r\n+OK\r\n");
  await (await connect(server, {})).answers("UNSUB 77\r\n", "");
});

statement("37. UNSUB 1 1 before anything: exactly one message", async (server) => {
  const client = await connect(server, {});
  await client.answers(
    "SUB foo 1\r\nUNSUB 1 1\r\n" + pub("foo", "a") + pub("foo", "b"),
    msg("foo", 1, "a"),
  );
});

/** Two messages, then `unsub`, then five more; `more` of those come. */
async function afterTwo(server: TestServer, unsub: string, more: number): Promise<void> {
  const client = await connect(server, {});
  let expected = msg("foo", 1, "x").repeat(2);
  await client.answers("SUB foo 1\r\n" + pub("foo", "x").repeat(2), expected);
  expected = msg("foo", 1, "y").repeat(more);
  await client.answers(unsub + pub("foo", "y").repeat(5), expected);
  client.destroy();
}

statement("38. two delivered, UNSUB 1 3: one more", (server) => afterTwo(server, "UNSUB 1 3\r\n", 1));
statement("39. two delivered, UNSUB 1 2: none more", (server) => afterTwo(server, "UNSUB 1 2\r\n", 0));
statement("40. UNSUB 1 1, then UNSUB 1 3: three in total", async (server) => {
  const client = await connect(server, {});
  await client.answers(
    "SUB foo 1\r\nUNSUB 1 1\r\nUNSUB 1 3\r\n" + pub("foo", "x").repeat(5),
    msg("foo", 1, "x").repeat(3),
  );
});
statement("41. UNSUB 1 2, then UNSUB 1: none; 0 and malformed: at once", async (server) => {
  for (
    const unsub of [
      "UNSUB 1 2\r\nUNSUB 1\r\n",
      "UNSUB 1 0\r\n",
      "UNSUB 1 x\r\n",
      "UNSUB 1 -3\r\n",
      "UNSUB 1 9999999999\r\n",
    ]
  ) {
    await afterTwo(server, unsub, 0);
  }
});

statement("42. too many tokens", async (server) => {
  const client = await connect(server, {});
  await client.answers(
    "SUB a.b.c.d.e 1\r\nSUB a.b.c.d.e.f 2\r\n",
    `-ERR 'Permissions Violation for Subscription to "a.b.c.d.e.f", too many tokens'\r\n`,
  );
}, { maxSubscriptionTokens: 5 });

statement("43. the queue _sys_ is refused", async (server) => {
  const client = await connect(server);
  await client.answers(
    "SUB foo _sys_ 1\r\n",
    `-ERR 'Permissions Violation for Subscription to "foo" using queue "_sys_"'\r\n`,
  );
});

statement("43. quoted parts are escaped as Go does", async (server) => {
  const client = await connect(server);
  const subject = 'f"o\\\x01\x07\x7f\xff\xc3\xa4\xc2\xa0\xe2\x80\xa8\xf0\x9f\x98\x80\xf3\xa0\x80\x81\xed\xa0\x80';
  const quotedSubject = '"f\\"o\\\\\\x01\\a\\x7f\\xff\xc3\xa4\\u00a0\\u2028\xf0\x9f\x98\x80\\U000e0001\\xed\\xa0\\x80"';
  await client.answers(
    `SUB ${subject} _sys_ 1\r\n`,
    `-ERR 'Permissions Violation for Subscription to ${quotedSubject} using queue "_sys_"'\r\n`,
  );
});

statement("44. a pedantic publish on a wildcard is told and delivered", async (server) => {
  const client = await connect(server, { pedantic: true });
  const error = "-ERR 'Invalid Publish Subject'\r\n";
  await client.answers("SUB foo.* 1\r\n" + pub("foo.*", "x"), error + msg("foo.*", 1, "x"));
  await client.answers(pub("foo..a", "x") + pub(".", "x"), error + error);
  await client.answers(pub("foo*", "x"), "");
  const verbose = await connect(server);
  await verbose.answers(pub("a.*", "x"), error + "+OK\r\n");
});

statement("45. published wildcards are ordinary tokens", async (server) => {
  const client = await connect(server, {});
  await client.answers(
    "SUB foo.a 1\r\nSUB foo.* 2\r\n" + pub("foo.*", "x") + pub("foo.>", "y"),
    msg("foo.*", 2, "x") + msg("foo.>", 2, "y"),
  );
  const other = await connect(server, {});
  await other.answers("SUB foo.> 1\r\n" + pub("foo.*", "x"), msg("foo.*", 1, "x"));
});

statement("46. a subject with an empty token reaches nobody", async (server) => {
  const client = await connect(server, {});
  const subjects = ["foo..bar", ".foo", "foo.", ".", ".."];
  await client.answers("SUB > 1\r\nSUB *.*.* 2\r\n" + subjects.map((subject) => pub(subject, "x")).join(""), "");
});

statement("47. reserved replies are refused and not delivered", async (server) => {
  const client = await connect(server);
  await client.answers("SUB foo 1\r\n", "+OK\r\n");
  for (const reply of ["_R_.x", "_R_.", "$JS.ACK.a.b", "_GR_.x"]) {
    await client.answers(
      pub("foo", "x", reply),
      `-ERR 'Permissions Violation for Publish with Reply of "${reply}"'\r\n`,
    );
  }
  await client.answers(pub("_GR_.x", "x"), `-ERR 'Permissions Violation for Publish to "_GR_.x"'\r\n`);
  for (const reply of ["$JS.ACK.", "_GR_.", "_R_x", "_R_", "$JS"]) {
    await client.answers(pub("foo", "x", reply), "+OK\r\n" + msg("foo", 1, "x", reply));
  }
});

statement("47. a pedantic publisher gets both errors, its subject's first", async (server) => {
  const client = await connect(server, { pedantic: true });
  await client.answers(
    pub("foo.*", "x", "_R_.x"),
    `-ERR 'Invalid Publish Subject'\r\n-ERR 'Permissions Violation for Publish with Reply of "_R_.x"'\r\n`,
  );
});

statement("48. foo.> does not match foo", async (server) => {
  const client = await connect(server, {});
  await client.answers("SUB foo.> 1\r\n" + pub("foo", "x") + pub("foo.a.b", "y"), msg("foo.a.b", 1, "y"));
});

statement("49. UTF-8 and other bytes in subjects pass unharmed", async (server) => {
  const client = await connect(server, {});
  const subject = Buffer.from("größe.日本", "utf8").toString("latin1");
  await client.answers(`SUB ${subject} 1\r\n` + pub(subject, "x", subject), msg(subject, 1, "x", subject));
  await client.answers(
    "UNSUB 1\r\nSUB *.* 2\r\n" + pub(subject, "x", subject) + pub("\xff\x80.\x01", "y"),
    msg(subject, 2, "x", subject) + msg("\xff\x80.\x01", 2, "y"),
  );
});

statement("50. +OK precedes the message of the same PUB", async (server) => {
  const client = await connect(server);
  await client.answers("SUB foo 1\r\n" + pub("foo", "x"), "+OK\r\n+OK\r\n" + msg("foo", 1, "x"));
});

statement("51. echo:false: no copy of one's own, also as member of a group", async (server) => {
  const own = await connect(server, { echo: false });
  const other = await quietClient(server);
  await own.answers("SUB foo 1\r\nSUB foo q 2\r\nSUB foo alone 3\r\n", "");
  await other.answers("SUB foo q 4\r\n", "");
  await own.answers(pub("foo", "x").repeat(50), "");
  await other.answers("", msg("foo", 4, "x").repeat(50));
});

statement("52. HPUB without headers in CONNECT closes at the control line", async (server) => {
  for (const input of ["HPUB foo 2 4\r\n", "HPUB foo 2 99999999\r\n", "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"]) {
    const client = await connect(server, {});
    await client.write(input).closesWith("");
  }
});

statement("52. malformed HPUB closes without a byte", async (server) => {
  for (const form of ["foo 4", "foo a b 2 4", "foo x 4", "foo 2 x", "foo 5 4", "foo -1 4", ""]) {
    const client = await connect(server, { headers: true });
    await client.write(`HPUB ${form}\r\n`).closesWith("");
  }
});

statement("53. HMSG to those who know headers, MSG without them to others", async (server) => {
  const plain = await connect(server, {});
  const aware = await connect(server, { headers: true });
  await plain.answers("SUB foo 1\r\n", "");
  await aware.answers("SUB foo 1\r\n", "");
  const header = "NATS/1.0\r\nA: b\r\n\r\n";
  const size = header.length;
  await aware.answers(
    `HPUB foo ${size} ${size + 2}\r\n${header}hi\r\nHPUB foo re ${size} ${size + 2}\r\n${header}ho\r\n`,
    `HMSG foo 1 ${size} ${size + 2}\r\n${header}hi\r\nHMSG foo 1 re ${size} ${size + 2}\r\n${header}ho\r\n`,
  );
  await plain.answers("", msg("foo", 1, "hi") + msg("foo", 1, "ho", "re"));
});

statement("54. header size 0 makes a plain message, header bytes are not looked at", async (server) => {
  const client = await connect(server, { headers: true });
  await client.answers(
    "SUB foo 1\r\nHPUB foo 0 02\r\nhi\r\nHPUB foo 4 6\r\nabcdhi\r\nHPUB foo 002 004\r\nabhi\r\nHPUB foo 2 2\r\nab\r\n",
    "MSG foo 1 02\r\nhi\r\nHMSG foo 1 4 6\r\nabcdhi\r\nHMSG foo 1 002 004\r\nabhi\r\nHMSG foo 1 2 2\r\nab\r\n",
  );
  const plain = await connect(server, {});
  await plain.answers("SUB bar 1\r\n", "");
  await client.answers("HPUB bar 002 004\r\nabhi\r\n", "");
  await plain.answers("", msg("bar", 1, "hi"));
});

/** The status message, as releases 2.9 to 2.11 send it. */
function noResponders(reply: string, sid: string): string {
  return `HMSG ${reply} ${sid} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`;
}

statement("55. a request that finds nobody is answered 503", async (server) => {
  const client = await connect(server, { headers: true, no_responders: true });
  await client.answers("SUB in 1\r\n" + pub("nobody", "x", "in"), noResponders("in", "1"));
  await client.answers("SUB _INBOX.* 2\r\n" + pub("nobody", "x", "_INBOX.7"), noResponders("_INBOX.7", "2"));
  await client.answers("HPUB nobody in 2 2\r\nab\r\nPUB a..b in 0\r\n\r\n", noResponders("in", "1").repeat(2));
  // Without a reply there is nobody to tell.
  await client.answers(pub("nobody", "x"), "");
  const deaf = await connect(server, { headers: true, no_responders: true, echo: false });
  await deaf.answers("SUB in 1\r\nSUB self 2\r\n" + pub("self", "x", "in"), noResponders("in", "1"));
  const old = await connect(server, { headers: true });
  await old.answers("SUB in2 1\r\n" + pub("nobody", "x", "in2"), "");
});

statement("55. a 503 does not count against UNSUB's maximum", async (server) => {
  const client = await connect(server, { headers: true, no_responders: true });
  await client.answers(
    "SUB in 1\r\nUNSUB 1 1\r\n" + pub("nobody", "x", "in") + pub("in", "y") + pub("in", "z"),
    noResponders("in", "1") + msg("in", 1, "y"),
  );
});

statement("56. no 503 for a queue subscription, a missing one, or one of somebody else", async (server) => {
  const client = await connect(server, { headers: true, no_responders: true });
  const other = await connect(server, { headers: true, no_responders: true });
  await other.answers("SUB in 9\r\n", "");
  await client.answers("SUB in q 1\r\n" + pub("nobody", "x", "in") + pub("nobody", "x", "missing"), "");
  await other.quiet();
});

statement("57. one connection too many gets INFO, then the error", async (server) => {
  const first = await connect(server);
  const second = await connect(server);
  const third = await connect(server);
  await third.closesWith("-ERR 'maximum connections exceeded'\r\n");
  await first.quiet();
  await second.quiet();
  if (isOracle) return;
  // A place that becomes free is given again.
  second.end();
  await second.closesWith("");
  await (await connect(server)).quiet();
}, { maxConnections: 2 });

statement("58. one subscription too many is refused until another one goes", async (server) => {
  const client = await connect(server, {});
  const error = "-ERR 'maximum subscriptions exceeded'\r\n";
  await client.answers("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n", error);
  // At the limit the error comes first, whatever else is to be said.
  await client.answers("SUB a 1\r\nSUB x..y 9\r\n", error + error);
  await client.answers("UNSUB 1\r\nSUB c 3\r\n" + pub("c", "x") + pub("a", "y"), msg("c", 3, "x"));
  await client.answers(
    "UNSUB 3 2\r\n" + pub("c", "x") + "SUB d 4\r\n" + pub("d", "z"),
    msg("c", 3, "x") + msg("d", 4, "z"),
  );
}, { maxSubscriptions: 2 });

statement("66. client_advertise changes host and port of INFO", async (server) => {
  const { info } = await connect(server);
  assert.equal(info.host, "example.org");
  assert.equal(info.port, 4333);
}, { clientAdvertise: "example.org:4333" });

statement("66. brackets of an IPv6 address in client_advertise are not part of it", async (server) => {
  const { info } = await connect(server);
  assert.equal(info.host, "2001:db8::1");
  assert.equal(info.port, 4333);
}, { clientAdvertise: "[2001:db8::1]:4333" });

statement("66. client_advertise without a port keeps the port", async (server) => {
  const { info } = await connect(server);
  assert.equal(info.host, "example.org");
  assert.equal(info.port, server.port);
}, { clientAdvertise: "example.org" });

statement("67. a half-closed client gets its answers", async (server) => {
  const client = await connect(server, {});
  client.write("SUB foo 1\r\n" + pub("foo", "hi") + "PING\r\n");
  client.end();
  await client.closesWith(msg("foo", 1, "hi") + "PONG\r\n");
});

statement("67. a half-closed client gets all of a long answer", async (server) => {
  const client = await connect(server, {});
  const payload = "x".repeat(500_000);
  client.write("SUB foo 1\r\n" + pub("foo", payload).repeat(12) + "PING\r\n");
  client.end();
  await client.closesWith(msg("foo", 1, payload).repeat(12) + "PONG\r\n");
});

statement("2. an error does not undo what came before it in the same segment", async (server) => {
  const witness = await quietClient(server);
  await witness.answers("SUB foo 1\r\n", "");
  const client = await connect(server, {});
  client.write(pub("foo", "x") + "PING\r\nFOO\r\n" + pub("foo", "y"));
  await client.closesWith("PONG\r\n" + UNKNOWN);
  await witness.answers("", msg("foo", 1, "x"));
});
