import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions, type Options, parseCommandLine } from "../../../src/config/options.ts";
import { COMMIT, programRole, VERSION, versionText } from "../../../src/config/version.ts";

function run(...args: string[]): Options {
  const parsed = parseCommandLine(args, "stanchion");
  if (parsed.kind !== "run") throw new Error(`${parsed.kind}: ${JSON.stringify(parsed)}`);
  return parsed.options;
}

function refused(...args: string[]) {
  const parsed = parseCommandLine(args, "stanchion");
  if (parsed.kind !== "error") throw new Error(`not refused: ${args.join(" ")}`);
  return parsed;
}

test("operations 1.1: no arguments give the defaults, frozen", () => {
  const options = run();
  assert.deepEqual(options, defaultOptions());
  assert.equal(Object.isFrozen(options), true);
  assert.equal(Object.isFrozen(options.limits), true);
  assert.equal(Object.isFrozen(options.limits.perChannel), true);
  assert.equal(options.coreOnly, false);
});

test("operations 13.1, 13.12: aliases share one value and the last one wins", () => {
  for (const args of [["--cid", "x"], ["-cid", "x"], ["-cid=x"], ["--cluster_id=x"]]) {
    assert.equal(run(...args).clusterId, "x");
  }
  assert.equal(run("-ma", "2h", "--max_age", "3h").limits.maxAgeMs, 10_800_000);
  assert.equal(run("--max_age", "3h", "-ma", "2h").limits.maxAgeMs, 7_200_000);
});

test("operations 13.5: -SD=T -mm 0x10 -mc 1_000", () => {
  const options = run("-SD=T", "-mm", "0x10", "-mc", "1_000");
  assert.equal(options.log.streamingDebug, true);
  assert.equal(options.limits.maxMessages, 16);
  assert.equal(options.limits.maxChannels, 1000);
});

test("operations 13.6: sizes, and the error that names the flag as typed", () => {
  assert.equal(run("-mb", "10KB").limits.maxBytes, 10_240);
  assert.equal(run("-max_bytes=10k").limits.maxBytes, 10_000);
  const parsed = refused("-mb", "10XB");
  assert.equal(parsed.messages[0], "mb should be a size, got '10XB'");
  assert.equal(parsed.exitCode, 1);
  assert.equal(refused("--max_bytes", "10 MB").messages[0], "max_bytes should be a size, got '10 MB'");
  assert.equal(run("-mb", "10XB", "-mb", "1k").limits.maxBytes, 1000);
});

test("operations 1.3, 1.4: every available option reaches its field", () => {
  const text =
    "-p -1 -a 127.0.0.1 -m 8222 -st memory -l f.log -log_size_limit 5 -T=false -P f.pid -n srv -max_traced_msg_len 9 " +
    "-client_advertise h:1 -mc 1 -msu 2 -mm 3 -mb 4 -ma 5s -mi 6s -hbi 7s -hbt 8s -hbf 9 -replace_durable " +
    "-io_batch_size 10 -io_sleep_time 11 -D -V -SD -SV -cid c -logtime_utc -s -r udp://h:1 -ports_file_dir d";
  const options = run(...text.split(" "));
  const expected = defaultOptions();
  assert.deepEqual(options, {
    ...expected,
    clusterId: "c",
    host: "127.0.0.1",
    port: -1,
    httpPort: 8222,
    limits: {
      maxChannels: 1,
      maxSubscriptions: 2,
      maxMessages: 3,
      maxBytes: 4,
      maxAgeMs: 5_000,
      maxInactivityMs: 6_000,
      perChannel: [],
    },
    heartbeat: { intervalMs: 7_000, timeoutMs: 8_000, failCount: 9 },
    replaceDurable: true,
    ioBatchSize: 10,
    ioSleepTimeUs: 11,
    nats: { ...expected.nats, serverName: "srv", clientAdvertise: "h:1" },
    log: {
      file: "f.log",
      syslog: true,
      remoteSyslog: "udp://h:1",
      sizeLimitBytes: 5,
      time: false,
      utc: true,
      debug: true,
      trace: true,
      streamingDebug: true,
      streamingTrace: true,
      maxTracedMessageBytes: 9,
    },
    pidFile: "f.pid",
    portsFileDir: "d",
  });
});

