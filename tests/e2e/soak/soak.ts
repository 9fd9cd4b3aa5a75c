/**
 * The soak: many applications at a real server for minutes, coming, going and dying as they do in life; then calm, and
 * everything must be right: every acked message reached everyone who was entitled to it, nobody is stuck, the monitor counts
 * what there is, memory is what it was, and the log has nothing to say.
 */
import process from "node:process";
import { Random } from "../../simulation/random.ts";
import {
  type ServerProcess,
  SMALL_MACHINE,
  startServerProcess,
  type TargetName,
  TestFolder,
} from "../../helpers/server_process.ts";
import { Application, pause, type Stage } from "./client.ts";
import { CHANNEL_MESSAGES, ChannelTruth, type Claim, Violations } from "./truth.ts";

/** How long and how much. */
export interface SoakOptions {
  /** Duration of the storm that is judged. */
  readonly stormMs: number;
  /** Storm before it, so that channels are full and everything that is compiled while it runs is. */
  readonly warmUpMs: number;
  readonly clients: number;
  readonly channels: number;
  readonly store: "memory" | "file";
  readonly seed: number;
  readonly target: TargetName;
  /** Memory may grow by this share from the calm after the warm-up to the last one; undefined: not judged. */
  readonly growthMax?: number | undefined;
  readonly tell: (text: string) => void;
}

/** What came out. */
export interface SoakReport {
  readonly violations: readonly string[];
  readonly violationCount: number;
  readonly counters: Readonly<Record<string, number>>;
  /** Resident bytes in the calm after the warm-up and in the last one. */
  readonly residentBytes: readonly [number, number];
  readonly cpuSeconds: number;
}

/** Durables of each application: always the same few, so that there are not more and more of them. */
const DURABLES_EACH = 4;
const WITNESS_COUNT = 4;
/** Clients without a subscription, whose IDs others want. */
const CONTESTED_COUNT = 4;
const REFUSED = "stan: clientID already registered";
/** Patient with a client that is late: this process may be, and the dead are known by the answer that nobody is there. */
const HEARTBEAT_FLAGS = ["-hbi", "2s", "-hbt", "5s", "-hbf", "3"];
/** A rival is judged only while this process answers heartbeats in time itself. */
const LAG_MS_MAX = 150;
/** The soak is over with so many violations. */
const VIOLATIONS_MAX = 100;
/** The time in which everything must come to its end after the storm: several ack waits, and heartbeats of the dead. */
const CALM_MS_MAX = 40_000;
const POLL_MS = 100;
/** Of the server's lines about a client, told with its violation. */
const SAID_LINES = 3;
/** How often the server stands still, and how long. */
const STALL_EVERY_MS = [3000, 12_000] as const;
const STALL_MS = [100, 2000] as const;
/** How often memory is looked at in a calm, every half second: the engine collects when it has been idle for some ten seconds. */
const LOOKS = 40;
/** Of queues and durables; a durable group is `D` and its queue. */
const NAMES = { plain: "", durable: "diary", group: "workers", "durable group": "shift" } as const;
/** Lines that dead clients, dropped messages and rivals cause. Whatever else is a warning or an error is a finding. */
const EXPECTED_LINES: readonly RegExp[] = [
  /\[ERR\] STREAM: \[Client:soak-\d+\] Timed out on heartbeats$/,
  /\[WRN\] STREAM: Reached limits for store "soak\.\d+" /,
  /\[WRN\] STREAM: (A message of channel .*|An answer) was sent to .* where nobody listens/,
  /\[WRN\] STREAM: Client ID "(contested|soak)-\d+" is in use: /,
  /\[WRN\] STREAM: Client ID "(contested|soak)-\d+" is taken over again /,
];

class Soak {
  readonly #options: SoakOptions;
  readonly #server: ServerProcess;
  readonly #monitorPort: number;
  readonly #violations: Violations;
  readonly #stage: Stage;
  readonly #witnesses: Application[] = [];
  readonly #contested: Application[] = [];
  readonly #applications: Application[] = [];
  #isStorm = false;
  /** How late a timer of ours came, lately and at worst. */
  #lagMs = 0;
  #lagMsMax = 0;
  /** How often it was late, and when it is to come again. */
  #lateCount = 0;
  #lagDueMs = 0;

