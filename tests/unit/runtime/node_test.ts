/** Small pure parts under src/runtime/node. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runtimeCode, toConnectError, toListenError } from "../../../src/runtime/node/errors.ts";
import { programNameOf } from "../../../src/runtime/node/process.ts";
import {
  ListenerCount,
  parseDescriptorLimit,
  SocketCount,
  socketCountWithin,
} from "../../../src/runtime/node/socket_rules.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the system says it`), { code });
}

test("runtime 1.6: the descriptor limit is the soft one", () => {
  const text = "Limit                     Soft Limit           Hard Limit           Units\n" +
    "Max processes             62000                62001                processes\n" +
    "Max open files            20000                30000                files\n";
  assert.equal(parseDescriptorLimit(text), 20_000);
  assert.ok(parseDescriptorLimit(text.replace("20000", "unlimited")) >= 1 << 20);
  assert.ok(Number.isSafeInteger(parseDescriptorLimit(text.replace("20000", "9223372036854775807"))));
  assert.equal(parseDescriptorLimit(""), 1024);
  assert.deepEqual([0, 1, 2, 100, 256, 257, 1024].map(socketCountWithin), [1, 1, 1, 50, 128, 129, 896]);
});

test("runtime 1.6: a listener is bounded by its own count and by that of the process", () => {
  const process = new SocketCount(3);
  const first = new ListenerCount(2, process);
  const second = new ListenerCount(5, process);
  assert.deepEqual([first.take(), first.take(), first.take()], [true, true, false]);
  assert.deepEqual([second.take(), second.take()], [true, false]);
  first.release();
  assert.deepEqual([second.take(), first.take()], [true, false]);
  assert.equal(process.value, 3);
});

test("runtime 1.6: listen errors say what to do", () => {
  const busy = toListenError(systemError("EADDRINUSE"), "::", 4222);
  assert.equal(busy.code, "ADDRESS_IN_USE");
  assert.match(busy.message, /^Cannot listen on \[::\]:4222: .*choose another port/);
  assert.equal(toListenError(systemError("EACCES"), "0.0.0.0", 80).code, "PERMISSION_DENIED");
  assert.equal(toListenError(systemError("EADDRNOTAVAIL"), "192.0.2.1", 1).code, "ADDRESS_NOT_AVAILABLE");
  assert.equal(toListenError(systemError("ENOTFOUND"), "no.such", 1).code, "ADDRESS_NOT_AVAILABLE");
  assert.equal(toListenError(systemError("EIO"), "127.0.0.1", 1).code, "OTHER");
});

test("runtime 15: errors keep their cause and get a stable code", () => {
  const cause = systemError("ECONNREFUSED");
  const error = toConnectError(cause, "127.0.0.1", 4222);
  assert.equal(error.code, "CONNECTION_REFUSED");
  assert.equal(error.cause, cause);
  assert.equal(runtimeCode(error), "CONNECTION_REFUSED");
  assert.equal(runtimeCode(systemError("ENOSPC")), "NO_SPACE");
  assert.equal(runtimeCode("text"), "OTHER");
  assert.equal(runtimeCode(undefined), "OTHER");
});

test("runtime 10: the program's name is that of the path it was started with", () => {
  assert.equal(programNameOf("./nats-streaming-server"), "nats-streaming-server");
  assert.equal(programNameOf("/usr/bin/stanchion"), "stanchion");
  assert.equal(programNameOf("C:\\tools\\nats-server.EXE"), "nats-server");
});
