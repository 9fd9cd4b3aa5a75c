/** Which method decides (nats-server.md 6.1), nkeys (6.3), and users found by certificate (6.4, statement 86). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nkeys } from "@nats-io/nats-core";
import {
  Authenticator,
  type AuthResult,
  type Credentials,
  needsAuthentication,
} from "../../../src/nats/auth/authenticator.ts";
import {
  isSameName,
  parseDistinguishedName,
  readCertificateNames,
  subjectText,
} from "../../../src/nats/auth/certificate_names.ts";
import { decodeUserKey, importUserKey, verifyNonce } from "../../../src/nats/auth/nkey.ts";
import { type AuthOptions, AuthOptionsError, type ConnectionType } from "../../../src/nats/auth/types.ts";
import { NO_AUTH } from "../../helpers/auth_config.ts";
import { makeCertificate, type TestCertificateOptions } from "../../helpers/certificates.ts";

const fill = (bytes: Uint8Array) => void crypto.getRandomValues(bytes);
const NONCE = "abcdefghijklmno";

function make(options: Partial<AuthOptions>): Authenticator {
  return new Authenticator({ ...NO_AUTH, ...options }, fill);
}

/** Who comes in: `kind:name@account`, or "refused". */
function enter(auth: Authenticator, credentials: Credentials, tlsPeer?: Uint8Array): string {
  const result = auth.authenticate(credentials, { nonce: NONCE, connectionType: "STANDARD", tlsPeer });
  assert.ok(!(result instanceof Promise));
  return nameOf(result);
}

function nameOf(result: AuthResult): string {
  return result.ok ? `${result.user.kind}:${result.user.name}@${result.user.account}` : "refused";
}

test("nats 6.1: nothing configured needs no authentication", () => {
  assert.ok(!needsAuthentication(NO_AUTH));
  assert.ok(
    !needsAuthentication({ ...NO_AUTH, accounts: ["A"], token: "", noAuthUser: "", defaultPermissions: undefined }),
  );
  assert.ok(needsAuthentication({ ...NO_AUTH, token: "t" }));
  assert.ok(needsAuthentication({ ...NO_AUTH, user: { user: "a", password: "b" } }));
  assert.ok(needsAuthentication({ ...NO_AUTH, users: [{ user: "a", password: "b" }] }));
});

test("nats 6.1: users: name and password must fit; a token is refused", () => {
  const auth = make({
    users: [{ user: "alice", password: "a" }, { user: "bob", password: "b", account: "B" }],
    accounts: ["B"],
  });
  assert.equal(enter(auth, { user: "alice", pass: "a" }), "user:alice@$G");
  assert.equal(enter(auth, { user: "bob", pass: "b" }), "user:bob@B");
  for (
    const wrong of [
      {},
      { user: "alice" },
      { user: "alice", pass: "b" },
      { user: "carol", pass: "a" },
      { pass: "a" },
      { auth_token: "a" },
      { user: "__proto__", pass: "" },
    ]
  ) {
    assert.equal(enter(auth, wrong), "refused", JSON.stringify(wrong));
  }
});

test("nats 6.1: no_auth_user: only for clients without any credentials", () => {
  const auth = make({
    users: [{ user: "alice", password: "a" }, { user: "guest", password: "g" }],
    noAuthUser: "guest",
  });
  assert.equal(enter(auth, {}), "user:guest@$G");
  assert.equal(enter(auth, { user: "", pass: "" }), "user:guest@$G");
  assert.ok(auth.hasAnonymous);
  assert.equal(nameOf(auth.anonymous({ nonce: "", connectionType: "STANDARD" })), "user:guest@$G");
  for (const wrong of [{ user: "guest", pass: "x" }, { user: "x" }, { pass: "x" }, { auth_token: "x" }]) {
    assert.equal(enter(auth, wrong), "refused", JSON.stringify(wrong));
  }
  // Without nkeys in the options a key says nothing (reference 2.9.10).
  assert.equal(enter(auth, { nkey: "U" }), "user:guest@$G");
});

