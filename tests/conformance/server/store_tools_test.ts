/**
 * `check` and `repair` on directories of the reference, whole and spoiled at random: `check` changes nothing and agrees with
 * what a start does; after `repair` the directory is in the reference's format, judged by code that shares nothing with the
 * store, and every message whose bytes were not spoiled is there, bit for bit. Each case prints its seed when it fails.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { ROOT } from "../../../scripts/project.ts";
import { DEFAULT_LIMITS, resolveChannelLimits } from "../../../src/config/options.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { type Disk, RuntimeError } from "../../../src/runtime/types.ts";
import { ToolError } from "../../../src/server/tools/inspect_store.ts";
import { repairStore } from "../../../src/server/tools/repair_store.ts";
import { statusOf, type StoreFinding } from "../../../src/server/tools/store_finding.ts";
import { Crc32, CRC_POLYNOMIAL_IEEE } from "../../../src/store/file/crc.ts";
import { FileStore } from "../../../src/store/file/file_store.ts";
import { encodeRecord, versionBytes } from "../../../src/store/file/format.ts";
import { FILE_STORE_DEFAULTS } from "../../../src/store/file/options.ts";
import { StoreError } from "../../../src/store/types.ts";
import { fileStoreWorld, RecordingLog } from "../../helpers/file_store.ts";
import { inspect, repair } from "../../helpers/store_tools.ts";
import { type ReadMessage, readStore, realFiles } from "../../helpers/store_validator.ts";

const { disk } = await pickRuntime();
const GOLDEN = join(ROOT, "tests/golden/filestore");
const CASTAGNOLI = 0x82f63b78;
const folder = fs.mkdtempSync(join(tmpdir(), "stanchion-tools-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let copies = 0;

function copyOf(golden: string): string {
  const dir = join(folder, `${golden.replace("/", "-")}-${++copies}`);
  fs.cpSync(join(GOLDEN, golden), dir, { recursive: true });
  return dir;
}

function contentOf(dir: string): Map<string, string> {
  const content = new Map<string, string>();
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) content.set(path.slice(dir.length), fs.readFileSync(path).toString("latin1"));
  }
  return content;
}

/** What a start of the server says: its lines above INF, and the error that stops it. */
async function startOn(dir: string): Promise<{ lines: readonly string[]; error: Error | undefined }> {
  const log = new RecordingLog();
  const store = new FileStore(resolveChannelLimits(DEFAULT_LIMITS), { ...FILE_STORE_DEFAULTS, dir }, {
    ...await fileStoreWorld(),
    log,
  });
  let error: Error | undefined;
  try {
    await store.recover();
  } catch (failure) {
    if (!(failure instanceof StoreError)) throw failure;
    error = failure;
  }
  await store.close();
  return { lines: log.warnings, error };
}

const severities = (findings: readonly StoreFinding[]) => findings.map(({ severity }) => severity);
const messagesOf = (dir: string, channel: string) =>
  readStore(realFiles, dir, { gapsAllowed: () => true, isOpen: true }).channels.get(channel)?.messages ??
    new Map<number, ReadMessage>();
const textOf = (message: ReadMessage | undefined) => new TextDecoder().decode(message?.data);

