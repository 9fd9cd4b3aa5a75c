import assert from "node:assert/strict";
import { test } from "node:test";
import { isPublicKey } from "../../../src/config/nkey_text.ts";
import { accepted, optionsOf, refusal } from "./config_support.ts";

const USER_KEY = "UCARKS2E3KVB7YORL2DG34XLT7PUCOL2SVM7YXV6ETHLW6Z46UUJ2VZ3";
const ACCOUNT_KEY = "AC5GRL36RQV7MJ2GT6WQSCKDKJKYTK4T2LGLWJ2SEJKRDHFOQQWGGFQL";

function reason(text: string): string {
  return (refusal(text)[0] ?? "").replace(/^f\.conf:\d+:\d+: /, "");
}

test("operations 7.1: a single user, or a token, with a time-out", () => {
  for (const block of ["user: a, password: b", "username: a, pass: b"]) {
    assert.deepEqual(optionsOf(`authorization { ${block} }`).auth, {
      users: [{ user: "a", password: "b" }],
      nkeys: [],
      token: "",
      timeoutMs: 2_000,
      noAuthUser: "",
      defaultPermissions: undefined,
      accounts: [],
    });
  }
  const { auth, nats } = optionsOf("authorization { token: t, timeout: 0.5 }");
  assert.deepEqual([auth.token, auth.timeoutMs, nats.authTimeoutMs], ["t", 500, 500]);
  assert.equal(optionsOf("authorization { token: t, timeout: 3 }").auth.timeoutMs, 3_000);
  assert.equal(optionsOf("authorization { token: t, timeout: '4s' }").auth.timeoutMs, 4_000);
  assert.equal(optionsOf("authorization { token: t, timeout: 0 }").auth.timeoutMs, 2_000);
});

test("operations 7.1: bcrypt hashes need no quotes when they begin with $2a$", () => {
  const hash = "$2a$11$aaaaaaaaaaaaaaaaaaaaaa";
  assert.equal(optionsOf(`authorization { user: a, password: ${hash} }`).auth.users[0]?.password, hash);
});

test("operations 7.1: combinations that are refused", () => {
  const users = "users: [ {user: x, password: y} ]";
  assert.equal(reason("authorization { user: a, password: b, token: t }"), "Cannot have a user/pass and token");
  assert.equal(
    reason(`authorization { user: a, password: b, ${users} }`),
    "Can not have a single user/pass and a users array",
  );
  assert.equal(reason(`authorization { token: a, ${users} }`), "Can not have a token and a users array");
  assert.equal(
    reason("authorization { users: [ {user: x, password: y}, {user: x, password: z} ] }"),
    'Duplicate user "x" detected',
  );
  assert.equal(
    reason(`authorization { ${users} }\naccounts { A { ${users} } }`),
    'Duplicate user "x" detected',
  );
  assert.equal(
    reason("authorization { token: t }\naccounts { A { users: [ {user: x, password: y} ] } }"),
    "Can not have a token and a users array",
  );
  // The reference lets everybody in.
  assert.equal(reason("authorization { password: b }"), "a password without a user");
});

test("operations 7.1: a password may be a variable for the list of users, as in the reference's own examples", () => {
  const { auth } = optionsOf("authorization { PASS: secret, users: [ {user: x, password: $PASS} ] }");
  assert.deepEqual(auth.users.map(({ user, password }) => ({ user, password })), [{ user: "x", password: "secret" }]);
  assert.equal(auth.token, "");
});

