/**
 * `check` and `repair` on directories in which a channel was purged. What is right is what the FILE store itself has after a
 * start on the same files.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { reportJson, reportText } from "../../../src/server/tools/report.ts";
import { statusOf } from "../../../src/server/tools/store_finding.ts";
import { fill, inDirectory, type StoreDirectory } from "../../conformance/store/file_support.ts";
import { SeededRandom } from "../../conformance/store/random.ts";
import { figuresOf, inspect, repair } from "../../helpers/store_tools.ts";
import { readStore, realFiles } from "../../helpers/store_validator.ts";
import { marksOf, PURGED_DIRECTORIES, purgedDirectory, startedOn } from "./purged_directories.ts";

const told = (directory: StoreDirectory) =>
  inspect(directory.dir).report.findings.map(({ severity, file, firstSequence, lastSequence, text }) =>
    `${severity} ${file} ${firstSequence}..${lastSequence} ${text}`
  );
const noteOf = (sequence: number) =>
  `note foo/.purged 0..${sequence} messages up to ${sequence} were purged; what the slices still hold of them does not count`;

async function withDirectory(name: string, work: (directory: StoreDirectory) => Promise<void> | void): Promise<void> {
  const made = PURGED_DIRECTORIES.find((one) => one.name === name);
  assert.ok(made !== undefined, name);
  const directory = await purgedDirectory(made);
  try {
    await work(directory);
  } finally {
    await directory.end();
  }
}

/** Another channel: somewhere a checksum must be right, or nobody could tell damage from a wrong polynomial. */
async function withOtherChannel(directory: StoreDirectory): Promise<void> {
  await inDirectory(async (other) => {
    const { store } = await other.open();
    fill(store.createChannel("goo").messages, 1, 1);
    await store.close();
    cpSync(other.path("goo"), directory.path("goo"), { recursive: true });
  });
}

/** Spoils a byte of a message of "foo": the last one of its payload, or `at` of its record. */
function spoil(directory: StoreDirectory, sequence: number, slice: number, at?: number): void {
  const { messages } = readStore(realFiles, directory.dir, { gapsAllowed: () => true, isOpen: true }).channels.get(
    "foo",
  )!;
  const message = messages.get(sequence);
  assert.equal(message?.slice, slice);
  const path = directory.path(`foo/msgs.${slice}.dat`);
  const bytes = readFileSync(path);
  bytes[message.offset + (at ?? 8 + message.size - 1)]! ^= 0x10;
  writeFileSync(path, bytes);
}