test("operations 1.2 step 6: -DV and -SDV count after the single switches, false clears both", () => {
  const core = run("-DV=false", "-D", "-V").log;
  assert.deepEqual([core.debug, core.trace], [false, false]);
  const both = run("-DV", "-SDV").log;
  assert.deepEqual([both.debug, both.trace, both.streamingDebug, both.streamingTrace], [true, true, true, true]);
  const streaming = run("-SD", "-SDV=false", "-D").log;
  assert.deepEqual([streaming.streamingDebug, streaming.streamingTrace, streaming.debug], [false, false, true]);
  const verbose = run("-VV").log;
  assert.deepEqual([verbose.debug, verbose.trace], [false, true]);
  const all = run("-DVV").log;
  assert.deepEqual([all.debug, all.trace], [true, true]);
});

test("operations 13.8, 13.9: version and help as flag or word, in any case", () => {
  for (const arg of ["version", "VERSION", "-v", "--version", "-v=true"]) {
    assert.equal(parseCommandLine([arg], "stanchion").kind, "version", arg);
  }
  for (const arg of ["help", "Help", "-h", "--help"]) {
    assert.equal(parseCommandLine([arg], "stanchion").kind, "help", arg);
  }
  assert.equal(parseCommandLine(["--help_tls"], "stanchion").kind, "helpTls");
  assert.equal(parseCommandLine(["-h", "-v"], "stanchion").kind, "version");
  assert.equal(parseCommandLine(["-v", "stray"], "stanchion").kind, "version");
  assert.equal(parseCommandLine(["help", "more"], "stanchion").kind, "help");
  assert.equal(parseCommandLine(["-v=false"], "stanchion").kind, "run");
  // A mistake in the grammar comes first.
  assert.equal(parseCommandLine(["-v", "-bogus"], "stanchion").kind, "error");
});

test("decisions 6: errors of the grammar end with status 2, a hint, and no help text", () => {
  const parsed = refused("-clusterid", "x");
  assert.deepEqual(parsed.messages, [
    "flag provided but not defined: -clusterid (did you mean -cluster_id?)",
    'Run "stanchion --help" to see the options.',
  ]);
  assert.equal(parsed.exitCode, 2);
  assert.equal(parsed.startFailure, false);
  for (const args of [["-mm", "abc"], ["-SD=maybe"], ["-hbi", "10"], ["-p"], ["---x"]]) {
    assert.equal(refused(...args).exitCode, 2, args.join(" "));
  }
});

test("operations 13.4, 13.11: a stray word ends with status 1; after a boolean flag the hint shows how", () => {
  const parsed = refused("foo");
  assert.equal(parsed.messages[0], 'unrecognized command: "foo"');
  assert.equal(parsed.exitCode, 1);
  const afterFlag = refused("-SD", "true");
  assert.equal(afterFlag.messages[0], 'unrecognized command: "true"');
  assert.match(afterFlag.messages[1] ?? "", /-SD=true$/);
  assert.equal(refused("-clustered", "true").messages[0], 'unrecognized command: "true"');
  assert.equal(refused("-SD=true", "true").messages[1], 'Run "stanchion --help" to see the options.');
});

test("operations 13.15: store types in any case", () => {
  assert.equal(run("-st", "memory").store, "MEMORY");
  const parsed = refused("-st", "foo");
  assert.deepEqual(parsed.messages, ["unsupported store type: FOO"]);
  assert.deepEqual([parsed.exitCode, parsed.startFailure], [1, "streaming"]);
  const later = refused("-store", "SQL");
  assert.match(later.messages[0] ?? "", /^store type SQL is not available in this version of stanchion: /);
  assert.equal(later.exitCode, 2);
});

