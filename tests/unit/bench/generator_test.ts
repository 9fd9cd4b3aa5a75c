import { test } from "node:test";
import assert from "node:assert/strict";
import { runJob } from "../../bench/generator.ts";
import { startNullServer } from "../../bench/null_server.ts";
import { type CaseKind, type Job, JOB_DEFAULTS, type RunResult } from "../../bench/run.ts";
import { listenRaw } from "../../bench/raw_socket.ts";
import { bytesField, bytesOf, joinBytes, longName, msgFrame, pubFrame, textOf } from "../../bench/frames.ts";
import { SequenceTally } from "../../bench/stan_session.ts";

async function againstNull(kind: CaseKind, more: Partial<Job>): Promise<RunResult> {
  const server = await startNullServer(0);
  try {
    return await runJob({ ...JOB_DEFAULTS, kind, port: server.port, ...more });
  } finally {
    server.stop();
  }
}

const COUNTED: readonly (readonly [CaseKind, Partial<Job>, number])[] = [
  ["core-void", { messages: 5000 }, 5000],
  ["core-pubsub", { messages: 5000, warmup: 100, subscribers: 3 }, 15_000],
  ["core-pubsub", { messages: 5000, publishers: 5, pairs: true }, 5000],
  // A number of messages, and of subjects, that no chunk ends with.
  ["core-pubsub", { messages: 4999, warmup: 101, subjects: 7 }, 4999],
  ["core-pubsub", { messages: 5000, subscribers: 3, subjects: 1000 }, 15_000],
  ["core-request", { messages: 100, warmup: 10 }, 100],
  ["stan-publish", { messages: 5000, warmup: 500, window: 64 }, 5000],
  ["stan-publish", { messages: 5000, publishers: 5, sizeBytes: 1024 }, 5000],
  ["stan-publish", { messages: 6, sizeBytes: 1_000_000, window: 2 }, 6],
  ["stan-sync", { messages: 100, warmup: 10 }, 100],
  ["stan-replay", { messages: 20_000, warmup: 200 }, 20_000],
  ["stan-replay", { messages: 2000, subscribers: 3, sizeBytes: 1024 }, 6000],
  ["stan-replay", { messages: 5000, subscribers: 5, queue: true }, 5000],
  ["stan-live", { messages: 20_000, warmup: 200 }, 20_000],
  ["stan-live", { messages: 2000, subscribers: 10 }, 20_000],
  ["stan-live", { messages: 5000, subscribers: 5, queue: true }, 5000],
  ["stan-receipt", { messages: 100, warmup: 10 }, 100],
  ["stan-clients", { messages: 20, window: 4 }, 20],
  ["stan-subscriptions", { messages: 50, window: 8, publishers: 2 }, 50],
  ["stan-channels", { messages: 50, window: 8 }, 50],
];

for (const [kind, more, expected] of COUNTED) {
  test(`targets: ${kind} ${JSON.stringify(more)} reaches its count`, async () => {
    assert.equal((await againstNull(kind, more)).messages, expected);
  });
}

/** Multiples of `every` from `first` on, below `end`. */
const multiples = (first: number, end: number, every: number) => Math.ceil(end / every) - Math.ceil(first / every);

/** With the count of latencies: one for each sampled message and end that it reaches, none of the warm-up. */
const TIMED: readonly (readonly [CaseKind, Partial<Job>, number])[] = [
  ["core-pubsub", { messages: 5000, warmup: 100, subscribers: 3, sampleEvery: 64 }, 3 * multiples(100, 5100, 64)],
  ["core-pubsub", { messages: 5000, publishers: 5, pairs: true, sampleEvery: 64 }, 5 * multiples(0, 1000, 64)],
  ["core-pubsub", { messages: 5000, warmup: 33, sampleEvery: 1 }, 5000],
  ["core-pubsub", { messages: 5000, warmup: 33, subjects: 1000, sampleEvery: 64 }, multiples(33, 5033, 64)],
  ["core-slow", { messages: 5000, warmup: 100, sampleEvery: 32 }, multiples(5100, 10_100, 32)],
  ["core-connect", { messages: 20, window: 4, sampleEvery: 1 }, 20],
  ["core-request", { messages: 100, warmup: 10 }, 100],
  ["stan-publish", { messages: 5000, warmup: 500, window: 64, sampleEvery: 64 }, multiples(0, 5000, 64)],
  ["stan-publish", { messages: 5000, window: 63, sampleEvery: 1 }, 5000],
  ["stan-publish", { messages: 5000, publishers: 5, sizeBytes: 1024, sampleEvery: 16 }, 5 * multiples(0, 1000, 16)],
  ["stan-publish", { messages: 6, sizeBytes: 1_000_000, window: 2, sampleEvery: 1 }, 6],
  ["stan-sync", { messages: 100, warmup: 10 }, 100],
  ["stan-live", { messages: 20_000, warmup: 200, sampleEvery: 64 }, multiples(0, 20_000, 64)],
  ["stan-live", { messages: 2000, subscribers: 10, sampleEvery: 64 }, 10 * multiples(0, 2000, 64)],
  ["stan-live", { messages: 5000, subscribers: 5, queue: true, sampleEvery: 16 }, multiples(0, 5000, 16)],
  ["stan-receipt", { messages: 100, warmup: 10 }, 100],
  ["stan-clients", { messages: 20, window: 4, sampleEvery: 1 }, 20],
  ["stan-subscriptions", { messages: 50, window: 8, publishers: 2, sampleEvery: 1 }, 50],
  ["stan-channels", { messages: 50, window: 8, sampleEvery: 1 }, 50],
];

