/** `--signal` (operations.md 4.2). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { createProcessTable, parsePs, type ProcessEntry } from "../../../src/runtime/node/processes.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { RuntimeError } from "../../../src/runtime/types.ts";
import { signalProcess } from "../../../src/server/signal_process.ts";

/** Processes as `PID NAME ARG...` texts, and the files `x.pid`: 300 and `bad.pid`: no number. */
async function send(text: string, processes: readonly string[] = [], own = "stanchion") {
  const sent: string[] = [];
  const entries: ProcessEntry[] = processes.map((line) => {
    const [pid, programName = "", ...args] = line.split(" ");
    return { pid: Number(pid), programName, args };
  });
  const error = await signalProcess(text, {
    files: {
      readText(path) {
        if (path === "x.pid") return "300\n";
        if (path === "bad.pid") return "none";
        throw new RuntimeError("NOT_FOUND", "no such file");
      },
    },
    processes: {
      hasSignals: true,
      list: () => Promise.resolve(entries),
      send(pid, signal) {
        if (pid === 404) throw new RuntimeError("NOT_FOUND", "no such process");
        sent.push(`${signal} ${pid}`);
      },
    },
    pid: 1000,
    programName: own,
    isCommand: ({ args }) => args[0] === "check",
  });
  return error ?? sent.join();
}

test("operations 4.2: what each word sends, by pid or by the file that holds it", async () => {
  assert.equal(await send("stop=300"), "SIGKILL 300");
  assert.equal(await send("quit=300"), "SIGINT 300");
  assert.equal(await send("reopen=300"), "SIGUSR1 300");
  assert.equal(await send("reload=300"), "SIGHUP 300");
  assert.equal(await send("term=300"), "SIGTERM 300");
  assert.equal(await send("ldm=300"), "SIGUSR2 300");
  // The reference refuses a file whose number ends in a line end, as editors leave it.
  assert.equal(await send("quit=x.pid"), "SIGINT 300");
});

test("operations 13.20, 4.2: the reference's texts", async () => {
  assert.match(await send("bogus=1"), /^unknown signal "bogus"\nKnown are stop, quit, /);
  assert.match(await send("constructor=1"), /^unknown signal "constructor"\n/);
  assert.equal(await send("stop=abc"), "invalid pid: abc");
  assert.equal(await send("stop=bad.pid"), "invalid pid: none");
  assert.equal(await send("stop=1=2"), "invalid signal parameters: [2]");
  assert.equal(await send("stop=404"), "no such process");
});

test("operations 4.2: numbers that would reach more than one process are no pids", async () => {
  for (const text of ["0", "-1", "-300", "1_0", "0x10", "99999999999"]) {
    assert.equal(await send(`stop=${text}`), `invalid pid: ${text}`);
  }
});

test("operations 4.2, 14.14: without a pid the only server is found, under any name of the program", async () => {
  assert.equal(await send("quit", ["7 bash -c stanchion", "8 stanchion -p 4222"]), "SIGINT 8");
  assert.equal(await send("quit=", ["8 nats-streaming-server -sc x.conf"]), "SIGINT 8");
  assert.equal(await send("quit", ["8 my-stan"], "my-stan"), "SIGINT 8");
  // This process itself, and commands that are no server.
  assert.equal(await send("quit", ["1000 stanchion -sl quit", "9 stanchion check", "8 stanchion"]), "SIGINT 8");
  assert.equal(await send("quit", ["5 nats-server", "6 stanchion"], "nats-server"), "SIGINT 5");
});

test("operations 4.2: none or several", async () => {
  assert.equal(await send("quit", ["7 bash"]), "no nats-streaming-server processes running");
  assert.equal(await send("quit", ["7 stanchion"], "nats-server"), "no nats-server processes running");
  const several = await send("stop", ["70 stanchion", "8 nats-streaming-server"]);
  assert.equal(several, "multiple nats-streaming-server processes running:\n8\n70");
});

test("operations 4.2: a system that does not list its processes", async () => {
  const { files, process: host } = await pickRuntime();
  const table = {
    hasSignals: true,
    list: () => Promise.reject(new RuntimeError("OTHER", "no ps")),
    send: () => assert.fail("nobody is meant"),
  };
  const rest = { files, pid: host.pid, programName: "stanchion", isCommand: () => false };
  assert.equal(await signalProcess("stop", { ...rest, processes: table }), "unable to resolve pid, try providing one");
  const windows = { ...table, hasSignals: false };
  assert.match(await signalProcess("stop=5", { ...rest, processes: windows }) ?? "", /^signals are not available /);
});

test("operations 4.2: the processes of this machine: ours, and one with blanks in its arguments", async () => {
  const { process: host } = await pickRuntime();
  const table = createProcessTable(host);
  const args = ["-c", "echo up; read line", "a name", "x y"];
  const child = spawn("sh", args, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    // Before that it has no command line of its own.
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const entries = await table.list();
    assert.ok(entries.some(({ pid }) => pid === process.pid));
    const found = entries.find(({ pid }) => pid === child.pid);
    assert.deepEqual([found?.programName, found?.args], ["sh", args]);
    const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
    table.send(child.pid ?? 0, "SIGTERM");
    await ended;
    assert.throws(() => table.send(child.pid ?? 0, "SIGTERM"), /no such process/);
  } finally {
    child.kill("SIGKILL");
  }
});

test("operations 4.2: the lines of ps", () => {
  assert.deepEqual(parsePs("    1 /sbin/launchd\n  812 /opt/stanchion -c  a.conf\n\n"), [
    { pid: 1, programName: "launchd", args: [] },
    { pid: 812, programName: "stanchion", args: ["-c", "a.conf"] },
  ]);
});