test("stores 5.1: the FILE store, its options, and the reference's texts for wrong ones", () => {
  const { store, file } = run("-store", "file", "-dir", "data", "-file_sync=false", "-file_slice_max_bytes", "1MB");
  assert.equal(store, "FILE");
  assert.deepEqual([file.dir, file.sync, file.sliceMaxBytes, file.crc], ["data", false, 1_048_576, true]);
  const wrong: readonly (readonly [string[], string])[] = [
    [["-dir", ""], "for FILE stores, root directory must be specified"],
    [["-file_buffer_size", "-1"], "buffer size value must be a positive number"],
    [["-file_compact_interval", "0"], "compact interval value must at least be 1 seconds"],
    [["-file_compact_frag", "0"], "compact fragmentation value must at least be 1"],
    [["-file_compact_min_size", "-1"], "compact minimum file size value must be a positive number"],
    [["-file_crc_poly", "0"], "crc polynomial should be between 1 and 4294967295"],
    [["-file_crc_poly", "4294967296"], "crc polynomial should be between 1 and 4294967295"],
    [["-file_slice_max_msgs", "-1"], "slice max values must be positive numbers"],
    [["-file_slice_max_age", "-1s"], "slice max values must be positive numbers"],
    [["-file_fds_limit", "-1"], "file descriptor limit must be a positive number"],
    [["-file_parallel_recovery", "0"], "parallel recovery value must be at least 1"],
    [["-file_read_buffer_size", "-1"], "read buffer size value must be a positive number"],
  ];
  for (const [args, reason] of wrong) {
    const parsed = refused("-store", "FILE", "-dir", "data", ...args);
    assert.deepEqual(parsed.messages, [reason], args.join(" "));
    assert.deepEqual([parsed.exitCode, parsed.startFailure], [1, "streaming"]);
  }
});

test("operations 13.17, stores 2.2: negative limits are start failures with the reference's texts", () => {
  const cases: readonly (readonly [string[], string])[] = [
    [["-mc", "-1"], "max channels limit cannot be negative (-1)"],
    [["-msu", "-1"], "max subscriptions limit cannot be negative (-1)"],
    [["-mm", "-5"], "max messages limit cannot be negative (-5)"],
    [["-mb", "-1k"], "max bytes limit cannot be negative (-1000)"],
    [["-ma", "-1h"], "max age limit cannot be negative (-1h0m0s)"],
    [["-mi", "-1ms"], "max inactivity limit cannot be negative (-1ms)"],
  ];
  for (const [args, text] of cases) {
    const parsed = refused(...args);
    assert.deepEqual(parsed.messages, [text]);
    assert.deepEqual([parsed.exitCode, parsed.startFailure], [1, "streaming"]);
  }
});

test("operations 1.5: a cluster ID that cannot be a subject keeps the reference's reason", () => {
  for (const id of ["", "a b", "a..b", ".a"]) {
    const parsed = refused(`-cid=${id}`);
    assert.match(parsed.messages[0] ?? "", /^could not subscribe to discover subject: nats: invalid subject/);
    assert.equal(parsed.startFailure, "streaming");
  }
  assert.equal(run("-cid=a.b").clusterId, "a.b");
});

test("values out of sense are refused, values with a meaning of their own are made plain", () => {
  assert.equal(refused("-p", "70000").startFailure, "streaming");
  assert.equal(refused("-m", "-2").startFailure, "streaming");
  assert.equal(refused("-hbi", "0").startFailure, "streaming");
  assert.equal(refused("-hbf", "-1").startFailure, "streaming");
  const options = run("-p", "0", "-a", "", "-io_batch_size", "0", "-io_sleep_time", "-1", "-log_size_limit", "-1");
  assert.deepEqual(
    [options.port, options.host, options.ioBatchSize, options.ioSleepTimeUs, options.log.sizeLimitBytes],
    [4222, "0.0.0.0", 1, 0, 0],
  );
});

test("several unavailable flags are told at once, under the names as typed", () => {
  const parsed = refused("--sql_source", "data", "-ft_group", "g", "-clustered");
  assert.equal(parsed.messages.length, 4);
  assert.match(parsed.messages[0] ?? "", /^flag -sql_source is not available/);
  assert.match(parsed.messages[1] ?? "", /^flag -ft_group is not available/);
  assert.match(parsed.messages[2] ?? "", /^flag -clustered is not available/);
});

