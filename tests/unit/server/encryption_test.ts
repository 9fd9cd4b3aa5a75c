import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncryptionOptions } from "../../../src/config/options.ts";
import { cipherOf, ENCRYPTION_KEY_VARIABLE, KEY_STAND_IN, takeEncryptionKey } from "../../../src/server/encryption.ts";
import { RecordingLog } from "../../helpers/file_store.ts";

const ON: EncryptionOptions = { enabled: true, cipher: "" };
const OFF: EncryptionOptions = { enabled: false, cipher: "" };

function take(variable: string | undefined, given: string, encryption = ON) {
  const variables = new Map([["OTHER", "kept"]]);
  if (variable !== undefined) variables.set(ENCRYPTION_KEY_VARIABLE, variable);
  const log = new RecordingLog();
  const key = takeEncryptionKey(
    { env: (name) => variables.get(name), unsetEnv: (name) => void variables.delete(name) },
    given,
    encryption,
    log,
  );
  assert.deepEqual([...variables], [["OTHER", "kept"]], "the variable is gone, whatever came of it");
  for (const line of log.lines) assert.doesNotMatch(line, /from-/);
  return { key, lines: log.lines };
}

test("stores 8.1: the environment beats the option if it is not empty", () => {
  assert.equal(ENCRYPTION_KEY_VARIABLE, "NATS_STREAMING_ENCRYPTION_KEY");
  assert.deepEqual(take(undefined, ""), { key: "", lines: [] });
  assert.deepEqual(take(undefined, "from-option"), { key: "from-option", lines: [] });
  assert.deepEqual(take("", "from-option"), { key: "from-option", lines: [] });
  assert.deepEqual(take("from-environment", ""), { key: "from-environment", lines: [] });
  assert.deepEqual(take("from-both", "from-both"), { key: "from-both", lines: [] });
  // A file that names the variable has nothing of its own that could be passed over.
  assert.deepEqual(take("from-environment", KEY_STAND_IN), { key: "from-environment", lines: [] });
  assert.deepEqual(take("from-environment", "from-option"), {
    key: "from-environment",
    lines: [
      "[INF] The encryption key of NATS_STREAMING_ENCRYPTION_KEY is used, not the one of the command line or the file",
    ],
  });
});

test("stores 8.1: the environment alone switches nothing on, and a warning says so", () => {
  assert.deepEqual(take("from-environment", "", OFF).lines, [
    "[WRN] NATS_STREAMING_ENCRYPTION_KEY is set, but messages are stored in clear: the variable alone switches nothing " +
    "on. Give -encrypt, too, or unset it",
  ]);
  assert.deepEqual(take(undefined, "", OFF).lines, []);
});

test("stores 8.1: without a name the cipher is AES on x86 processors, CHACHA elsewhere", () => {
  const table = ["x64", "ia32", "arm64", "arm", "riscv64", "s390x"].map((processor) => cipherOf(ON, processor));
  assert.deepEqual(table, ["AES", "AES", "CHACHA", "CHACHA", "CHACHA", "CHACHA"]);
  for (const processor of ["x64", "arm64"]) {
    assert.equal(cipherOf({ enabled: true, cipher: "AES" }, processor), "AES");
    assert.equal(cipherOf({ enabled: true, cipher: "CHACHA" }, processor), "CHACHA");
  }
});