describe("check on what the reference wrote", () => {
  const verdicts: readonly (readonly [golden: string, status: number, crcPolynomial?: number])[] = [
    ["plain", 0],
    ["slices", 0],
    ["crc-off", 0],
    ["crc-castagnoli", 3],
    ["crc-castagnoli", 0, CASTAGNOLI],
    ["enc-aes", 0],
    ["trunc-dat", 1],
    ["trunc-idx", 1],
    ["trunc-subs", 1],
    ["trunc-clients", 1],
    ["zero-padded", 1],
    ["idx-behind", 1],
    ["gap", 2],
    ["deleted-limits", 0],
    ["expired", 0],
    ["compacted", 0],
    ["raft-node/store", 0],
  ];
  for (const [golden, status, crcPolynomial = CRC_POLYNOMIAL_IEEE] of verdicts) {
    const how = crcPolynomial === CASTAGNOLI ? " with its polynomial" : "";
    it(`stores 6.5: ${golden}${how} has status ${status}; nothing is written, repair makes it sound`, async () => {
      const dir = copyOf(golden);
      const before = contentOf(dir);
      const { report } = inspect(dir, { crcPolynomial });
      assert.equal(statusOf(report.findings), status, JSON.stringify(report.findings, undefined, 2));
      assert.deepEqual(contentOf(dir), before);
      if (status === 3) {
        // Wrong option, not damage: to repair it would be to destroy it.
        await assert.rejects(
          repair(dir),
          (error) =>
            error instanceof ToolError && error.code === "TOOL_REFUSED" &&
            error.message.includes(`-file_crc_poly ${CASTAGNOLI}`),
        );
        assert.deepEqual(contentOf(dir), before);
        return;
      }
      const actions = await repair(dir, { crcPolynomial });
      assert.equal(actions.length > 0, status > 0, actions.join("\n"));
      if (status === 0) assert.deepEqual(contentOf(dir), before);
      assert.deepEqual(severities(inspect(dir, { crcPolynomial }).report.findings), []);
      if (crcPolynomial === CASTAGNOLI) return;
      assert.deepEqual(readStore(realFiles, dir).problems, []);
      assert.deepEqual(await startOn(dir), { lines: [], error: undefined });
    });
  }
});

