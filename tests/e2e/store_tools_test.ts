/** `check` and `repair` as an operator calls them: words, exit status, what is written and what is not. */
import { connect } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../../scripts/project.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  startServerProcess,
  targetCommand,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { readStore, realFiles } from "../helpers/store_validator.ts";

const timeout = PROCESS_TEST_MS_MAX;
const GOLDEN = join(ROOT, "tests/golden/filestore");

function copy(folder: TestFolder, golden: string): string {
  const dir = folder.file("data");
  cpSync(join(GOLDEN, golden), dir, { recursive: true });
  return dir;
}

/** Every file with its bytes. */
function contentOf(dir: string): Map<string, string> {
  const content = new Map<string, string>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) content.set(path, readFileSync(path).toString("latin1"));
  }
  return content;
}

/** Turns one bit over in the payload of message 3 of `orders`. */
function damage(dir: string): void {
  const path = join(dir, "orders/msgs.1.dat");
  const bytes = readFileSync(path);
  bytes[100]! ^= 0x10;
  writeFileSync(path, bytes);
}

for (const target of TARGETS) {
  describe(`check and repair of ${target}`, () => {
    it("check: status 0, 1, 2 and 3 for what a start would make of it; nothing is written", { timeout }, async () => {
      const cases = [["plain", 0, /\nSound\n$/], ["trunc-dat", 1, /2 healed at the next start\n$/], [
        "gap",
        2,
        /messages 11 to 15: the messages are missing/,
      ], ["crc-castagnoli", 3, /right with -file_crc_poly 2197175160/]] as const;
      for (const [golden, status, text] of cases) {
        using folder = new TestFolder();
        const dir = copy(folder, golden);
        const before = contentOf(dir);
        const { exitStatus, stdout, stderr } = await runTarget(target, ["check", "--dir", dir]);
        assert.equal(exitStatus, status, stdout);
        assert.match(stdout, text);
        assert.equal(stderr, "", "nobody looks at a progress bar here");
        assert.deepEqual(contentOf(dir), before);
      }
    });

    it("stores 11.4: repair of a damaged message, and what clients get then", { timeout }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder, "plain");
      damage(dir);
      const check = await runTarget(target, ["check", "-dir", dir, "-channel", "orders", "-json"]);
      assert.equal(check.exitStatus, 2);
      const [found] = JSON.parse(check.stdout).findings;
      assert.deepEqual([found.severity, found.file, found.offset, found.first_seq, found.last_seq], [
        ...["damaged", "orders/msgs.1.dat", 78, 3, 3],
      ]);
      const repair = await runTarget(target, ["repair", "-dir", dir]);
      assert.equal(repair.exitStatus, 0, repair.stderr);
      assert.equal(
        repair.stdout,
        [
          "37 bytes of orders/msgs.1.dat from byte 78 are kept in orders/.msgs.1.dat.cut-78",
          "orders/msgs.1.dat was written anew with 12 messages, of which message 3 is empty",
          "orders/msgs.1.idx was built anew from the data file",
          `Store "${dir}" is sound`,
          "",
        ].join("\n"),
      );
      const { problems, channels } = readStore(realFiles, dir);
      assert.deepEqual(problems, []);
      assert.equal(channels.get("orders")!.messages.get(3)!.data.length, 0);
      assert.equal(new TextDecoder().decode(channels.get("orders")!.messages.get(4)!.data), "order-4");
      const again = await runTarget(target, ["repair", "-dir", dir]);
      assert.equal(again.stdout, `Nothing to repair\nStore "${dir}" is sound\n`);
      const server = await startServerProcess(target, {
        args: ["-store", "FILE", "-dir", dir, "-cid", "fixture-cluster"],
      });
      assert.doesNotMatch(server.log, /\[(WRN|ERR)\]/);
      assert.equal(await server.stop(), 143);
    });

    it("repair --drop takes what a message holds, and says so", { timeout }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder, "plain");
      const { exitStatus, stdout } = await runTarget(target, [
        ...["repair", "--dir", dir, "--channel", "orders", "--drop", "4..5", "--json"],
      ]);
      assert.equal(exitStatus, 0);
      const { status, verdict, actions } = JSON.parse(stdout);
      assert.deepEqual([status, verdict], [0, "sound"]);
      assert.ok(
        actions.includes("orders/msgs.1.dat was written anew with 12 messages, of which messages 4 to 5 are empty"),
      );
      const { messages } = readStore(realFiles, dir).channels.get("orders")!;
      assert.deepEqual([3, 4, 5, 6].map((sequence) => messages.get(sequence)!.data.length), [7, 0, 0, 7]);
    });

    it("decision 6: what cannot be done is one reason on stderr", { timeout }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder, "plain");
      const cases: readonly (readonly [args: string[], status: number, text: RegExp])[] = [
        [
          ["check", "-dri", dir],
          2,
          /^flag provided but not defined: -dri \(did you mean -dir\?\)\nRun "\S+ check --help"/,
        ],
        [["repair"], 2, /^repair needs the directory of a store: -dir <string>\n/],
        [
          ["check", "-dir", join(dir, "none")],
          3,
          /^Cannot look at the store in ".*none": there is no such directory\n$/,
        ],
        [
          ["repair", "-dir", dir, "-channel", "order"],
          3,
          /^There is no channel "order" in .* \(did you mean "orders"\?\)\n$/,
        ],
        [["repair", "-dir", dir, "-channel", "audit", "-drop", "3..4"], 3, /^Cannot repair: -drop 3\.\.4 goes beyond/],
      ];
      const before = contentOf(dir);
      for (const [args, status, text] of cases) {
        const { exitStatus, stdout, stderr } = await runTarget(target, args);
        assert.equal(exitStatus, status, args.join(" "));
        assert.match(stderr, text);
        assert.equal(stdout, "");
      }
      rmSync(join(dir, ".rootdir.lck"), { force: true });
      assert.deepEqual(contentOf(dir), before);
    });

    it("--help of both is on standard output, status 0", { timeout }, async () => {
      for (const tool of ["check", "repair"]) {
        const { exitStatus, stdout, stderr } = await runTarget(target, [tool, "--help"]);
        assert.deepEqual([exitStatus, stderr], [0, ""]);
        assert.match(stdout, new RegExp(`^\\nUsage: \\S+ ${tool} --dir <string> `));
      }
    });

    it("operations 1.5: no other word is a command, and the core server has none of the two", { timeout }, async () => {
      const word = await runTarget(target, ["-p", "-1", "check"]);
      assert.equal(word.exitStatus, 1);
      assert.match(word.stderr, /^unrecognized command: "check"\n/);
      if (target !== "executable") return;
      using folder = new TestFolder();
      const [executable = ""] = await targetCommand(target);
      const core = folder.link("nats-server", executable);
      const program = await runTarget(target, ["check", "-dir", "x"], { command: [core] });
      assert.equal(program.exitStatus, 1);
      assert.match(program.stderr, /^unrecognized command: "check"\n/);
      // The name of the original is that of the whole product.
      const reference = folder.link("nats-streaming-server", executable);
      const dir = copy(folder, "plain");
      const check = await runTarget(target, ["check", "-dir", dir], { command: [reference] });
      assert.equal(check.exitStatus, 0, check.stderr);
    });

    it("check of a directory in use: it says so, and clients notice nothing", { timeout }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder, "plain");
      const server = await startServerProcess(target, {
        args: ["-store", "FILE", "-dir", dir, "-cid", "fixture-cluster"],
      });
      const nc = await connect({ servers: `127.0.0.1:${server.port}`, reconnect: false });
      const { exitStatus, stdout } = await runTarget(target, ["check", "-dir", dir, "-json"]);
      assert.deepEqual([exitStatus, JSON.parse(stdout).in_use], [0, true]);
      await nc.flush();
      await nc.close();
      assert.equal(await server.stop(), 143);
      assert.equal(JSON.parse((await runTarget(target, ["check", "-dir", dir, "-json"])).stdout).in_use, false);
    });
  });
}