for (const [kind, more, expected] of TIMED) {
  test(`targets: ${kind} ${JSON.stringify(more)} times ${expected} messages from end to end`, async () => {
    const { latencyMicros, seconds } = await againstNull(kind, more);
    assert.ok(latencyMicros !== undefined);
    const { count, dropped, p50, p99, p999, max } = latencyMicros;
    assert.deepEqual({ count, dropped }, { count: expected, dropped: 0 });
    // Every timed message left and arrived while the clock of the run went.
    assert.ok(
      p50 > 0 && p50 <= p99 && p99 <= p999 && p999 <= max && max <= seconds * 1e6,
      JSON.stringify(latencyMicros),
    );
  });
}

for (const kind of ["core-void", "stan-replay"] as const) {
  test(`targets: ${kind} has no latency even if samples are asked for`, async () => {
    assert.equal((await againstNull(kind, { messages: 5000, warmup: 500, sampleEvery: 16 })).latencyMicros, undefined);
  });
}

test("targets: a case under load that is asked for no samples has no latency", async () => {
  for (const kind of ["core-pubsub", "stan-publish", "stan-live", "stan-subscriptions"] as const) {
    assert.equal((await againstNull(kind, { messages: 100 })).latencyMicros, undefined, kind);
  }
});

test("targets: live latency with several publishers is refused, as sequences do not tell them apart", async () => {
  await assert.rejects(
    againstNull("stan-live", { messages: 100, publishers: 2, sampleEvery: 1 }),
    /several publishers/,
  );
});

/** Runs a job against a server whose answer to each request `answer` makes. */
async function againstScript(job: Partial<Job>, answer: (subject: string, reply: string) => Uint8Array): Promise<void> {
  const server = await listenRaw("127.0.0.1", 0, (socket) => {
    const say = (bytes: Uint8Array): void => void socket.write(bytes, 0, bytes.length);
    say(bytesOf("INFO {}\r\n"));
    return {
      data(chunk) {
        const text = textOf(chunk);
        if (text.includes("PING\r\n")) say(bytesOf("PONG\r\n"));
        for (const match of text.matchAll(/PUB (\S+) (\S+) \d+\r\n/g)) say(answer(match[1] ?? "", match[2] ?? ""));
      },
      drain() {},
      close() {},
    };
  });
  try {
    await runJob({ ...JOB_DEFAULTS, kind: "stan-publish", port: server.port, messages: 100, limitMs: 5000, ...job });
  } finally {
    server.stop();
  }
}

const CONNECTED = joinBytes([bytesField(1, "P"), bytesField(2, "S"), bytesField(4, "C")]);

test("nats-server 3.9: -ERR fails the run", async () => {
  const job = againstScript({ kind: "core-request" }, () => bytesOf("-ERR 'Authorization Violation'\r\n"));
  await assert.rejects(job, /Authorization/);
});

test("nats-server 3.8: a 503 instead of a connect response fails the run", async () => {
  const job = againstScript({}, (_subject, reply) => bytesOf(`HMSG ${reply} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`));
  await assert.rejects(job, /nobody answers/);
});

test("streaming-protocol 7.1: a refused connect fails the run with the server's words", async () => {
  const refusal = bytesField(5, "stan: clientID already registered");
  const job = againstScript({}, (_subject, reply) => msgFrame(reply, 1, "", refusal));
  await assert.rejects(job, /already registered/);
});

test("streaming-protocol 11.1: a PubAck with an error fails the run with the server's words", async () => {
  const refusal = joinBytes([bytesField(1, longName("")), bytesField(2, "stan: invalid publish request")]);
  const job = againstScript(
    { window: 1 },
    (subject, reply) =>
      subject.startsWith("_STAN.discover") ? msgFrame(reply, 1, "", CONNECTED) : msgFrame(reply, 2, "", refusal),
  );
  await assert.rejects(job, /invalid publish request/);
});

test("streaming-protocol 11.5: a second ack of the same message fails the run", async () => {
  const first = bytesField(1, longName(""));
  const job = againstScript(
    { window: 1 },
    (subject, reply) =>
      subject.startsWith("_STAN.discover")
        ? msgFrame(reply, 1, "", CONNECTED)
        : joinBytes([msgFrame(reply, 2, "", first), msgFrame(reply, 2, "", first)]),
  );
  await assert.rejects(job, /twice or for a message never sent/);
});

test("streaming-protocol 26: a missing, doubled or unknown sequence fails the run", () => {
  const plain = new SequenceTally(3, false);
  plain.take(1);
  assert.throws(() => plain.take(3), /expected 2/);
  assert.throws(() => plain.take(1), /expected 2/);
  const shared = new SequenceTally(3, true);
  shared.take(3);
  shared.take(1);
  assert.throws(() => shared.take(3), /twice/);
  assert.throws(() => shared.take(4), /never published/);
  assert.throws(() => shared.take(0), /never published/);
});

test("a server that stops answering is a stall, not an endless run", async () => {
  const server = await listenRaw("127.0.0.1", 0, (socket) => {
    const hello = bytesOf("INFO {}\r\n");
    socket.write(hello, 0, hello.length);
    return { data() {}, drain() {}, close() {} };
  });
  try {
    const job = { ...JOB_DEFAULTS, kind: "core-void" as const, port: server.port, stallMs: 1, limitMs: 60_000 };
    await assert.rejects(runJob(job), /stalled/);
  } finally {
    server.stop();
  }
});

test("streaming-protocol 6.1: names have the length client libraries give them", () => {
  assert.equal(longName("b").length, 22);
  assert.equal(longName("x".repeat(40)).length, 22);
  assert.equal(pubFrame("s", "", bytesOf("a")).length, "PUB s 1\r\na\r\n".length);
});