describe("repair", () => {
  it("stores 11.4: a message damaged in the middle becomes an empty one with its time, its bytes are kept", async () => {
    const dir = copyOf("plain");
    const path = join(dir, "orders/msgs.1.dat");
    const before = messagesOf(dir, "orders");
    const third = before.get(3)!;
    const bytes = fs.readFileSync(path);
    bytes[third.offset + 15]! ^= 0x10;
    fs.writeFileSync(path, bytes);
    fs.chmodSync(path, 0o640);
    // A start would not even notice: the index is whole and its last message is right.
    const { findings } = inspect(dir).report;
    assert.deepEqual(
      findings.map(({ severity, file, offset, sizeBytes, firstSequence, lastSequence }) =>
        `${severity} ${file} ${offset} ${sizeBytes} ${firstSequence}..${lastSequence}`
      ),
      [`damaged orders/msgs.1.dat ${third.offset} ${third.size + 8} 3..3`],
    );
    await repair(dir);
    const now = messagesOf(dir, "orders");
    assert.equal(now.size, 12);
    assert.deepEqual([now.get(3)!.data.length, now.get(3)!.stampNs], [0, third.stampNs]);
    for (const [sequence, { data }] of before) if (sequence !== 3) assert.deepEqual(now.get(sequence)!.data, data);
    const kept = fs.readFileSync(join(dir, `orders/.msgs.1.dat.cut-${third.offset}`));
    assert.deepEqual(kept, bytes.subarray(third.offset, third.offset + third.size + 8));
    assert.equal(fs.statSync(path).mode & 0o777, 0o640);
    assert.deepEqual(readStore(realFiles, dir).problems, []);
  });

  it("stores 6.2: a slice in which nothing is right stops a start; check says so, and after a repair it starts", async () => {
    const dir = copyOf("plain");
    const path = join(dir, "orders/msgs.1.dat");
    const bytes = fs.readFileSync(path);
    const before = [...messagesOf(dir, "orders").values()].filter(({ slice }) => slice === 1);
    for (const { offset, size } of before) bytes[offset + 8 + size - 1]! ^= 0x10;
    fs.writeFileSync(path, bytes);
    fs.rmSync(join(dir, "orders/msgs.1.idx"));
    const { error } = await startOn(dir);
    assert.match(String(error), new RegExp(`no checksum is right, although ${before.length} records are whole`));
    const { findings } = inspect(dir).report;
    assert.equal(statusOf(findings), 3);
    assert.deepEqual(
      findings.filter(({ severity }) => severity === "fatal").map(({ file, atStart }) => `${file}: ${atStart}`),
      ["orders/msgs.1.dat: the server does not start"],
    );
    await repair(dir);
    assert.deepEqual(await startOn(dir), { lines: [], error: undefined });
    assert.deepEqual(inspect(dir).report.findings, []);
    const [kept = ""] = fs.readdirSync(join(dir, "orders")).filter((name) => name.startsWith(".msgs.1.dat.cut-"));
    assert.deepEqual(fs.readFileSync(join(dir, "orders", kept)), bytes.subarray(4));
  });

  it("stores 5.5, 11.4: a lost slice is filled at the end of the one before, with the time of the message before", async () => {
    const dir = copyOf("gap");
    await repair(dir);
    const messages = messagesOf(dir, "sliced");
    assert.deepEqual([...messages.keys()], Array.from({ length: 23 }, (_, i) => i + 1));
    for (const sequence of [11, 12, 13, 14, 15]) {
      const { data, stampNs, slice } = messages.get(sequence)!;
      assert.deepEqual([data.length, stampNs, slice], [0, messages.get(10)!.stampNs, 2]);
    }
  });

  it("stores 6.7: a subscription behind the last message goes back, ids are not given again", async () => {
    const dir = copyOf("trunc-dat");
    await repair(dir);
    const [subscription] = readStore(realFiles, dir).channels.get("cut")!.subscriptions.values();
    assert.equal(subscription!.lastSent, 5);
    assert.deepEqual([...subscription!.pending], [4, 5]);
    assert.deepEqual(severities(inspect(dir).report.findings), []);
  });

  it("--drop empties the messages of a range and keeps all others, their bytes and their times", async () => {
    for (const [first, last] of [[1, 1], [3, 5], [12, 12], [1, 12]] as const) {
      const dir = copyOf("plain");
      const before = messagesOf(dir, "orders");
      const actions = await repair(dir, { channel: "orders", drop: { first, last } });
      assert.match(actions.join("\n"), /orders\/msgs\.1\.dat was written anew with 12 messages, of which/);
      const now = messagesOf(dir, "orders");
      assert.deepEqual([...now.keys()], [...before.keys()]);
      for (const [sequence, { data, stampNs }] of now) {
        const isDropped = sequence >= first && sequence <= last;
        assert.equal(textOf(now.get(sequence)), isDropped ? "" : textOf(before.get(sequence)));
        assert.equal(data.length === 0, isDropped);
        assert.equal(stampNs, before.get(sequence)!.stampNs);
      }
      assert.deepEqual(readStore(realFiles, dir).problems, []);
      assert.deepEqual(await startOn(dir), { lines: [], error: undefined });
    }
  });

  it("--drop beyond the channel is refused, and so is another channel's name", async () => {
    const dir = copyOf("plain");
    const before = contentOf(dir);
    await assert.rejects(
      repair(dir, { channel: "orders", drop: { first: 12, last: 13 } }),
      /Cannot repair: -drop 12\.\.13 goes beyond the channel, which has messages 1 to 12\. Nothing was changed/,
    );
    assert.throws(
      () => inspect(dir, { channel: "ordrs" }),
      /There is no channel "ordrs" in .* \(did you mean "orders"\?\)/,
    );
    assert.deepEqual(contentOf(dir), before);
  });

  it("stores 12.44: a misnamed slice and an unreadable server.dat are moved aside, never removed", async () => {
    const dir = copyOf("plain");
    fs.writeFileSync(join(dir, "orders/msgs.01.dat"), "precious");
    fs.writeFileSync(join(dir, "server.dat"), "garbage");
    const { report } = inspect(dir);
    assert.deepEqual(severities(report.findings), ["fatal", "fatal"]);
    await repair(dir);
    assert.equal(fs.readFileSync(join(dir, "orders/.msgs.01.dat.aside"), "utf8"), "precious");
    assert.equal(fs.readFileSync(join(dir, ".server.dat.aside"), "utf8"), "garbage");
    const { error } = await startOn(dir);
    assert.equal((error as StoreError).code, "STORE_NO_SERVER_INFO");
  });

  it("a repair of one channel touches nothing else", async () => {
    const dir = copyOf("plain");
    fs.writeFileSync(join(dir, "server.dat"), "garbage");
    fs.truncateSync(join(dir, "clients.dat"), 50);
    fs.rmSync(join(dir, "orders/msgs.1.idx"));
    fs.rmSync(join(dir, "audit/msgs.1.idx"));
    const before = contentOf(dir);
    await repair(dir, { channel: "orders" });
    const now = contentOf(dir);
    assert.ok(now.delete("/orders/msgs.1.idx"));
    assert.deepEqual(now, before);
  });

  it("decision 16: a disk that is full at any moment costs nothing, and the next attempt succeeds", async () => {
    let failures = 0;
    for (let writesLeft = 0;; writesLeft++) {
      const dir = copyOf("gap");
      const path = join(dir, "sliced/msgs.1.dat");
      const bytes = fs.readFileSync(path);
      bytes[50]! ^= 1;
      fs.writeFileSync(path, bytes);
      const before = messagesOf(dir, "sliced");
      let left = writesLeft;
      const full: Disk = {
        ...disk,
        open: (path, mode) => {
          const file = disk.open(path, mode);
          const write: typeof file.write = (...args) => {
            if (left-- <= 0) throw new RuntimeError("NO_SPACE", "no space left");
            file.write(...args);
          };
          return new Proxy(file, {
            get: (target, name) => {
              if (name === "write") return write;
              const value: unknown = Reflect.get(target, name, target);
              return typeof value === "function" ? value.bind(target) : value;
            },
          });
        },
      };
      const failure = await repairStore(full, dir, inspect(dir), CRC_POLYNOMIAL_IEEE, () => {}).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failure !== undefined) {
        failures++;
        assert.ok(failure instanceof RuntimeError && failure.code === "NO_SPACE", String(failure));
        // Nothing that was begun and not finished stays.
        assert.deepEqual([...contentOf(dir).keys()].filter((path) => path.endsWith(".repair")), []);
        await repair(dir);
      }
      assert.deepEqual(severities(inspect(dir).report.findings), []);
      assert.deepEqual(readStore(realFiles, dir).problems, []);
      const now = messagesOf(dir, "sliced");
      for (const [sequence, { data }] of before) assert.deepEqual(now.get(sequence)!.data, data);
      if (failure === undefined) break;
    }
    assert.ok(failures >= 4, `${failures} moments`);
  });

  it("a directory in which no checksum is right is left alone", async () => {
    const dir = copyOf("crc-castagnoli");
    fs.rmSync(join(dir, "server.dat"));
    const before = contentOf(dir);
    await assert.rejects(repair(dir), /not one checksum in these files is right: .* another -file_crc_poly/);
    assert.deepEqual(contentOf(dir), before);
  });

  it("a lost range that is too long to fill is refused", async () => {
    const dir = copyOf("slices");
    // A good message with a sequence far away, in a slice of its own.
    const path = join(dir, "plus/msgs.9.dat");
    const payload = Buffer.concat([
      Buffer.from([0x08, 0x80, 0x89, 0x7a, 0x12, 4]),
      Buffer.from("plus"),
      Buffer.from([0x28, 1]),
    ]);
    fs.writeFileSync(path, Buffer.concat([versionBytes(), encodeRecord(0, payload, new Crc32())]));
    await assert.rejects(
      repair(dir),
      /channel "plus": 1999993 empty messages would be needed in one place, at most 1000000/,
    );
  });
});

