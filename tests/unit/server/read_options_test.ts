/** The command line of this process, and what its environment may hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RuntimeError } from "../../../src/runtime/types.ts";
import { optionsReader } from "../../../src/server/read_options.ts";
import type { Runtime } from "../../../src/runtime/types.ts";

/** A process with arguments, variables and files. */
function processOf(args: readonly string[], env: Record<string, string>, files: Record<string, string | RuntimeError>) {
  const host = {
    process: {
      args,
      programName: "stanchion",
      env: (name: string) => env[name],
      unsetEnv: (name: string) => void delete env[name],
    },
    files: {
      readText(path: string) {
        const text = files[path] ?? new RuntimeError("NOT_FOUND", "gone");
        if (typeof text !== "string") throw text;
        return text;
      },
    },
  };
  return optionsReader(host as unknown as Runtime);
}

test("the console token: the variable beats the file, is gone from the environment, and a reload still knows it", () => {
  const env: Record<string, string> = { STANCHION_CONSOLE_TOKEN: "from-the-environment" };
  const files = { "f.conf": "streaming { console { token: from-the-file, browse: true } }" };
  const read = processOf(["-c", "f.conf"], env, files);
  assert.deepEqual(env, {});
  for (let round = 0; round < 2; round++) {
    const command = read();
    assert.ok(command.kind === "run");
    assert.deepEqual(command.options.console, { enabled: true, token: "from-the-environment", browse: true });
    const texts = command.notes.map(({ text }) => text);
    assert.deepEqual(texts, ["The console token of STANCHION_CONSOLE_TOKEN is used, not the one of f.conf:1:22"]);
  }
});

test("the console token: none, one of the file alone, the same in both", () => {
  const file = { "f.conf": "streaming { console { token: same } }" };
  const run = (env: Record<string, string>, args: readonly string[] = ["-c", "f.conf"]) => {
    const command = processOf(args, env, file)();
    assert.ok(command.kind === "run");
    return [command.options.console.token, command.notes.length];
  };
  assert.deepEqual(run({}, []), ["", 0]);
  assert.deepEqual(run({ STANCHION_CONSOLE_TOKEN: "" }), ["same", 0]);
  assert.deepEqual(run({ STANCHION_CONSOLE_TOKEN: "same" }), ["same", 0]);
  assert.deepEqual(run({ STANCHION_CONSOLE_TOKEN: "only" }, []), ["only", 0]);
});

test("operations 1.5: a file that cannot be read, in the words of the system; it is read anew each time", () => {
  const files: Record<string, string | RuntimeError> = {};
  const read = processOf(["-c", "f.conf"], {}, files);
  const reason = () => {
    const command = read();
    return command.kind === "error" ? command.messages[0] : command.kind;
  };
  assert.equal(reason(), "open f.conf: no such file or directory");
  files["f.conf"] = new RuntimeError("PERMISSION_DENIED", "no");
  assert.equal(reason(), "open f.conf: permission denied");
  files["f.conf"] = "port: 5";
  assert.equal(reason(), "run");
});

test("operations 2.8: a file that names the variable of the key is understood again when the variable is gone", () => {
  const env: Record<string, string> = { NATS_STREAMING_ENCRYPTION_KEY: "secret", OTHER: "o" };
  const files = { "f.conf": "streaming { encryption_key: $NATS_STREAMING_ENCRYPTION_KEY, id: $OTHER }" };
  const read = processOf(["-c", "f.conf"], env, files);
  delete env["NATS_STREAMING_ENCRYPTION_KEY"];
  const command = read();
  assert.ok(command.kind === "run");
  assert.equal(command.options.clusterId, "o");
  assert.ok(!JSON.stringify(command).includes("secret"));
});
