/** The pure parts of `check` and `repair`: arguments, judgement of a log, words, progress. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type IndexedOnly, type Segment, type SliceInspection } from "../../../src/server/tools/inspect_slice.ts";
import { EMPTY_MESSAGES_MAX, type LogPlan, planLog } from "../../../src/server/tools/plan.ts";
import { Progress, progressLine } from "../../../src/server/tools/progress.ts";
import { placeOf, repairText, reportJson, reportText } from "../../../src/server/tools/report.ts";
import { finding, type Severity, statusOf, type StoreReport } from "../../../src/server/tools/store_finding.ts";
import { parseToolArguments, toolHelpText, toolOf } from "../../../src/server/tools/tool_arguments.ts";

describe("arguments of check and repair", () => {
  it("decision 1: only the first word makes a tool, and the core server alone has none", () => {
    assert.equal(toolOf(["check"], "stanchion"), "check");
    assert.equal(toolOf(["repair", "-dir", "x"], "nats-streaming-server"), "repair");
    assert.equal(toolOf(["check"], "nats-server"), undefined);
    // The reference's command lines stay what they are.
    for (const args of [[], ["-p", "4222", "check"], ["Check"], ["checks"], ["--check"]]) {
      assert.equal(toolOf(args, "stanchion"), undefined, args.join(" "));
    }
  });

  it("operations 1.1: the flag grammar of the server, with all that was asked for", () => {
    const command = parseToolArguments(
      "repair",
      ["--dir=data/", "-channel", "orders", "-drop", "3..5", "--json", "-file_crc_poly", "2197175160"],
      "stanchion",
    );
    assert.deepEqual(command, {
      kind: "run",
      options: {
        tool: "repair",
        dir: "data",
        channel: "orders",
        json: true,
        crcPolynomial: 2_197_175_160,
        drop: { first: 3, last: 5 },
      },
    });
  });

  it("a directory is cut at its last slash, but the root stays the root", () => {
    const dirOf = (dir: string) => {
      const command = parseToolArguments("check", ["-dir", dir], "stanchion");
      return command.kind === "run" ? command.options.dir : command;
    };
    assert.deepEqual(["a", "a/", "a//", "/", "//", "a/b/"].map(dirOf), ["a", "a", "a", "/", "/", "a/b"]);
  });

  it("decision 6: what is wrong is one line with the nearest name, a hint, and status 2", () => {
    const refusals: readonly (readonly [args: string[], text: string])[] = [
      [["-dri", "x"], "flag provided but not defined: -dri (did you mean -dir?)"],
      [["-dir"], "flag needs an argument: -dir"],
      [[], "check needs the directory of a store: -dir <string>"],
      [["-dir", "x", "jso"], 'unrecognized argument: "jso" (did you mean -json?)'],
      [["-dir", "x", "-file_crc_poly", "0"], "crc polynomial should be between 1 and 4294967295"],
      [["-dir", "x", "-file_crc_poly", "4294967296"], "crc polynomial should be between 1 and 4294967295"],
      // Only `repair` drops.
      [["-dir", "x", "-drop", "1..2"], "flag provided but not defined: -drop"],
    ];
    for (const [args, text] of refusals) {
      assert.deepEqual(parseToolArguments("check", args, "stanchion"), {
        kind: "error",
        messages: [text, 'Run "stanchion check --help" to see the options.'],
        exitCode: 2,
      });
    }
  });

  it("-drop takes one message or a range from 1 upward, and needs a channel", () => {
    const drop = (text: string, ...more: string[]) =>
      parseToolArguments("repair", ["-dir", "x", "-drop", text, ...more], "stanchion");
    const taken = (text: string) => {
      const command = drop(text, "-channel", "c");
      return command.kind === "run" ? command.options.drop : command.kind;
    };
    assert.deepEqual(taken("7"), { first: 7, last: 7 });
    assert.deepEqual(taken("7..9"), { first: 7, last: 9 });
    for (const text of ["", "0", "0..3", "5..4", "a..b", "1..", "..2", "1.2", "-1", "9007199254740992"]) {
      assert.equal(taken(text), "error", text);
    }
    const alone = drop("1");
    assert.equal(
      alone.kind === "error" && alone.messages[0],
      "-drop needs the channel whose messages are meant: -channel <string>",
    );
  });

  it("help names every flag and every exit status", () => {
    for (const word of ["-h", "--help", "help"]) {
      assert.deepEqual(parseToolArguments("check", [word], "stanchion"), { kind: "help", tool: "check" });
    }
    const check = toolHelpText("check", "stanchion");
    assert.match(check, /^\nUsage: stanchion check --dir <string> \[options\]\n/);
    for (const flag of ["--dir", "--channel", "--json", "--file_crc_poly", "--help, -h"]) {
      assert.ok(check.includes(flag), flag);
    }
    assert.ok(!check.includes("--drop"));
    assert.match(check, /\n {4}0 {2}sound\n {4}1 .*\n {4}2 .*\n {4}3 /);
    assert.ok(toolHelpText("repair", "x").includes("--drop <from>..<to>"));
    for (const line of [...check.split("\n"), ...toolHelpText("repair", "x").split("\n")]) {
      assert.ok(line.length <= 120, line);
    }
  });
});

const stampOf = (sequence: number) => ({ high: 1, low: sequence });

function segment(start: number, end: number, firstSequence: number, lastSequence: number): Segment {
  return {
    start,
    end,
    firstSequence,
    lastSequence,
    firstStamp: stampOf(firstSequence),
    lastStamp: stampOf(lastSequence),
    payloadBytes: end - start,
  };
}

function slice(number: number, parts: Partial<SliceInspection>): SliceInspection {
  const { segments = [] } = parts;
  return {
    number,
    dataPath: `root/c/msgs.${number}.dat`,
    indexPath: `root/c/msgs.${number}.idx`,
    sizeBytes: 1000,
    version: "right",
    segments,
    bad: [],
    indexedOnly: [],
    indexFault: undefined,
    foreignCount: 0,
    recordCount: segments.reduce((sum, { firstSequence, lastSequence }) => sum + lastSequence - firstSequence + 1, 0),
    stamps: new Map(),
    ...parts,
  };
}

const indexed = (sequence: number, hasArrived: boolean): IndexedOnly => ({
  sequence,
  stamp: stampOf(1000 + sequence),
  offset: 0,
  end: 10,
  hasArrived,
  isKeptAtStart: hasArrived,
});
const plan = (...slices: SliceInspection[]) => planLog("c", "root", slices, undefined, undefined);
const verdictsOf = ({ findings }: LogPlan) =>
  findings.map(({ severity, file, offset, firstSequence, lastSequence }) =>
    `${severity} ${file}@${offset} ${firstSequence}..${lastSequence}`
  );
const emptyOf = ({ slices }: LogPlan) =>
  slices.map(({ pieces }) =>
    pieces.flatMap((piece) =>
      piece.kind === "empty" ? [`${piece.sequence}@${piece.stamp.high}:${piece.stamp.low}`] : []
    )
  );
const worksOf = ({ slices }: LogPlan) => slices.map(({ data, index }) => `${data} ${index}`);

describe("judgement of a channel's log", () => {
  it("stores 11: whole slices need nothing", () => {
    const result = plan(slice(1, { segments: [segment(4, 90, 3, 5)] }), slice(2, { segments: [segment(4, 90, 6, 9)] }));
    assert.deepEqual([verdictsOf(result), worksOf(result)], [[], ["stays stays", "stays stays"]]);
    assert.deepEqual([result.firstSequence, result.lastSequence], [3, 9]);
  });

  it("stores 6.6: zeros behind the last message are cut, and not kept", () => {
    const bad = [{ start: 90, end: 154, why: "zeros", kind: "zeros" as const }];
    const result = plan(slice(1, { segments: [segment(4, 90, 1, 5)], bad }));
    assert.deepEqual(verdictsOf(result), ["healed c/msgs.1.dat@90 0..0"]);
    assert.deepEqual([worksOf(result), result.slices[0]!.cut], [["cut rewritten"], [{
      start: 90,
      end: 154,
      keep: false,
    }]]);
  });

  it("decision 15: a torn tail was never acknowledged, also when an index knows it", () => {
    const bad = [{ start: 90, end: 99, why: "torn", kind: "torn" as const }];
    const result = plan(slice(1, { segments: [segment(4, 90, 1, 5)], bad, indexedOnly: [indexed(6, false)] }));
    assert.deepEqual(verdictsOf(result), ["healed c/msgs.1.dat@90 0..0"]);
    assert.deepEqual([emptyOf(result), result.lastSequence], [[[]], 5]);
    assert.equal(result.slices[0]!.cut[0]!.keep, true);
  });

  it("stores 6.2: a last message whose bytes are there and wrong is lost, its sequence is not given again", () => {
    const bad = [{ start: 90, end: 130, why: "crc", kind: "torn" as const }];
    const result = plan(
      slice(1, { segments: [segment(4, 90, 1, 5)], bad, indexedOnly: [indexed(6, true), indexed(7, false)] }),
    );
    assert.deepEqual(verdictsOf(result), ["damaged c/msgs.1.dat@90 6..6"]);
    assert.deepEqual([emptyOf(result), result.lastSequence, worksOf(result)], [[["6@1:1006"]], 6, [
      "rewritten rewritten",
    ]]);
  });

  it("stores 11.4: what is lost in the middle is filled, with the time of the index or of the message before", () => {
    const bad = [{ start: 50, end: 70, why: "crc", kind: "damage" as const }];
    const segments = [segment(4, 50, 1, 2), segment(70, 90, 6, 6)];
    const result = plan(slice(1, { segments, bad, indexedOnly: [indexed(4, true)] }));
    assert.deepEqual(verdictsOf(result), ["damaged c/msgs.1.dat@50 3..5"]);
    assert.deepEqual(emptyOf(result), [["3@1:2", "4@1:1004", "5@1:1004"]]);
    assert.deepEqual(result.slices[0]!.pieces.map(({ kind }) => kind), ["copy", "empty", "empty", "empty", "copy"]);
  });

  it("bytes between two messages that follow each other are no loss", () => {
    const bad = [{ start: 50, end: 57, why: "no record", kind: "damage" as const }];
    const result = plan(slice(1, { segments: [segment(4, 50, 1, 2), segment(57, 90, 3, 4)], bad }));
    assert.deepEqual(verdictsOf(result), ["healed c/msgs.1.dat@50 0..0"]);
    assert.deepEqual([emptyOf(result), worksOf(result)], [[[]], ["rewritten rewritten"]]);
  });

  it("stores 6.5: a torn slice with others behind it has lost what is missing in between", () => {
    const bad = [{ start: 50, end: 57, why: "torn", kind: "torn" as const }];
    const result = plan(
      slice(1, { segments: [segment(4, 50, 1, 2)], bad }),
      slice(2, { segments: [segment(4, 90, 5, 6)] }),
    );
    assert.deepEqual(verdictsOf(result), ["damaged c/msgs.1.dat@50 3..4"]);
    assert.deepEqual(emptyOf(result), [["3@1:2", "4@1:2"], []]);
    assert.deepEqual(worksOf(result), ["rewritten rewritten", "stays stays"]);
  });

  it("nobody can know of messages before the first, unless an index does", () => {
    const bad = [{ start: 4, end: 50, why: "crc", kind: "damage" as const }];
    const segments = [segment(50, 90, 4, 5)];
    assert.deepEqual(verdictsOf(plan(slice(1, { segments, bad }))), ["healed c/msgs.1.dat@4 0..0"]);
    const known = plan(slice(1, { segments, bad, indexedOnly: [indexed(2, true), indexed(3, true)] }));
    assert.deepEqual(verdictsOf(known), ["damaged c/msgs.1.dat@4 2..3"]);
    assert.deepEqual([emptyOf(known), known.firstSequence], [[["2@1:1002", "3@1:1003"]], 2]);
  });

  it("a hole that is too long to fill is an obstacle, and no memory is spent on it", () => {
    const far = EMPTY_MESSAGES_MAX + 2;
    const fits = plan(
      slice(1, { segments: [segment(4, 50, 1, 1)] }),
      slice(2, { segments: [segment(4, 50, far, far)] }),
    );
    assert.equal(fits.obstacle, "");
    const result = plan(
      slice(1, { segments: [segment(4, 50, 1, 1)] }),
      slice(2, { segments: [segment(4, 50, far + 1, far + 1)] }),
    );
    assert.match(result.obstacle, /^1000001 empty messages would be needed/);
    assert.deepEqual(emptyOf(result), [[], []]);
  });

  it("stores 4.2: a wrong version stops a start; with good records behind it only the version is put right", () => {
    const result = plan(slice(1, { version: 2, segments: [segment(4, 50, 1, 2)] }));
    assert.deepEqual(verdictsOf(result), ["fatal c/msgs.1.dat@0 0..0"]);
    assert.match(result.findings[0]!.byRepair, /^the version is put right/);
    assert.deepEqual(worksOf(result), ["rewritten rewritten"]);
  });
});

describe("words of check and repair", () => {
  const item = (severity: Severity, channel = "") =>
    finding({ severity, channel, file: `${channel || "x"}/f`, text: "found", atStart: "start", byRepair: "repair" });

  it("the exit status is that of the worst finding", () => {
    assert.equal(statusOf([]), 0);
    assert.equal(statusOf([item("note")]), 0);
    assert.equal(statusOf([item("healed"), item("note")]), 1);
    assert.equal(statusOf([item("healed"), item("damaged"), item("note")]), 2);
    assert.equal(statusOf([item("fatal"), item("damaged")]), 3);
  });

  it("a place has file, byte, size and messages as far as they are known", () => {
    const fields = { severity: "damaged", file: "c/msgs.1.dat", text: "", atStart: "", byRepair: "" } as const;
    assert.equal(placeOf(finding(fields)), "c/msgs.1.dat");
    assert.equal(placeOf(finding({ ...fields, offset: 0, sizeBytes: 1 })), "c/msgs.1.dat at byte 0, 1 byte");
    assert.equal(
      placeOf(finding({ ...fields, offset: 4, sizeBytes: 20, firstSequence: 3, lastSequence: 3 })),
      "c/msgs.1.dat at byte 4, 20 bytes, message 3",
    );
    assert.equal(placeOf(finding({ ...fields, firstSequence: 3, lastSequence: 5 })), "c/msgs.1.dat, messages 3 to 5");
  });

  const report: StoreReport = {
    dir: "data",
    clusterId: "cid",
    isInUse: true,
    channels: [
      { name: "c", firstSequence: 1, lastSequence: 3, messageCount: 2, byteCount: 2048, subscriptionCount: 1 },
      { name: "e", firstSequence: 0, lastSequence: 0, messageCount: 0, byteCount: 0, subscriptionCount: 0 },
    ],
    findings: [item("note"), item("healed", "c"), item("damaged", "c")],
  };

  it("for people: the store, each channel with its findings, and what to do next", () => {
    assert.equal(
      reportText(report, "stanchion"),
      [
        'Store "data" of cluster "cid": 2 channels',
        "A server uses this directory: what it is writing at this moment may look incomplete",
        "  note    x/f: found",
        'Channel "c": messages 1 to 3 (2, 2.00 KB), 1 subscription',
        "  healed  c/f: found",
        "          at start: start",
        "          repair: repair",
        "  damaged c/f: found",
        "          at start: start",
        "          repair: repair",
        'Channel "e": no messages, 0 subscriptions',
        "Findings: 1 healed at the next start, 1 with a loss",
        "Keep a copy of the directory, stop its server, then: stanchion repair --dir data",
        "",
      ].join("\n"),
    );
    assert.match(reportText({ ...report, findings: [item("note")] }, "stanchion"), /\nSound\n$/);
  });

  it("for programs: the same as JSON", () => {
    const json = JSON.parse(reportJson(report));
    assert.deepEqual([json.status, json.verdict, json.in_use, json.channels.length], [2, "damaged", true, 2]);
    assert.deepEqual(Object.keys(json.findings[0]), [
      ...["severity", "channel", "file", "offset", "bytes", "first_seq", "last_seq", "text", "at_start", "by_repair"],
    ]);
    assert.equal(JSON.parse(reportJson({ ...report, isInUse: undefined })).in_use, null);
  });

  it("repair tells what it did, and what check says of it", () => {
    assert.equal(repairText([], { ...report, findings: [] }), 'Nothing to repair\nStore "data" is sound\n');
    assert.match(repairText(["did it"], report), /^did it\nStore "data": damaged\n {2}healed {2}c\/f/);
  });
});

describe("progress", () => {
  it("says how much is done and how long it takes", () => {
    assert.equal(progressLine(0, 0, 0), `[${"=".repeat(30)}] 100 %  0 B of 0 B, about 0 s left`);
    assert.equal(
      progressLine(1024, 4096, 1000),
      `[${"=======>".padEnd(30)}]  25 %  1.00 KB of 4.00 KB, about 3 s left`,
    );
    assert.equal(progressLine(9000, 4096, 1000), `[${"=".repeat(30)}] 100 %  4.00 KB of 4.00 KB, about 0 s left`);
  });

  it("shows nothing for quick work and nothing where nobody looks, and takes its line away", () => {
    for (const [errIsTerminal, shown] of [[true, 1], [false, 0]] as const) {
      let nowMs = 0;
      let out = "";
      const process = { errIsTerminal, writeErr: (text: string) => void (out += text) };
      const progress = new Progress(process, { monotonicMs: () => nowMs }, 100);
      progress.add(10);
      assert.equal(out, "");
      nowMs = 600;
      progress.add(10);
      progress.add(10);
      assert.equal(out.split(" 20 % ").length - 1, shown);
      progress.end();
      assert.equal(out.endsWith("\r\x1b[K"), errIsTerminal);
    }
  });
});