test("nats 6.1: token: right, wrong, missing, or given as user", () => {
  const auth = make({ token: "t0ken" });
  assert.equal(enter(auth, { auth_token: "t0ken" }), "token:@$G");
  for (const wrong of [{}, { auth_token: "" }, { auth_token: "x" }, { user: "t0ken" }, { user: "a", pass: "t0ken" }]) {
    assert.equal(enter(auth, wrong), "refused");
  }
});

test("nats 6.1: single user", () => {
  const auth = make({ user: { user: "a", password: "b" } });
  assert.equal(enter(auth, { user: "a", pass: "b" }), "user:a@$G");
  assert.equal(enter(auth, { user: "a", pass: "c" }), "refused");
  assert.equal(enter(auth, { user: "b", pass: "b" }), "refused");
  assert.equal(enter(auth, {}), "refused");
});

test("nats 6.1: plain secrets are noticed", () => {
  const hash = "$2a$11$" + "a".repeat(53);
  assert.ok(make({ token: "t" }).hasPlainSecrets);
  assert.ok(make({ users: [{ user: "a", password: "p" }] }).hasPlainSecrets);
  assert.ok(!make({ users: [{ user: "a", password: hash }] }).hasPlainSecrets);
  assert.ok(!make({ token: hash }).hasPlainSecrets);
});

test("nats 6.1: options that contradict each other are refused", () => {
  const users = [{ user: "a", password: "b" }];
  assert.throws(() => make({ users: [...users, ...users] }), AuthOptionsError);
  assert.throws(() => make({ users, noAuthUser: "x" }), AuthOptionsError);
  assert.throws(() => make({ users: [{ user: "a", password: "b", account: "X" }] }), AuthOptionsError);
  assert.throws(() => make({ nkeys: [{ nkey: "UABC" }] }), AuthOptionsError);
});

test("nats 6.2: users without permissions take the default ones", () => {
  const auth = make({
    users: [{ user: "a", password: "" }, { user: "b", password: "", permissions: { publish: { allow: ["own"] } } }],
    defaultPermissions: { publish: { allow: ["default"] } },
  });
  const rulesOf = (user: string) => {
    const result = auth.authenticate({ user }, { nonce: "", connectionType: "STANDARD" });
    assert.ok(!(result instanceof Promise) && result.ok && result.user.rules !== null);
    return result.user.rules;
  };
  assert.ok(rulesOf("a").allowsPublish("default") && !rulesOf("a").allowsPublish("own"));
  assert.ok(rulesOf("b").allowsPublish("own") && !rulesOf("b").allowsPublish("default"));
});

test("nats 6.5: a user may be limited to kinds of connections", () => {
  const limited = { password: "p", allowedConnectionTypes: ["WEBSOCKET", "MQTT"] } as const;
  const auth = make({ users: [{ user: "w", ...limited }, { user: "all", password: "p" }], noAuthUser: "w" });
  const enterBy = (user: string, connectionType: ConnectionType) => {
    const result = auth.authenticate({ user, pass: user === "" ? "" : "p" }, { nonce: "", connectionType });
    assert.ok(!(result instanceof Promise));
    return nameOf(result);
  };
  assert.equal(enterBy("w", "WEBSOCKET"), "user:w@$G");
  assert.equal(enterBy("w", "STANDARD"), "refused");
  assert.equal(enterBy("all", "STANDARD"), "user:all@$G");
  assert.equal(enterBy("", "STANDARD"), "refused");
  assert.equal(enterBy("", "WEBSOCKET"), "user:w@$G");
  assert.equal(nameOf(auth.anonymous({ nonce: "", connectionType: "STANDARD" })), "refused");
});

// nkeys ------------------------------------------------------------------------------------------------------------------