describe("check on a purged channel", () => {
  for (const { name, purged } of PURGED_DIRECTORIES) {
    it(`stores 5.6, 6.2: ${name}: the figures are those of a start, and who purged is told so`, async () => {
      await withDirectory(name, async (directory) => {
        const started = await startedOn(directory);
        assert.deepEqual(figuresOf(directory.dir), started.state);
        const { report } = inspect(directory.dir);
        const notes = report.findings.filter(({ severity }) => severity === "note");
        assert.deepEqual(notes.map(({ lastSequence }) => lastSequence), purged === 0 ? [] : [purged]);
        assert.equal(started.marked, purged);
        // A start has something to say exactly where check finds something.
        assert.equal(started.lines.length > 0, statusOf(report.findings) > 0, started.lines.join("\n"));
        assert.ok(statusOf(report.findings) < 2, JSON.stringify(report.findings));
      });
    });

    it(`stores 6.2: ${name}: the mark is lost: the figures are those of a start, and no message goes that was there`, async () => {
      await withDirectory(name, async (directory) => {
        rmSync(directory.path("foo/.purged"), { force: true });
        const before = readStore(realFiles, directory.dir, { isOpen: true, gapsAllowed: () => true }).channels.get(
          "foo",
        )!;
        const { state, messages } = await startedOn(directory);
        assert.deepEqual(figuresOf(directory.dir), state);
        assert.deepEqual(messages.map((message) => parseInt(message)), [...before.messages.keys()]);
        // A marker beside the message of its sequence is no other message that takes its place.
        const slices = directory.names("foo").filter((file) => file.endsWith(".dat"));
        const bytes = slices.map((file) => Buffer.from(directory.bytes(`foo/${file}`)).toString("latin1")).join();
        for (const message of messages.filter((message) => message.endsWith("="))) {
          assert.ok(!bytes.includes(`m-${parseInt(message)}`), message);
        }
        await repair(directory.dir);
        const after = await startedOn(directory);
        assert.deepEqual([after.messages, after.lines], [messages, []]);
      });
    });

    it(`stores 5.6, 11: ${name}: a repair changes nothing of what is served, and keeps the mark`, async () => {
      await withDirectory(name, async (directory) => {
        const before = await startedOn(directory);
        const marks = marksIfAny(directory);
        await repair(directory.dir);
        assert.deepEqual(await startedOn(directory), { ...before, lines: [] });
        assert.deepEqual(marksIfAny(directory), purged === 0 ? [] : marks);
        assert.equal(statusOf(inspect(directory.dir).report.findings), 0);
      });
    });
  }

  it("the report names no message where all were purged, and says how far", async () => {
    await withDirectory("purged of everything", (directory) => {
      const { report } = inspect(directory.dir);
      assert.equal(
        reportText(report, "stanchion").split("\n").slice(1).join("\n"),
        [
          'Channel "foo": no messages, 0 subscriptions',
          "  note    foo/.purged: messages up to 10 were purged; what the slices still hold of them does not count",
          "Sound",
          "",
        ].join("\n"),
      );
      const json = JSON.parse(reportJson(report));
      const [{ first_seq, last_seq, msgs, bytes }] = json.channels;
      // As the monitor of a server has them.
      assert.deepEqual([first_seq, last_seq, msgs, bytes, json.status], [11, 10, 0, 0, 0]);
      assert.deepEqual([json.findings[0].severity, json.findings[0].last_seq], ["note", 10]);
    });
  });

  it("stores 5.15: a mark of other messages is told in the words of a start, and repair moves it aside", async () => {
    await withDirectory("purged, then begun anew by the reference with 10 messages", async (directory) => {
      const [line] = (await startedOn(directory)).lines;
      const { report } = inspect(directory.dir);
      const [found] = report.findings;
      assert.deepEqual(report.findings.length, 1);
      assert.equal(found?.severity, "healed");
      assert.ok(String(line).endsWith(`/foo/.purged: ${found.text}; ${found.atStart}`), line ?? "a start says nothing");
      assert.deepEqual(await repair(directory.dir), ["foo/.purged was moved to foo/.purged.aside"]);
      assert.deepEqual(told(directory), []);
    });
  });

  it("stores 5.6: a mark that cannot be read is a loss: what was purged is served again", async () => {
    for (const content of ["", "purged 6 0 00000000\n"]) {
      await withDirectory("purged in the middle of a slice", async (directory) => {
        writeFileSync(directory.path("foo/.purged"), content);
        assert.deepEqual(figuresOf(directory.dir), (await startedOn(directory)).state);
        assert.deepEqual(told(directory), [
          "damaged foo/.purged 0..0 it cannot be read: how far the channel was purged is not known",
        ]);
        await repair(directory.dir);
        assert.equal(readFileSync(directory.path("foo/.purged.aside"), "latin1"), content);
        assert.deepEqual(told(directory), []);
      });
    }
  });
});

