/** The file that lists the ports (operations.md 4.3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RuntimeError } from "../../../src/runtime/types.ts";
import { type OpenPort, PortsFile, portsText } from "../../../src/server/ports_file.ts";

const NATS: OpenPort = { kind: "nats", scheme: "nats", host: "127.0.0.1", port: 21_050 };
const MONITOR: OpenPort = { kind: "monitoring", scheme: "http", host: "127.0.0.1", port: 21_051 };

function fileIn(failing = false) {
  const contents = new Map<string, string>();
  const errors: string[] = [];
  const unused = () => assert.fail("only errors are told");
  const log = {
    debugEnabled: false,
    traceEnabled: false,
    info: unused,
    warn: unused,
    fatal: unused,
    debug: unused,
    trace: unused,
    error: (text: string) => void errors.push(text),
  };
  const files = {
    writeText(path: string, text: string) {
      if (failing) throw new RuntimeError("PERMISSION_DENIED", "permission denied");
      contents.set(path, text);
    },
    remove(path: string) {
      if (failing) throw new RuntimeError("PERMISSION_DENIED", "permission denied");
      if (!contents.delete(path)) throw new RuntimeError("NOT_FOUND", "no such file");
    },
  };
  return { contents, errors, file: new PortsFile(files, log, { programName: "nats-streaming-server", pid: 77 }) };
}

test("operations 4.3: the text, in the order of the reference whatever the order of the ports", () => {
  const text = '{"nats":["nats://127.0.0.1:21050"],"monitoring":["http://127.0.0.1:21051"]}';
  assert.equal(portsText([MONITOR, NATS]), text);
  const secure = [{ ...NATS, scheme: "tls", host: "::1" }, { ...MONITOR, kind: "websocket", scheme: "wss" } as const];
  assert.equal(portsText(secure), '{"nats":["tls://[::1]:21050"],"websocket":["wss://127.0.0.1:21051"]}');
});

test("operations 4.3: a port on all addresses is listed once for each", () => {
  const addresses = () => ["127.0.0.1", "::1", "10.0.0.5"];
  const on = (host: string) => JSON.parse(portsText([{ ...NATS, host }], addresses)).nats;
  assert.deepEqual(on("0.0.0.0"), ["nats://127.0.0.1:21050", "nats://10.0.0.5:21050"]);
  assert.deepEqual(on("::"), ["nats://127.0.0.1:21050", "nats://[::1]:21050", "nats://10.0.0.5:21050"]);
});

test("operations 4.3: <exe>_<pid>.ports is removed at the end, once, and moves with the directory", () => {
  const { file, contents, errors } = fileIn();
  file.write("one", [NATS]);
  assert.deepEqual([...contents.keys()], ["one/nats-streaming-server_77.ports"]);
  file.write("two", [NATS]);
  assert.deepEqual([...contents.keys()], ["two/nats-streaming-server_77.ports"]);
  file.remove();
  file.remove();
  assert.equal(contents.size, 0);
  file.write("one", [NATS]);
  file.write("", [NATS]);
  assert.equal(contents.size, 0);
  // Somebody was faster.
  file.write("one", [NATS]);
  contents.clear();
  file.remove();
  assert.deepEqual(errors, []);
});

test("operations 4.3: a file that cannot be written is a line of the log, and no reason to stop", () => {
  const { file, errors } = fileIn(true);
  file.write("one", [NATS]);
  file.remove();
  assert.deepEqual(errors, ["Error writing ports file (one/nats-streaming-server_77.ports): permission denied"]);
});