const pair = nkeys.createUser();
const publicKey = pair.getPublicKey();
const signature = pair.sign(new TextEncoder().encode(NONCE));
const base64 = btoa(String.fromCharCode(...signature));
const base64url = base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

test("nats 6.3: a public user key is decoded, anything else is not", () => {
  assert.equal(decodeUserKey(publicKey)?.length, 32);
  const other = publicKey.slice(0, 20) + (publicKey[20] === "A" ? "B" : "A") + publicKey.slice(21);
  const wrong = [
    "",
    "U",
    publicKey.slice(0, -1),
    publicKey + "A",
    publicKey.toLowerCase(),
    other,
    nkeys.createAccount().getPublicKey(),
    nkeys.createServer().getPublicKey(),
    new TextDecoder().decode(pair.getSeed()),
  ];
  for (const text of wrong) assert.equal(decodeUserKey(text), undefined, text);
});

test("nats 6.3: many keys of the reference's library are decoded", () => {
  for (let i = 0; i < 100; i++) assert.ok(importUserKey(nkeys.createUser().getPublicKey()) !== undefined);
});

test("nats 6.3: signatures in base64url and in standard base64", () => {
  const key = importUserKey(publicKey);
  assert.ok(key !== undefined);
  assert.ok(verifyNonce(key, NONCE, base64url));
  assert.ok(verifyNonce(key, NONCE, base64));
  assert.ok(!verifyNonce(key, "another nonce!!", base64url));
  const tampered = (base64url[0] === "A" ? "B" : "A") + base64url.slice(1);
  for (
    const bad of ["", "x", "====", base64url.slice(0, -2), base64url + "AAAA", tampered, "!".repeat(86), "A".repeat(86)]
  ) {
    assert.ok(!verifyNonce(key, NONCE, bad), bad);
  }
});

test("nats 6.1: a listed nkey enters with its signature only; it decides before the users", () => {
  const auth = make({
    users: [{ user: "a", password: "b" }],
    nkeys: [{ nkey: publicKey, account: "N" }],
    accounts: ["N"],
    noAuthUser: "a",
  });
  assert.ok(auth.offersNonce);
  assert.equal(enter(auth, { nkey: publicKey, sig: base64url }), `nkey:${publicKey}@N`);
  assert.equal(enter(auth, { nkey: publicKey, sig: base64 }), `nkey:${publicKey}@N`);
  assert.equal(enter(auth, { user: "a", pass: "b" }), "user:a@$G");
  assert.equal(enter(auth, {}), "user:a@$G");
  assert.equal(enter(auth, { nkey: publicKey }), "refused");
  assert.equal(enter(auth, { nkey: publicKey, sig: "x", user: "a", pass: "b" }), "refused");
  const stranger = nkeys.createUser();
  const sig = btoa(String.fromCharCode(...stranger.sign(new TextEncoder().encode(NONCE))));
  assert.equal(enter(auth, { nkey: stranger.getPublicKey(), sig }), "refused");
  assert.equal(enter(auth, { nkey: publicKey, sig }), "refused");
});

test("nats 6.3: without nkeys there is no nonce", () => {
  assert.ok(!make({ token: "t" }).offersNonce);
});

// Certificates -----------------------------------------------------------------------------------------------------------

function mapped(userNames: readonly string[], certificate: TestCertificateOptions): string {
  const auth = make({ users: userNames.map((user) => ({ user, password: "never asked" })), tlsMap: true });
  return enter(auth, { user: "ignored", pass: "x" }, makeCertificate(certificate).der);
}