test("operations 7.1: users with permissions; defaults apply to those who have none, wherever they stand", () => {
  const { auth } = optionsOf(`authorization {
    users: [
      {user: a, password: 1x, permissions: { publish: "p", subscribe: [s, "q v1.*" ] } }
      {username: b, pass: y, permission { pub { allow: [a, "b.>"], deny: c }, sub { deny: "d.*" } } }
      {user: c, password: "", allowed_connection_types: [standard, "WEBSOCKET"] }
      {nkey: ${USER_KEY}, clients: MQTT}
    ]
    default_permissions { publish { deny: ["x"] } }
  }`);
  const defaults = { publish: { deny: ["x"] } };
  assert.deepEqual(auth.users, [
    { user: "a", password: "1x", permissions: { publish: { allow: ["p"] }, subscribe: { allow: ["s", "q v1.*"] } } },
    {
      user: "b",
      password: "y",
      permissions: { publish: { allow: ["a", "b.>"], deny: ["c"] }, subscribe: { deny: ["d.*"] } },
    },
    { user: "c", password: "", permissions: defaults, allowedConnectionTypes: ["STANDARD", "WEBSOCKET"] },
  ]);
  assert.deepEqual(auth.nkeys, [{ nkey: USER_KEY, permissions: defaults, allowedConnectionTypes: ["MQTT"] }]);
  assert.deepEqual(auth.defaultPermissions, defaults);
});

test("operations 7.1, nats-server 6.2: allow_responses turns the publish list off unless one is given", () => {
  const permissions = (text: string) =>
    optionsOf(`authorization { users: [ {user: a, password: b, permissions: { ${text} }} ] }`).auth.users[0]
      ?.permissions;
  assert.deepEqual(permissions("allow_responses: true"), {
    publish: { allow: [] },
    allowResponses: { max: 1, expiresMs: 120_000 },
  });
  assert.deepEqual(permissions("publish: p, publish_allow_responses { max: 5, expires: '1m' }"), {
    publish: { allow: ["p"] },
    allowResponses: { max: 5, expiresMs: 60_000 },
  });
  assert.deepEqual(permissions("publish { deny: p }, allow_responses { max_msgs: 0, ttl: '0s' }"), {
    publish: { deny: ["p"], allow: [] },
    allowResponses: { max: 1, expiresMs: 120_000 },
  });
  assert.deepEqual(permissions("allow_responses: { max: -1 }")?.allowResponses, { max: -1, expiresMs: 120_000 });
  assert.deepEqual(permissions("allow_responses: false, publish {}"), {});
});

test("operations 7.1: errors of users and permissions, and no password in any of them", () => {
  const user = (text: string) => reason(`authorization { users: [ {user: a, password: s3cret, ${text}} ] }`);
  const cases = [
    [user("permissions: 5"), "Expected permissions to be a map/struct, got int64"],
    [user("permissions { foo: 1 }"), 'Unknown field "foo" parsing permissions'],
    [
      user("permissions { publish { foo: 1 } }"),
      "Unknown field name \"foo\" parsing subject permissions, only 'allow' or 'deny' are permitted",
    ],
    [
      user("permissions { publish: 5 }"),
      "Expected subject permissions to be a subject, or array of subjects, got int64",
    ],
    [user("permissions { publish: [5, 6 ] }"), "Subject in permissions array cannot be cast to string"],
    [user("permissions { publish: a..b }"), 'subject "a..b" is not a valid subject'],
    [user('permissions { subscribe: "a b c" }'), 'subject "a b c" is not a valid subject'],
    [user('permissions { subscribe: "a. b" }'), 'subject "a." is not a valid subject'],
    [
      user("permissions { allow_responses: 5 }"),
      "error parsing response permissions, expected a boolean or a map",
    ],
    [user("permissions { allow_responses { expires: 5 } }"), "error parsing expires, not a duration string"],
    [
      user("permissions { allow_responses { expires: '5' } }"),
      'error parsing expires: time: missing unit in duration "5"',
    ],
    [user("allowed_connection_types: [FOO]"), 'invalid connection types ["FOO"]'],
    [user("clients: 5"), "error parsing allowed connection types: unsupported type int64"],
    [user("foo: 1"), 'unknown field "foo"'],
    [user(`nkey: ${USER_KEY}`), "Nkey users do not take usernames or passwords"],
    [reason("authorization { users: [ {nkey: UABC} ] }"), "Not a valid public nkey for a user"],
    [reason("authorization { users: [ {password: s3cret} ] }"), "User entry requires a user"],
    [reason("authorization { users: s3cret }"), "Expected users field to be an array, got string"],
    [reason("authorization { users: [ s3cret ] }"), "Expected user entry to be a map/struct, got string"],
    [reason("authorization: s3cret"), "interface conversion: interface {} is string, not map[string]interface {}"],
    [
      reason("authorization { user: a, password: 1234 }"),
      "interface conversion: interface {} is int64, not string",
    ],
  ];
  for (const [found, expected] of cases) {
    assert.equal(found, expected);
    assert.equal(found?.includes("s3cret"), false);
  }
});