test("decisions 1, 2: the name decides what runs and how the version is told", () => {
  assert.equal(VERSION, "0.1.0");
  assert.equal(COMMIT, "[not set]");
  assert.equal(
    versionText("nats-streaming-server"),
    "nats-streaming-server version 0.25.6-stanchion.0.1.0, nats-server: v2.9.24",
  );
  assert.equal(versionText("stanchion"), "stanchion version 0.1.0 (NATS Streaming 0.25.6, NATS 2.9.24)");
  assert.equal(versionText("nats-server"), "nats-server: v2.9.24");
  assert.equal(programRole("nats-server.exe"), "nats-server");
  assert.equal(programRole("stanchion-0.1"), "stanchion");
  const core = parseCommandLine(["-p", "5000"], "nats-server");
  assert.equal(core.kind === "run" && core.options.coreOnly, true);
});

test("operations 13.7: durations", () => {
  assert.equal(run("-ma", "1h2m").limits.maxAgeMs, 3_720_000);
  assert.equal(run("-ma", "0").limits.maxAgeMs, 0);
  assert.equal(refused("-ma", "10").messages[0], 'invalid value "10" for flag -ma: parse error');
});

test("operations 13.71: HTTP and HTTPS together, and HTTPS without TLS, are failures that the core server tells", () => {
  const both = refused("-m", "8222", "-ms", "8223");
  assert.deepEqual([both.exitCode, both.startFailure], [1, "core"]);
  assert.deepEqual(both.messages, [
    "Can't start monitoring: can't specify both HTTP (8222) and HTTPs (8223) ports",
  ]);
  const alone = refused("-https_port", "8223");
  assert.equal(alone.startFailure, "core");
  assert.deepEqual(alone.messages, ["Can't start monitoring: TLS cert and key required for HTTPS"]);
  assert.equal(run("-m", "8222", "-ms", "0").httpPort, 8222);
  assert.equal(refused("-ms", "70000").startFailure, "streaming");
});

test("operations 1.5: a failed start is told where the log goes, but for -t", () => {
  assert.equal(refused("-mc", "-1", "-l", "f.log").log.file, "f.log");
  assert.equal(refused("-st", "foo", "-l", "f.log").log.file, "f.log");
  assert.equal(refused("-bogus").log.file, "");
  const sources = { readFile: () => ({ ok: true, text: "log_file: f.log" }) as const, env: () => undefined };
  const checked = parseCommandLine(["-t", "-c", "f.conf", "-mc", "-1"], "stanchion", sources);
  assert.ok(checked.kind === "error" && checked.log.file === "");
});

test("operations 1.2 step 4: -sl comes after help and version, and before everything that starts a server", () => {
  const signal = (...args: string[]) => parseCommandLine(args, "stanchion");
  assert.deepEqual(signal("-sl", "quit=5", "-c", "missing.conf", "-mc", "-1"), { kind: "signal", signal: "quit=5" });
  assert.deepEqual(signal("--signal=reload"), { kind: "signal", signal: "reload" });
  assert.equal(signal("-sl", "quit", "-v").kind, "version");
  assert.equal(signal("-sl", "quit", "word").kind, "error");
  assert.equal(signal("-sl", "").kind, "run");
});

test("operations 1.4: what has no effect is accepted with a warning, unless it asks for nothing", () => {
  const notes = (...args: string[]) => {
    const parsed = parseCommandLine(args, "stanchion");
    return parsed.kind === "run" ? parsed.notes.map(({ level, text }) => `${level}: ${text}`) : parsed;
  };
  assert.deepEqual(notes("-profile", "6060"), [
    "warning: -profile has no effect: there is no profiling port; the monitoring port (-m) shows what the server does",
  ]);
  assert.deepEqual(notes("-profile", "0", "-secure=false", "-syslog_name="), []);
  assert.equal((notes("-secure", "-tls_client_cacert", "ca.pem") as string[]).length, 2);
});

test("operations 14.45: secrets on the command line are warned about and quoted nowhere", () => {
  for (const [args, flag] of [[["-user", "u", "-pass", "s3cret"], "-pass"], [["-auth", "s3cret"], "-auth"]] as const) {
    const parsed = parseCommandLine(args, "stanchion");
    assert.ok(parsed.kind === "run");
    assert.match(parsed.notes[0]?.text ?? "", new RegExp(`^${flag} on the command line can be read by everybody`));
    assert.ok(!JSON.stringify(parsed.notes).includes("s3cret"));
  }
  assert.deepEqual((parseCommandLine(["-user", "u"], "stanchion") as { notes: unknown }).notes, []);
});