describe("damage in a purged channel", () => {
  it("decision 15: what is damaged was purged: nothing is lost, and repair brings nothing back", async () => {
    await withDirectory("purged in the middle of a slice", async (directory) => {
      const before = await startedOn(directory);
      const marks = marksOf(directory);
      spoil(directory, 5, 2);
      const { report } = inspect(directory.dir);
      const [note, found] = report.findings;
      assert.equal(note?.lastSequence, 6);
      assert.deepEqual([found?.severity, found?.firstSequence, found?.lastSequence], ["healed", 5, 5]);
      assert.match(found!.text, /^corrupted data, .*; all that is concerned was purged$/);
      assert.deepEqual(figuresOf(directory.dir), before.state);
      await repair(directory.dir);
      assert.deepEqual(told(directory), [noteOf(6)]);
      assert.deepEqual(marksOf(directory), marks);
      assert.deepEqual(await startedOn(directory), before);
      assert.deepEqual(readStore(realFiles, directory.dir).problems, []);
    });
  });

  it("stores 11.4: the empty message in the place of the last one that was purged has its time, or all came back", async () => {
    await withDirectory("purged in the middle of a slice", async (directory) => {
      const before = await startedOn(directory);
      spoil(directory, 6, 2);
      // Nothing but the mark knows its time any more.
      rmSync(directory.path("foo/msgs.2.idx"));
      const found = inspect(directory.dir).report.findings.find(({ severity, text }) =>
        severity === "healed" && text.startsWith("corrupted")
      );
      assert.match(found!.byRepair, /^an empty message 6 with its time from \.purged in its place/);
      await repair(directory.dir);
      assert.deepEqual(told(directory), [noteOf(6)]);
      assert.deepEqual(await startedOn(directory), before);
    });
  });

  it("a loss on both sides of what was purged names the messages that count", async () => {
    await withDirectory("purged in the middle of a slice", async (directory) => {
      for (const name of ["foo/msgs.2.dat", "foo/msgs.2.idx"]) rmSync(directory.path(name));
      // The slice before it, as if it had not gone yet.
      const whole = await purgedDirectory(PURGED_DIRECTORIES[0]!);
      try {
        for (const name of ["foo/msgs.1.dat", "foo/msgs.1.idx"]) writeFileSync(directory.path(name), whole.bytes(name));
      } finally {
        await whole.end();
      }
      const started = await startedOn(directory);
      assert.deepEqual(figuresOf(directory.dir), started.state);
      assert.deepEqual(started.state.slice(0, 3), [9, 10, 2]);
      assert.deepEqual(told(directory), [
        noteOf(6),
        "damaged foo/msgs.3.dat 7..8 the messages are missing in front of message 9",
      ]);
      await repair(directory.dir);
      const { state, messages, lines } = await startedOn(directory);
      assert.deepEqual([state.slice(0, 3), lines], [[7, 10, 4], []]);
      assert.deepEqual(messages, ["7=", "8=", "9=m-9", "10=m-10"]);
    });
  });

  it("stores 6.2: a last message that is damaged was purged with all others", async () => {
    await withDirectory("killed when the mark of a purge of everything was written", async (directory) => {
      spoil(directory, 10, 3);
      const started = await startedOn(directory);
      assert.deepEqual(figuresOf(directory.dir), started.state);
      assert.deepEqual(inspect(directory.dir).report.findings.map(({ severity }) => severity).sort(), [
        "healed",
        "note",
      ]);
      await repair(directory.dir);
      assert.deepEqual(told(directory), [noteOf(10)]);
      assert.deepEqual((await startedOn(directory)).state, [11, 10, 0, 0]);
    });
  });

  it("stores 6.2: a channel of which only the marker is left, damaged, goes on behind it", async () => {
    await withDirectory("purged of everything", async (directory) => {
      await withOtherChannel(directory);
      // It has no payload: its last byte is one of its time.
      spoil(directory, 10, 4);
      assert.deepEqual(figuresOf(directory.dir), (await startedOn(directory)).state);
      await repair(directory.dir);
      assert.deepEqual(told(directory), [noteOf(10)]);
      assert.deepEqual(await startedOn(directory), {
        state: [11, 10, 0, 0],
        messages: [],
        marked: 10,
        lines: [],
      });
    });
  });

  /** Where the last message of all is, by the name of the directory. */
  const LAST_SLICES = [
    ["purged of everything", 4],
    ["killed when the mark of a purge of everything was written", 3],
  ] as const;

  for (const [name, slice] of LAST_SLICES) {
    it(`stores 6.2: ${name}: a last message whose size is wrong is the one that was purged, not one that never came`, async () => {
      await withDirectory(name, async (directory) => {
        await withOtherChannel(directory);
        spoil(directory, 10, slice, 0);
        const started = await startedOn(directory);
        assert.deepEqual([started.marked, started.state], [10, [11, 10, 0, 0]]);
        assert.deepEqual(figuresOf(directory.dir), started.state);
        assert.deepEqual(inspect(directory.dir).report.findings.map(({ severity }) => severity).sort(), [
          "healed",
          "note",
        ]);
        await repair(directory.dir);
        assert.deepEqual(told(directory), [noteOf(10)]);
        const after = await startedOn(directory);
        assert.deepEqual([after.state, after.marked, after.lines], [[11, 10, 0, 0], 10, []]);
      });
    });

    it(`stores 6.2, 11: ${name}: a start puts a whole marker in the place of a damaged last message`, async () => {
      await withDirectory(name, async (directory) => {
        spoil(directory, 10, slice, 0);
        const { store } = await directory.open();
        const { messages } = store.channel("foo")!;
        await messages.flush();
        // What the store asks for by itself: it makes the marker safe, and the slices before it go.
        await messages.flush();
        await store.close();
        assert.deepEqual(readStore(realFiles, directory.dir).problems, []);
        assert.deepEqual(told(directory), [noteOf(10)]);
        assert.deepEqual(directory.names("foo").filter((file) => file.endsWith(".dat")), [
          `msgs.${slice + 1}.dat`,
          "subs.dat",
        ]);
        const { lines, ...after } = await startedOn(directory);
        assert.deepEqual([after, lines], [{ state: [11, 10, 0, 0], messages: [], marked: 10 }, []]);
      });
    });

    it(`stores 6.2: ${name}: a last message that is all zeros is one that never came, for a start and for repair`, async () => {
      await withDirectory(name, async (directory) => {
        await withOtherChannel(directory);
        const { messages } = readStore(realFiles, directory.dir, { gapsAllowed: () => true, isOpen: true }).channels
          .get("foo")!;
        const path = directory.path(`foo/msgs.${slice}.dat`);
        writeFileSync(path, readFileSync(path).fill(0, messages.get(10)!.offset));
        const started = await startedOn(directory);
        assert.equal(started.marked, 0);
        assert.deepEqual(figuresOf(directory.dir), started.state);
        await repair(directory.dir);
        assert.deepEqual(told(directory), []);
        assert.deepEqual((await startedOn(directory)).messages, started.messages);
      });
    });
  }

  it("stores 6.2: where the index is damaged, too, a start drops the mark; check says so and repair keeps it", async () => {
    await withDirectory("killed when the mark of a purge of everything was written", async (directory) => {
      await withOtherChannel(directory);
      spoil(directory, 10, 3, 0);
      // The record of message 9: a start believes nothing behind it.
      const path = directory.path("foo/msgs.3.idx");
      const bytes = readFileSync(path);
      bytes[4 + 16]! ^= 0x10;
      writeFileSync(path, bytes);
      const started = await startedOn(directory);
      assert.deepEqual([started.marked, started.state[1]], [0, 9]);
      assert.deepEqual(figuresOf(directory.dir), started.state);
      assert.equal(
        told(directory)[0],
        "damaged foo/.purged 0..10 messages up to 10 were purged, but the last message of the channel is damaged",
      );
      await repair(directory.dir);
      assert.deepEqual(told(directory), [noteOf(10)]);
      const after = await startedOn(directory);
      assert.deepEqual([after.state, after.marked, after.lines], [[11, 10, 0, 0], 10, []]);
    });
  });

  it("--drop is for messages that count", async () => {
    await withDirectory("purged in the middle of a slice", async (directory) => {
      await assert.rejects(
        repair(directory.dir, { channel: "foo", drop: { first: 6, last: 7 } }),
        /which has messages 7 to 10\. Nothing was changed/,
      );
      await repair(directory.dir, { channel: "foo", drop: { first: 7, last: 7 } });
      assert.deepEqual((await startedOn(directory)).messages, ["7=", "8=m-8", "9=m-9", "10=m-10"]);
    });
    await withDirectory("purged of everything", async (directory) => {
      await assert.rejects(
        repair(directory.dir, { channel: "foo", drop: { first: 10, last: 10 } }),
        /which has no messages\. Nothing was changed/,
      );
    });
  });
});