  constructor(options: SoakOptions, server: ServerProcess) {
    this.#options = options;
    this.#violations = new Violations((text) => options.tell(`soak: violation: ${text}`));
    this.#server = server;
    this.#monitorPort = Number(/Starting http monitor on .*:(\d+)$/m.exec(server.log)?.[1]);
    const channels = Array.from(
      { length: options.channels },
      (_none, index) => new ChannelTruth(`soak.${index}`, this.#violations),
    );
    this.#stage = {
      port: server.port,
      random: new Random(options.seed),
      channels,
      counters: {},
      groups: new Map<string, Claim>(),
      violate: (text) => this.#violations.add(text + this.#saidOf(text)),
      nextNumber: 1,
      isCalm: false,
    };
    for (let i = 0; i < WITNESS_COUNT; i++) this.#witnesses.push(new Application(this.#stage, `witness-${i}`, true));
    for (let i = 0; i < CONTESTED_COUNT; i++) this.#contested.push(new Application(this.#stage, `contested-${i}`));
    for (let i = 0; i < options.clients; i++) this.#applications.push(new Application(this.#stage, `soak-${i}`));
  }

  async run(): Promise<SoakReport> {
    const options = this.#options;
    const { channels } = this.#stage;
    for (const application of [...this.#witnesses, ...this.#contested]) await application.start();
    for (const [index, channel] of channels.entries()) {
      const witness = this.#witnesses[index % WITNESS_COUNT]!;
      await witness.subscribe(channel, "plain", "witness");
      // The anchor: a group without a member is no group, and what it was due is forgotten.
      await witness.subscribe(channel, "group", NAMES.group);
    }
    options.tell(`soak: ${options.clients} clients, ${channels.length} channels, warm-up`);
    // A calm is part of it where memory is judged: what everybody catches up with then takes memory that is never given back.
    const stormCount = options.growthMax === undefined ? 1 : 2;
    for (let i = 0; i < stormCount; i++) {
      await this.#storm(options.warmUpMs / stormCount);
      await this.#calm();
    }
    const before = await this.#resident();
    options.tell(`soak: calm after the warm-up, ${megabytes(before)} MB, ${this.#summary()}`);
    const cpuBefore = await this.#cpuSeconds();
    await this.#storm(options.stormMs);
    const cpuSeconds = await this.#cpuSeconds() - cpuBefore;
    await this.#calm();
    const after = await this.#resident();
    options.tell(`soak: calm after the storm, ${megabytes(after)} MB, ${this.#summary()}`);
    if (options.growthMax !== undefined && after > before * (1 + options.growthMax)) {
      this.#violations.add(`memory grew from ${megabytes(before)} to ${megabytes(after)} MB`);
    }
    this.#stage.counters["dropped"] = [...this.#stage.groups.values()].reduce((sum, { dropped }) => sum + dropped, 0);
    await this.#goHome();
    this.#checkLog();
    return {
      violations: this.#violations.first,
      violationCount: this.#violations.count,
      counters: this.#stage.counters,
      residentBytes: [before, after],
      cpuSeconds,
    };
  }

  #summary(): string {
    const { counters } = this.#stage;
    const { publishes = 0, deliveries = 0, redeliveries = 0, kills = 0, reconnects = 0 } = counters;
    return `${publishes} publishes, ${deliveries} deliveries, ${redeliveries} redeliveries, ${kills} kills, ` +
      `${reconnects} reconnects, our own timers late by up to ${this.#lagMsMax.toFixed(0)} ms, ` +
      `${this.#violations.count} violations`;
  }

  /** What the server said last of the client that `text` begins with. */
  #saidOf(text: string): string {
    const [client = ""] = text.split(":", 1);
    const lines = this.#server.log.split("\n").filter((line) =>
      line.includes(`${client}]`) || line.includes(`"${client}"`)
    );
    return lines.length === 0 ? "" : `; the server said of it: ${lines.slice(-SAID_LINES).join(" | ")}`;
  }

  // Storm --------------------------------------------------------------------------------------------------------------

  async #storm(ms: number): Promise<void> {
    this.#isStorm = true;
    this.#stage.isCalm = false;
    const timer = setInterval(() => this.#options.tell(`soak: ${this.#summary()}`), 60_000);
    const lag = this.#watchLag();
    const endMs = performance.now() + ms;
    const lives = this.#applications.map((application) => this.#live(application));
    const stalls = this.#stallNowAndThen();
    while (performance.now() < endMs && this.#violations.count < VIOLATIONS_MAX) await pause(POLL_MS);
    this.#isStorm = false;
    clearInterval(timer);
    await Promise.all([...lives, stalls]);
    clearInterval(lag);
  }

  /** The server stands still, as on a machine that is moved or has too much to do; then everything comes at once. */
  async #stallNowAndThen(): Promise<void> {
    // Windows knows no such signals.
    if (process.platform === "win32") return;
    const { random, counters } = this.#stage;
    const { pid } = this.#server;
    while (this.#isStorm) {
      await this.#stay(random.between(...STALL_EVERY_MS));
      if (!this.#isStorm) return;
      process.kill(pid, "SIGSTOP");
      await pause(random.between(...STALL_MS));
      process.kill(pid, "SIGCONT");
      counters["stalls"] = (counters["stalls"] ?? 0) + 1;
    }
  }

  #watchLag(): ReturnType<typeof setInterval> {
    this.#lagDueMs = performance.now() + POLL_MS;
    return setInterval(() => {
      const nowMs = performance.now();
      const lateMs = nowMs - this.#lagDueMs;
      this.#lagMs = Math.max(lateMs, this.#lagMs * 0.8);
      this.#lagMsMax = Math.max(this.#lagMsMax, lateMs);
      if (lateMs >= LAG_MS_MAX) this.#lateCount++;
      this.#lagDueMs = nowMs + POLL_MS;
    }, POLL_MS);
  }

  /** Another program wants the ID of one that is there. */
  async #contest(): Promise<void> {
    const application = this.#stage.random.pick(this.#contested);
    if (!application.isConnected || this.#lagMs >= LAG_MS_MAX) return;
    const { clientId } = application;
    const before = this.#lateCount;
    const told = await application.beContested();
    if (told === REFUSED) return;
    const wasLate = this.#lateCount > before || performance.now() - this.#lagDueMs >= LAG_MS_MAX;
    if (!wasLate) this.#violations.add(`${clientId}: a rival was told "${told}"`);
    if (told === "") await application.restart();
  }

  async #live(application: Application): Promise<void> {
    const { random } = this.#stage;
    await pause(random.between(0, 2000));
    while (this.#isStorm && this.#violations.count < VIOLATIONS_MAX) {
      try {
        if (!application.isConnected) await application.start();
        await this.#deed(application);
      } catch (error) {
        // The server takes no connections any more.
        this.#violations.add(`${application.clientId}: ${error}`);
      }
      await pause(random.between(100, 700));
    }
  }

  async #deed(application: Application): Promise<void> {
    const { random, channels } = this.#stage;
    const dice = random.below(1000);
    if (dice < 680) {
      const channel = random.pick(channels);
      for (let left = random.between(1, 5); left > 0; left--) application.publish(channel);
    } else if (dice < 830) {
      if (application.held.size < 6) await this.#subscribe(application);
    } else if (dice < 930) {
      const all = [...application.held.values()];
      if (all.length > 0) await application.end(random.pick(all), random.chance(50));
    } else if (dice < 945) {
      application.kill();
      // Some are back before the server misses them, some after.
      await this.#stay(random.pick([0, 300, 2000, 12_000]));
    } else if (dice < 960) {
      await application.close();
      await this.#stay(random.between(0, 3000));
    } else if (dice < 975) {
      await application.reconnect(random.between(0, 1500));
    } else if (dice < 990) {
      await application.freeze(random.between(100, 1500));
    } else {
      await this.#contest();
    }
  }

  #subscribe(application: Application): Promise<boolean> {
    const { random, channels } = this.#stage;
    const kind = random.pick(["plain", "plain", "durable", "group", "durable group"] as const);
    if (kind === "durable") return this.#subscribeDurable(application);
    return application.subscribe(random.pick(channels), kind, NAMES[kind]);
  }

  #subscribeDurable(application: Application): Promise<boolean> {
    const { random, channels } = this.#stage;
    const choice = this.#applications.indexOf(application) + 13 * random.below(DURABLES_EACH);
    const channel = channels[choice % channels.length]!;
    // One that may or may not be there any more is left alone.
    const isDoubtful = application.doubtful.some((one) => one.channel === channel);
    return isDoubtful ? Promise.resolve(false) : application.subscribe(channel, "durable", NAMES.durable);
  }

  /** A pause that the end of the storm cuts short. */
  async #stay(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    while (this.#isStorm && performance.now() < endMs) await pause(POLL_MS);
  }

  // Calm ---------------------------------------------------------------------------------------------------------------

  /** Everybody is there, every durable and group has somebody; then nothing may be missing. */
  async #calm(): Promise<void> {
    this.#stage.isCalm = true;
    for (const application of this.#applications) {
      if (!application.isConnected) await application.start();
      for (const { channel, name } of application.doubtful.splice(0)) {
        await application.subscribe(channel, "durable", name);
        for (const held of application.held.values()) {
          if (held.kind === "durable" && held.channel === channel && held.name === name) {
            await application.end(held, true);
          }
        }
      }
      const active = new Set(
        [...application.held.values()].filter((held) => !held.isUnknown).map((held) => held.claim),
      );
      for (const [key, claim] of application.durables) {
        if (!active.has(claim)) await application.subscribe(claim.channel, "durable", key.split(" ")[1]!);
      }
    }
    for (const [key, claim] of this.#stage.groups) {
      const [, name = ""] = key.split(" ");
      if (name === NAMES["durable group"]) await this.#witnesses[0]!.subscribe(claim.channel, "durable group", name);
    }
    // One more for every channel, so that nothing stays behind because nothing follows.
    for (const channel of this.#stage.channels) this.#witnesses[0]!.publish(channel);
    const endMs = performance.now() + CALM_MS_MAX;
    let trouble: string;
    do {
      await pause(POLL_MS);
      trouble = this.#unfinished() || await this.#monitorTrouble();
    } while (trouble !== "" && performance.now() < endMs && this.#violations.count < VIOLATIONS_MAX);
    if (trouble !== "") {
      const monitor = await this.#monitorTrouble();
      this.#violations.add(`after ${CALM_MS_MAX / 1000} s of calm: ${trouble}; monitor: ${monitor || "all is well"}`);
    }
    for (const channel of this.#stage.channels) channel.checkAcked();
    for (const held of this.#witnesses[0]!.held.values()) {
      if (held.kind === "durable group") await this.#witnesses[0]!.end(held, false);
    }
  }

  /** The first thing that somebody still waits for; "" if there is none. */
  #unfinished(): string {
    const everybody = [...this.#witnesses, ...this.#contested, ...this.#applications];
    for (const application of everybody) {
      if (application.unackedCount > 0) {
        return `${application.clientId} waits for the acks of ${application.unackedCount} publishes`;
      }
      for (const { claim, channel } of application.held.values()) {
        const { missing } = claim;
        if (missing > 0) return `${claim.name} has no message ${missing} of ${channel.last}${claim.describe(missing)}`;
      }
    }
    for (const claim of this.#stage.groups.values()) {
      const { missing } = claim;
      if (missing > 0) return `${claim.name} has no message ${missing} of ${claim.channel.last}`;
    }
    return "";
  }

  /** What the monitoring pages say that is not so; "" if everything agrees. */
  async #monitorTrouble(): Promise<string> {
    const everybody = [...this.#witnesses, ...this.#contested, ...this.#applications].filter((application) =>
      application.isConnected
    );
    const held = everybody.flatMap((application) => [...application.held.values()]);
    const server = await this.#page("serverz");
    const { channels, counters } = this.#stage;
    const expected: Record<string, number> = {
      clients: everybody.length,
      subscriptions: held.length,
      channels: channels.length,
      in_msgs: counters["publishes"] ?? 0,
      total_msgs: channels.reduce((sum, { last }) => sum + Math.min(CHANNEL_MESSAGES, last), 0),
    };
    for (const [what, value] of Object.entries(expected)) {
      // A publish that was under way when its client was killed never came.
      const isRight = what === "in_msgs" ? Number(server[what]) <= value : server[what] === value;
      if (!isRight) return `serverz counts ${server[what]} ${what}, there are ${value}`;
    }
    const clients = await this.#page("clientsz?limit=10000");
    const counted = new Map((clients["clients"] as { id: string; subs_count: number }[]).map((one) => [one.id, one]));
    for (const { clientId, held } of everybody) {
      const count = counted.get(clientId)?.subs_count;
      if (count !== held.size) return `clientsz counts ${count} subscriptions of ${clientId}, there are ${held.size}`;
    }
    return this.#channelTrouble(await this.#page("channelsz?subs=1&limit=10000"));
  }

  #channelTrouble(page: Record<string, unknown>): string {
    const shown = new Map((page["channels"] as ChannelPage[]).map((one) => [one.name, one]));
    for (const { name, last } of this.#stage.channels) {
      const channel = shown.get(name);
      if (channel?.last_seq !== last) return `channelsz shows ${channel?.last_seq} as last of ${name}, it is ${last}`;
      for (const one of channel.subscriptions ?? []) {
        const who = `${one.client_id} at ${one.inbox} of ${name}`;
        if (one.pending_count !== 0) return `${who} has ${one.pending_count} pending`;
        if (one.is_stalled) return `${who} is stalled`;
        // A member of a group is where its last message was.
        if (one.queue_name === undefined && !one.is_offline && one.last_sent !== last) {
          return `${who} stands at ${one.last_sent} of ${last}`;
        }
      }
    }
    return "";
  }

  /** All but the witnesses leave; what is left are their subscriptions, offline durables and groups. */
  async #goHome(): Promise<void> {
    const durables = this.#applications.reduce((sum, { durables }) => sum + durables.size, 0);
    for (const application of [...this.#contested, ...this.#applications]) await application.close();
    const kept = this.#witnesses.reduce((sum, { held }) => sum + held.size, 0);
    const shadows = [...this.#stage.groups.keys()].filter((key) => key.endsWith(" shift")).length;
    const server = await this.#page("serverz");
    const expected = { clients: WITNESS_COUNT, subscriptions: durables + kept + shadows };
    for (const [what, value] of Object.entries(expected)) {
      if (server[what] !== value) {
        this.#violations.add(`at the end serverz counts ${server[what]} ${what}, not ${value}`);
      }
    }
    for (const witness of this.#witnesses) await witness.close();
  }

  #checkLog(): void {
    for (const line of this.#server.log.split("\n")) {
      if (!/\[(WRN|ERR|FTL)\]/.test(line)) continue;
      if (!EXPECTED_LINES.some((expected) => expected.test(line))) this.#violations.add(`the log says: ${line}`);
    }
  }

  // The server ---------------------------------------------------------------------------------------------------------

  async #page(path: string): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.#monitorPort}/streaming/${path}`);
    return await response.json() as Record<string, unknown>;
  }

  /** The lowest of a few looks: what waits for collection is not what is held. */
  async #resident(): Promise<number> {
    let lowest = Infinity;
    const looks = this.#options.growthMax === undefined ? 1 : LOOKS;
    for (let look = 0; look < looks; look++) {
      await pause(500);
      lowest = Math.min(lowest, this.#server.process.residentBytes() ?? NaN);
    }
    return lowest;
  }

  async #cpuSeconds(): Promise<number> {
    if (process.platform !== "linux") return NaN;
    const { cpuMicrosOf } = await import("../../bench/processes.ts");
    return (cpuMicrosOf(this.#server.pid) ?? NaN) / 1e6;
  }
}

interface ChannelPage {
  readonly name: string;
  readonly last_seq: number;
  readonly subscriptions?: readonly {
    readonly client_id: string;
    readonly inbox: string;
    readonly queue_name?: string;
    readonly pending_count: number;
    readonly last_sent: number;
    readonly is_stalled: boolean;
    readonly is_offline: boolean;
  }[];
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** Of a server that ended by itself: what it said last. */
const LAST_LINES = 40;

/** Rejects when the server ends, with its status and its last words. */
async function untilItEnds({ process }: ServerProcess): Promise<never> {
  const status = await process.exit;
  const words = `${process.stdout}\n${process.stderr}`.split("\n").slice(-LAST_LINES).join("\n");
  throw new Error(`the server ended with status ${status}; the last lines of its output:\n${words}`);
}

/** Starts a server, soaks it, and stops it; rejects if it ends before. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  using folder = new TestFolder();
  const store = options.store === "file" ? ["-store", "FILE", "-dir", folder.file("store")] : [];
  const limits = ["-mm", String(CHANNEL_MESSAGES), "-msu", "0"];
  const server = await startServerProcess(options.target, {
    args: ["-m", "-1", ...limits, ...HEARTBEAT_FLAGS, ...store],
    env: SMALL_MACHINE,
  });
  try {
    return await Promise.race([new Soak(options, server).run(), untilItEnds(server)]);
  } finally {
    await server.stop();
  }
}