test("nats 16: 86. a user is found by e-mail, DNS name, or subject", () => {
  const certificate = {
    commonName: "bob",
    organization: "Syn",
    emails: ["bob@example.com", "b@example.com"],
    dnsNames: ["host.example.com"],
  };
  assert.equal(mapped(["x", "b@example.com"], certificate), "user:b@example.com@$G");
  assert.equal(mapped(["host.example.com", "x"], certificate), "user:host.example.com@$G");
  assert.equal(mapped(["CN=bob,O=Syn"], certificate), "user:CN=bob,O=Syn@$G");
  assert.equal(mapped(["O=Syn,CN=bob"], certificate), "user:O=Syn,CN=bob@$G");
  assert.equal(mapped(["o = Syn, cn = bob"], certificate), "user:o = Syn, cn = bob@$G");
  // Names come in this order, whatever the order of the users.
  assert.equal(mapped(["CN=bob,O=Syn", "host.example.com", "bob@example.com"], certificate), "user:bob@example.com@$G");
  for (const unknown of ["bob", "CN=bob", "CN=BOB,O=Syn", "CN=bob,O=Syn,C=DE", "O=bob,CN=Syn", "*", ""]) {
    assert.equal(mapped([unknown], certificate), "refused", unknown);
  }
});

test("nats 16: 86. values with separators are compared as values", () => {
  const certificate = { commonName: "bob+x=y", organization: "Syn, Inc" };
  assert.equal(mapped(["CN=bob\\+x=y,O=Syn\\, Inc"], certificate), "user:CN=bob\\+x=y,O=Syn\\, Inc@$G");
  assert.equal(mapped(["CN=bob\\2Bx=y,O=Syn\\2C Inc"], certificate), "user:CN=bob\\2Bx=y,O=Syn\\2C Inc@$G");
  assert.equal(mapped(["CN=bob+x=y,O=Syn, Inc"], certificate), "refused");
  assert.equal(mapped(["CN=jörg"], { commonName: "jörg" }), "user:CN=jörg@$G");
});

test("nats 16: 86. no certificate, or something that is none, is refused", () => {
  const auth = make({ users: [{ user: "CN=bob", password: "" }], tlsMap: true, noAuthUser: "CN=bob" });
  assert.equal(enter(auth, {}), "refused");
  assert.equal(enter(auth, { user: "CN=bob", pass: "" }), "refused");
  const { der } = makeCertificate({ commonName: "bob" });
  for (let length = 0; length < der.length; length++) assert.equal(enter(auth, {}, der.subarray(0, length)), "refused");
  assert.equal(enter(auth, {}, der), "user:CN=bob@$G");
});

test("nats 6.4: damaged certificates are refused or read, nothing else", () => {
  const { der } = makeCertificate({ commonName: "bob", organization: "Syn", emails: ["a@b.c"] });
  for (let at = 0; at < der.length; at++) {
    for (const value of [0, 0x7f, 0x80, 0x84, 0xff]) {
      const damaged = der.slice();
      damaged[at] = value;
      readCertificateNames(damaged);
    }
  }
});

test("nats 6.4: the subject as RFC 2253 writes it", () => {
  const names = readCertificateNames(makeCertificate({ commonName: "#bob ", organization: 'S"y' }).der);
  assert.equal(subjectText(names?.subject ?? []), 'CN=\\#bob\\ ,O=S\\"y');
});

test("nats 6.4: distinguished names", () => {
  assert.deepEqual(parseDistinguishedName("CN=a+OU=b, O = c d ,DC=x"), [
    [{ type: "CN", value: "a" }, { type: "OU", value: "b" }],
    [{ type: "O", value: "c d" }],
    [{ type: "DC", value: "x" }],
  ]);
  for (const text of ["", "bob", "=x", "CN=a,", "CN=a,b", "1.=x", "a b=c", "CN=a\\"]) {
    assert.equal(parseDistinguishedName(text), undefined, text);
  }
  const name = (text: string) => parseDistinguishedName(text) ?? [];
  assert.ok(isSameName(name("CN=a,O=b"), name("O=b,CN=a")));
  assert.ok(isSameName(name("2.5.4.3=a"), name("CN=a")));
  assert.ok(!isSameName(name("CN=a,CN=a"), name("CN=a")));
  assert.ok(!isSameName(name("CN=a,O=b"), name("CN=a+O=b")));
});