describe("random damage in a purged channel", () => {
  // PURGED_CASES=1000 for a long run; more cases only ever add seeds.
  const CASES = Number(process.env["PURGED_CASES"] ?? 16);
  it(`stores 5.6, 11: ${CASES} spoiled directories: repair keeps what counts and brings nothing back`, {
    timeout: 120_000,
  }, async () => {
    const states: StoreDirectory[] = [];
    const statuses = new Set<number>();
    try {
      for (const made of PURGED_DIRECTORIES) states.push(await purgedDirectory(made));
      for (let seed = 1; seed <= CASES; seed++) {
        const random = new SeededRandom(seed);
        const directory = states[random.below(states.length)]!.crashed();
        try {
          spoilAtRandom(directory, random);
          const { report, obstacle } = inspect(directory.dir);
          statuses.add(statusOf(report.findings));
          if (obstacle !== "") continue;
          const mark = report.findings.find(({ file }) => file === "foo/.purged");
          const purged = mark?.lastSequence ?? 0;
          const before = await startedOn(directory);
          assert.equal(before.marked, mark?.severity === "note" ? purged : 0);
          if (statusOf(report.findings) < 2) assert.deepEqual(figuresOf(directory.dir), before.state);
          await repair(directory.dir);
          assert.equal(statusOf(inspect(directory.dir).report.findings), 0);
          const after = await startedOn(directory);
          assert.deepEqual([after.marked, after.lines], [purged, []]);
          assert.ok(after.state[0]! > purged || after.state[1] === 0);
          for (const message of before.messages) {
            const isEmpty = message.endsWith("=");
            assert.ok(isEmpty || parseInt(message) <= purged || after.messages.includes(message), message);
          }
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
        } finally {
          await directory.end();
        }
      }
    } finally {
      for (const directory of states) await directory.end();
    }
    // What counts is hit, and what does not, or the cases are too tame.
    assert.deepEqual([1, 2].filter((status) => !statuses.has(status)), []);
  });

  function spoilAtRandom(directory: StoreDirectory, random: SeededRandom): void {
    const files = directory.names("foo").filter((name) => name.startsWith("msgs."));
    const path = directory.path(`foo/${files[random.below(files.length)]!}`);
    const bytes = readFileSync(path);
    const at = 4 + random.below(bytes.length - 4);
    switch (random.below(5)) {
      case 0:
        bytes[at]! ^= 1 << random.below(8);
        return writeFileSync(path, bytes);
      case 1:
        return writeFileSync(path, bytes.subarray(0, at));
      case 2:
        return writeFileSync(path, bytes.fill(0, at, Math.min(bytes.length, at + 1 + random.below(64))));
      case 3:
        return writeFileSync(path, Buffer.concat([bytes.subarray(0, at), Buffer.from("garbage"), bytes.subarray(at)]));
      default:
        return rmSync(path);
    }
  }
});

/** None where there is no file. */
function marksIfAny(directory: StoreDirectory) {
  return directory.names("foo").includes(".purged") ? marksOf(directory) : [];
}