test("operations 7.1: accounts, as names or with users", () => {
  assert.deepEqual(optionsOf("accounts: [A, B]").auth.accounts, ["A", "B"]);
  const { auth } = optionsOf(`accounts {
    A { nkey: ${ACCOUNT_KEY}, users: [ {user: a, password: x} ], default_permissions { publish: p } }
    B { users: [ {nkey: ${USER_KEY}} ], imports: [], jetstream: false }
  }
  no_auth_user: a`);
  assert.deepEqual(auth.accounts, ["A", "B"]);
  assert.deepEqual(auth.users, [{
    user: "a",
    password: "x",
    account: "A",
    permissions: { publish: { allow: ["p"] } },
  }]);
  assert.deepEqual(auth.nkeys, [{ nkey: USER_KEY, account: "B" }]);
  assert.equal(auth.noAuthUser, "a");
});

test("operations 7.1, nats-server 6.6: parts of accounts that are not there are refused, not dropped", () => {
  assert.equal(reason("accounts: ['$G']"), '"$G" is a Reserved Account');
  assert.equal(reason("accounts: [A, A]"), "Duplicate Account Entry: A");
  assert.equal(reason("accounts { A: 5 }"), "Expected map entries for accounts");
  assert.equal(reason("accounts { A { foo: 1 } }"), 'unknown field "foo"');
  assert.equal(reason("accounts { A { nkey: x } }"), 'Not a valid public nkey for an account: "x"');
  for (
    const key of [
      "imports: [ {stream: x} ]",
      "exports: [ {service: x} ]",
      "mappings { a: b }",
      "limits { max_payload: 5 }",
    ]
  ) {
    assert.match(reason(`accounts { A { ${key} } }`), /^"\w+" is not available in this version of stanchion: /, key);
  }
  assert.match(reason("accounts { A { jetstream: enabled } }"), /JetStream is not part of this product/);
});

test("operations 7.1: no_auth_user must be there", () => {
  assert.deepEqual(refusal("no_auth_user: x"), ['no_auth_user: "x" present, but users/nkeys are not defined']);
  assert.deepEqual(refusal("no_auth_user: x, authorization { users: [ {user: a, password: b} ] }"), [
    'no_auth_user: "x" not present as user or nkey in authorization block or account configuration',
  ]);
});

test("settings that the reference ignores although they look like protection are told", () => {
  const single = accepted("authorization { user: a, password: b, permissions { publish: x } }");
  assert.equal(single.options.auth.users[0]?.permissions, undefined);
  assert.match(single.notes[0]?.text ?? "", /permissions do not apply to a single user/);
  const empty = accepted("authorization { users: [] }");
  assert.match(empty.notes[0]?.text ?? "", /the list of users is empty: everybody may connect/);
});

test("nats-server 6.3: public keys are checked by prefix and checksum", () => {
  assert.equal(isPublicKey(USER_KEY, "user"), true);
  assert.equal(isPublicKey(USER_KEY, "account"), false);
  assert.equal(isPublicKey(ACCOUNT_KEY, "account"), true);
  assert.equal(isPublicKey(USER_KEY.replace("KS2E", "KS2F"), "user"), false);
  assert.equal(isPublicKey(USER_KEY.toLowerCase(), "user"), false);
  assert.equal(isPublicKey("U", "user"), false);
});