/** A generator whose state is the seed. */
function generator(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A file as it was and as it is after the damage. */
interface Spoiled {
  readonly channel: string;
  readonly slice: number;
  readonly before: Buffer;
  readonly after: Buffer;
}

/** Spoils one file in one way; tells what became of a data file. */
function spoil(dir: string, random: (below: number) => number): Spoiled | undefined {
  const files = [...contentOf(dir).keys()].filter((path) => /\.(dat|idx)$/.test(path) && path !== "/server.dat");
  const path = files[random(files.length)]!;
  const before = fs.readFileSync(dir + path);
  let after = Buffer.from(before);
  const at = random(before.length);
  switch (random(7)) {
    case 0:
      after[at]! ^= 1 << random(8);
      break;
    case 1:
      after = after.subarray(0, at);
      break;
    case 2:
      after.fill(0, at, Math.min(after.length, at + 1 + random(64)));
      break;
    case 3:
      after = Buffer.concat([after, Buffer.alloc(1 + random(80))]);
      break;
    case 4:
      for (let i = at; i < Math.min(after.length, at + 20); i++) after[i] = random(256);
      break;
    case 5:
      // Bytes between two records, which belong to none.
      after = Buffer.concat([after.subarray(0, at), Buffer.from("garbage"), after.subarray(at)]);
      break;
    default:
      if (path.endsWith(".idx")) {
        fs.rmSync(dir + path);
        return undefined;
      }
      after = Buffer.concat([after, after.subarray(4, Math.min(after.length, 4 + random(40)))]);
  }
  fs.writeFileSync(dir + path, after);
  const match = /^\/(.+)\/msgs\.(\d+)\.dat$/.exec(path);
  return match === null ? undefined : { channel: match[1]!, slice: Number(match[2]), before, after };
}

describe("random damage", () => {
  // TOOLS_CASES=5000 for a long run; more cases only ever add seeds.
  const CASES = Number(process.env["TOOLS_CASES"] ?? 60);
  const goldens = ["plain", "slices", "compacted", "deleted-limits", "gap"];
  it(`stores 6, 11: ${CASES} spoiled directories: check agrees with a start, repair keeps all that is whole`, async () => {
    const seen = new Set<number>();
    for (let seed = 1; seed <= CASES; seed++) {
      const random = generator(seed);
      const golden = goldens[seed % goldens.length]!;
      const dir = copyOf(golden);
      const original = readStore(realFiles, dir, { gapsAllowed: () => true });
      const spoiled: Spoiled[] = [];
      for (let count = 1 + random(3); count > 0; count--) {
        const one = spoil(dir, random);
        if (one !== undefined) spoiled.push(one);
      }
      try {
        const before = contentOf(dir);
        const { report, obstacle } = inspect(dir);
        const status = statusOf(report.findings);
        seen.add(status);
        assert.deepEqual(contentOf(dir), before, "check wrote something");
        await judgeStart(dir, status);
        if (obstacle !== "") {
          await assert.rejects(repair(dir), ToolError);
          continue;
        }
        await repair(dir);
        assert.deepEqual(inspect(dir).report.findings.filter(({ severity }) => severity !== "note"), []);
        const store = readStore(realFiles, dir);
        assert.deepEqual(store.problems, []);
        for (const [name, { messages }] of original.channels) {
          const now = store.channels.get(name)!.messages;
          for (const message of messages.values()) {
            if (!isWhole(message, spoiled.filter((one) => one.channel === name && one.slice === message.slice))) {
              continue;
            }
            const found = now.get(message.sequence);
            assert.deepEqual(
              [found?.data, found?.stampNs],
              [message.data, message.stampNs],
              `${name} ${message.sequence}`,
            );
          }
        }
        assert.deepEqual(await startOn(dir), { lines: [], error: undefined });
      } catch (error) {
        throw new Error(`seed ${seed} (${golden}, ${dir}): ${(error as Error).message}`, { cause: error });
      }
      fs.rmSync(dir, { recursive: true });
    }
    // All kinds of damage happen, or the cases are too tame. That nothing is wrong is rare among them.
    assert.deepEqual([1, 2, 3].filter((status) => !seen.has(status)), []);
  });

  /** On a copy: a start heals. */
  async function judgeStart(dir: string, status: number): Promise<void> {
    const copy = `${dir}-start`;
    fs.cpSync(dir, copy, { recursive: true });
    const { lines, error } = await startOn(copy);
    fs.rmSync(copy, { recursive: true });
    assert.equal(error !== undefined, status === 3, `status ${status}, but a start says ${error?.message}`);
    if (status === 0) assert.deepEqual(lines, [], "status 0, but a start has something to say");
  }

  /** True when the record of a message stands untouched in what is left of its file. */
  function isWhole(message: ReadMessage, spoiled: readonly Spoiled[]): boolean {
    if (spoiled.length === 0) return true;
    const { before } = spoiled[0]!;
    const { after } = spoiled.at(-1)!;
    return after.includes(before.subarray(message.offset, message.offset + 8 + message.size));
  }
});
