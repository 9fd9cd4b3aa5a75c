/** Options of encryption at rest (stores.md 8.1, 8.5; operations.md 1.3, 2.4). The key is beside the options, never in them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { planReload } from "../../../src/config/reload.ts";
import { accepted, commandLine, refusal } from "./config_support.ts";

const SECRET = "open-sesame";

test("stores 8.1: encrypt or a key switches encryption on; flags and keys of the file alike", () => {
  const cases: readonly (readonly [file: string, args: readonly string[], enabled: boolean, key: string])[] = [
    ["", [], false, ""],
    ["", ["-encrypt"], true, ""],
    ["", ["-encrypt=false"], false, ""],
    ["", ["-encryption_key", SECRET], true, SECRET],
    ["", ["-encrypt=false", "-encryption_key", SECRET], true, SECRET],
    ["", ["-encryption_key="], false, ""],
    ["", ["-encryption_cipher", "AES"], false, ""],
    ["encrypt: true", [], true, ""],
    [`encryption_key: "${SECRET}"`, [], true, SECRET],
    [`encrypt: false, encryption_key: "${SECRET}"`, [], true, SECRET],
    [`ENCRYPTION_KEY: "${SECRET}"`, ["-encryption_key", "other"], true, "other"],
    [`encryption_key: "${SECRET}"`, ["-encryption_key", ""], false, ""],
    ["encrypt: true", ["-encrypt=false"], false, ""],
  ];
  for (const [file, args, enabled, key] of cases) {
    const parsed = accepted(`streaming { ${file} }`, ["-c", "f.conf", ...args]);
    assert.equal(parsed.options.encryption.enabled, enabled, `${file} ${args.join(" ")}`);
    assert.equal(parsed.encryptionKey, key, `${file} ${args.join(" ")}`);
  }
});

test("stores 8.1: the cipher in any case; an unknown one is the reference's error, if encryption is on", () => {
  for (const [name, cipher] of [["aes", "AES"], ["AES", "AES"], ["ChaCha", "CHACHA"], ["", ""]] as const) {
    assert.equal(
      accepted(`streaming { encrypt: true, encryption_cipher: "${name}" }`).options.encryption.cipher,
      cipher,
    );
    const flags = ["-c", "f.conf", "-encrypt", `-encryption_cipher=${name}`];
    assert.equal(accepted("port: 1", flags).options.encryption.cipher, cipher);
  }
  for (const name of ["DES", "AES ", "AES256"]) {
    const parsed = commandLine(`streaming { encryption_cipher: "${name}", encryption_key: k }`);
    assert.equal(parsed.kind, "error");
    if (parsed.kind !== "error") continue;
    assert.deepEqual(parsed.messages, ["encryption cipher not supported"]);
    assert.deepEqual([parsed.exitCode, parsed.startFailure], [1, "streaming"]);
    assert.equal(accepted(`streaming { encryption_cipher: "${name}" }`).options.encryption.enabled, false);
  }
});

test("stores 8.5: a key on the command line gets a warning; the key is in no option, note or error", () => {
  const outcomes = [
    accepted("port: 1", ["-c", "f.conf", "-encryption_key", SECRET]),
    accepted(`streaming { encryption_key: "${SECRET}" }`),
    accepted(`streaming { encryption_key: "${SECRET}" }`, ["-c", "f.conf", "-encryption_key", "another"]),
    accepted('streaming { encryption_key: "another" }', ["-c", "f.conf", "-encryption_key", SECRET]),
  ];
  for (const { options, notes, warnings } of outcomes) {
    assert.doesNotMatch(JSON.stringify([options, notes, warnings]), /open-sesame|another"/);
  }
  const [flag, file, both] = outcomes.map(({ notes }) => notes.filter(({ text }) => /key/.test(text)));
  const warning = {
    level: "warning",
    text: "-encryption_key on the command line can be read by everybody who may list the processes of this machine. " +
      "Give the key in the environment variable NATS_STREAMING_ENCRYPTION_KEY, together with -encrypt",
  };
  assert.deepEqual(flag, [warning]);
  assert.deepEqual(file, []);
  assert.deepEqual(both, [
    { level: "info", text: "-encryption_key on the command line overrides the one of f.conf:1:12" },
    warning,
  ]);
  const lines = refusal(`streaming { encryption_key: 12345 }`);
  assert.equal(lines[0], 'parameter "encryption_key" value is expected to be string, got int64');
  assert.doesNotMatch(lines.join(), /12345/);
});

test("operations 2.8: encryption is read at start only; a reload names what differs, and the key nowhere", () => {
  const context = { boundPort: 4222, isTlsRenewed: false };
  const old = accepted("streaming { encrypt: true }").options;
  const wanted = accepted(`streaming { encryption_cipher: CHACHA, encryption_key: "${SECRET}" }`).options;
  const plan = planReload(old, wanted, context);
  assert.ok(plan.ok);
  assert.deepEqual(plan.keptNames, ["encryption_cipher"]);
  assert.deepEqual(plan.options.encryption, old.encryption);
  const off = planReload(old, accepted("streaming { encrypt: false }").options, context);
  assert.ok(off.ok);
  assert.deepEqual(off.keptNames, ["encrypt"]);
});
