/**
 * The one table of commands. Their help, the completions of the shells and docs/command_line.md are made from it, so they
 * cannot disagree; `run_command.ts` says which module does the work. Data only.
 */
import { assert } from "../base/assert.ts";
import { type CommandName, COMMANDS } from "../config/commands.ts";
import type { OptionRow, OptionType } from "../config/option_table.ts";
import {
  CHECK_ABOUT,
  CHECK_ROWS,
  CHECK_STATUSES,
  REPAIR_ABOUT,
  REPAIR_ROWS,
  REPAIR_STATUSES,
} from "../server/tools/tool_arguments.ts";

/** What a shell offers for the value of an option. */
export type Completion = "none" | "file" | "directory" | readonly string[];

/** One option of a command. */
export interface CommandOption extends OptionRow {
  readonly complete: Completion;
}

/** A command line that works, and what it is for. */
export interface CommandExample {
  readonly text: string;
  readonly command: string;
}

/** One command. */
export interface CommandRow {
  readonly name: CommandName;
  readonly summary: string;
  /** Without the program and the command: `CHANNEL [PAYLOAD|-] [options]`. */
  readonly usage: readonly string[];
  /** Lines of at most 100 characters. */
  readonly about: string;
  /** Words that may stand behind the command. */
  readonly words: readonly string[];
  readonly options: readonly CommandOption[];
  readonly statuses: readonly (readonly [status: number, meaning: string])[];
  readonly examples: readonly CommandExample[];
}

/** What one option is, as the table writes it. */
function option(
  names: string,
  type: OptionType,
  metavar: string,
  help: string,
  complete: Completion = "none",
): CommandOption {
  return {
    names: names.split(" "),
    type,
    default: "",
    configKey: "",
    group: "Common Options",
    metavar,
    help,
    unlisted: [],
    field: undefined,
    effect: undefined,
    status: "available",
    complete,
  };
}

const HELP = option("help h", "bool", "", "Show this message");

/** Options of every command that connects to the NATS port. */
const SERVER_OPTIONS: readonly CommandOption[] = [
  option(
    "server s",
    "string",
    "<url>",
    "NATS port: nats:// or tls://HOST:PORT, several with commas (default: STANCHION_URL, else nats://127.0.0.1:4222)",
  ),
  option("user", "string", "<name>", "User; the password is read from --password-file or STANCHION_PASSWORD"),
  option("password-file", "string", "<file>", "File that holds the password", "file"),
  option(
    "auth-token-file",
    "string",
    "<file>",
    "File that holds the token of the server (or STANCHION_AUTH_TOKEN)",
    "file",
  ),
  option("nkey", "string", "<file>", "File that holds the seed of an NKey user", "file"),
  option("ca", "string", "<file>", "Authorities that the server's certificate is checked against, PEM", "file"),
  option("cert", "string", "<file>", "Own certificate, for servers that demand one, PEM", "file"),
  option("key", "string", "<file>", "Its private key, PEM", "file"),
  option("timeout", "duration", "<duration>", "Longest wait for an answer of the server (default: 5s)"),
];
const CLUSTER = option(
  "cluster",
  "string",
  "<id>",
  "Cluster ID of the streaming server (default: STANCHION_CLUSTER, else test-cluster)",
);
const STAN_OPTIONS: readonly CommandOption[] = [
  CLUSTER,
  option("client-id", "string", "<id>", "Client ID (default: a new one each time)"),
  option("discover", "string", "<prefix>", "Discover prefix of the server (default: _STAN.discover)"),
  ...SERVER_OPTIONS,
];
/** Options of every command that asks the monitoring port. */
const MONITOR_OPTIONS: readonly CommandOption[] = [
  option(
    "monitor m",
    "string",
    "<url>",
    "Monitoring port (default: STANCHION_MONITOR, else http://127.0.0.1:8222)",
  ),
  option("ca", "string", "<file>", "Authorities that an https:// port is checked against, PEM", "file"),
  option("timeout", "duration", "<duration>", "Longest wait for an answer (default: 5s)"),
];
const ACTION_OPTIONS: readonly CommandOption[] = [
  option(
    "token-file",
    "string",
    "<file>",
    "File that holds the token of the console (or STANCHION_CONSOLE_TOKEN)",
    "file",
  ),
  option("yes y", "bool", "", "Do not ask; needed where no terminal is"),
];
const WATCH = option("watch w", "duration", "<duration>", "Show it again after each such time, until Ctrl-C");
const JSON_DOCUMENT = option("json", "bool", "", "One JSON document on standard output");
const JSON_LINES = option("json", "bool", "", "One JSON document per line on standard output");

const STATUSES: CommandRow["statuses"] = [
  [0, "done"],
  [1, "it failed: the reason is on standard error"],
  [2, "the command line makes no sense"],
];

/** What an operator must know before deleting something. */
const ACTION_ABOUT =
  `The actions go through the console of the server (key "console { token }" of its configuration), which
wants its token. They ask before they do something; where nobody can be asked they need --yes.`;

/** Options that check and repair have had for longer than this table exists. */
function toolOptions(rows: readonly OptionRow[]): CommandOption[] {
  return rows.map((row) => ({ ...row, complete: row.names[0] === "dir" ? "directory" : "none" }));
}

type Details = Omit<CommandRow, "name" | "summary">;

const DETAILS: Readonly<Record<CommandName, Details>> = {
  pub: {
    usage: ["CHANNEL PAYLOAD [options]", "CHANNEL - [options]", "CHANNEL --file FILE [options]"],
    about: `Publishes and waits for the server's word that the messages are stored. "-" reads standard input to its
end as one message; with --lines every line is a message. The first message that is not stored ends
the command with status 1; what was sent before it may be stored.`,
    words: [],
    options: [
      option("lines", "bool", "", "Every line of the input is a message of its own"),
      option("file f", "string", "<file>", "Take the content of a file instead of PAYLOAD", "file"),
      option("count n", "int", "<number>", "Publish it so often (default: 1); with --lines: at most so many lines"),
      option("rate", "int", "<number>", "Messages per second (default: as fast as they are stored)"),
      option("inflight", "int", "<number>", "Messages that may wait for their ack (default: 256)"),
      option("ack-timeout", "duration", "<duration>", "Longest wait for an ack (default: 30s)"),
      option("json", "bool", "", "One JSON document per stored message on standard output"),
      ...STAN_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "One message", command: "stanchion pub orders 'first order'" },
      { text: "Every line of a file is a message", command: "stanchion pub orders --lines --file orders.txt" },
      { text: "From another program", command: "printf 'one\\ntwo\\n' | stanchion pub orders - --lines --json" },
      { text: "A hundred messages, fifty in a second", command: "stanchion pub orders ping --count 100 --rate 50" },
    ],
  },
  sub: {
    usage: ["CHANNEL [options]"],
    about: `Prints messages as they come: sequence, time, payload. A payload that is no readable text is shown in
hexadecimal. Ctrl-C ends; a durable keeps its position then, --unsubscribe removes it.
Where to begin is for new subscriptions only: a durable that exists goes on behind its last message.`,
    words: [],
    options: [
      option("all", "bool", "", "Begin with the first message"),
      option("last", "bool", "", "Begin with the last message"),
      option("new", "bool", "", "Only messages from here on (the default)"),
      option(
        "since",
        "string",
        "<duration or time>",
        "Begin with messages younger than 1h30m, or from 2026-01-31T12:00:00Z on",
      ),
      option("from", "int", "<sequence>", "Begin with this sequence"),
      option("durable", "string", "<name>", "Durable name: the position outlives this command; give --client-id, too"),
      option("queue q", "string", "<group>", "Queue group: its members share the messages"),
      option("count n", "int", "<number>", "End after so many messages"),
      option("idle", "duration", "<duration>", "End when no message came for so long"),
      option("no-ack", "bool", "", "Do not acknowledge: the server will send the messages again"),
      option("unsubscribe", "bool", "", "Remove the subscription at the end, a durable's position too"),
      option("max-inflight", "int", "<number>", "Messages the server may send without an ack (default: 1024)"),
      option(
        "ack-wait",
        "duration",
        "<duration>",
        "Time until the server sends an unacknowledged message again (default: 30s)",
      ),
      option("raw", "bool", "", "The payload and a line end, nothing else"),
      option("hex", "bool", "", "Show every payload in hexadecimal"),
      JSON_LINES,
      ...STAN_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "All there is, then end", command: "stanchion sub orders --all --idle 500ms" },
      { text: "The last message, as JSON", command: "stanchion sub orders --last --count 1 --json" },
      {
        text: "Three messages of a durable; the next call goes on behind them",
        command: "stanchion sub orders --all --durable report --client-id reports --count 3",
      },
      { text: "The last hour, payloads only", command: "stanchion sub orders --since 1h --raw --idle 500ms" },
    ],
  },
  bench: {
    usage: ["[CHANNEL] [options]"],
    about: `Publishes to a channel of its own from several clients, receives with several subscribers, and says how
fast that was. All clients run in this one process on one processor: the figures are those of server
and client together, and a fast server is faster than what is measured here.
The messages stay in the channel; "channels delete" removes it.`,
    words: [],
    options: [
      option("pub", "int", "<number>", "Publishers, each with a connection of its own (default: 1)"),
      option("sub", "int", "<number>", "Subscribers; each gets every message (default: 0)"),
      option("msgs", "int", "<number>", "Messages of all publishers together (default: 10000)"),
      option("size", "size", "<size>", "Payload of a message (default: 128)"),
      option("inflight", "int", "<number>", "Messages of a publisher that may wait for their ack (default: 256)"),
      option("store-hint", "string", "<text>", "What the server stores in, for the report: clients cannot see it"),
      JSON_DOCUMENT,
      CLUSTER,
      option("discover", "string", "<prefix>", "Discover prefix of the server (default: _STAN.discover)"),
      ...SERVER_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "Two publishers, two subscribers", command: "stanchion bench --pub 2 --sub 2 --msgs 2000 --size 1KB" },
      {
        text: "How long one ack takes",
        command: "stanchion bench --msgs 200 --inflight 1 --store-hint 'FILE, synced' --json",
      },
    ],
  },
  channels: {
    usage: [
      "[NAME] [options]",
      "--dir DIR [NAME] [options]",
      "delete NAME [--force] [options]",
      "purge NAME [--up-to SEQUENCE] [options]",
    ],
    about: `Without a name: every channel with its messages, subscriptions, the largest lag (messages that a
subscription has not got yet) and whether one is stalled. With a name: its subscriptions. --dir looks
into the directory of a FILE store instead, without a server, and changes nothing.
${ACTION_ABOUT}`,
    words: ["delete", "purge"],
    options: [
      JSON_DOCUMENT,
      WATCH,
      option("search", "string", "<text>", "Only channels whose name contains this"),
      option("dir", "string", "<directory>", "Look into the directory of a FILE store", "directory"),
      option("file_crc_poly", "int", "<int>", "With --dir: polynomial of the checksums (default: 3988292384)"),
      option("force", "bool", "", "delete: also while it has subscriptions; they are closed"),
      option("up-to", "int", "<sequence>", "purge: only messages up to this one (default: all)"),
      ...ACTION_OPTIONS,
      ...MONITOR_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "All channels", command: "stanchion channels" },
      { text: "The subscriptions of one, as JSON", command: "stanchion channels orders --json" },
      { text: "What a directory holds, without a server", command: "stanchion channels --dir data" },
      { text: "Forget old messages", command: "stanchion channels purge orders --up-to 2 --yes" },
    ],
  },
  clients: {
    usage: ["[ID] [options]"],
    about: `Without an ID: every connected client. With one: its subscriptions, too.`,
    words: [],
    options: [
      JSON_DOCUMENT,
      WATCH,
      option("search", "string", "<text>", "Only clients whose ID contains this"),
      ...MONITOR_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [{ text: "All clients", command: "stanchion clients" }],
  },
  durables: {
    usage: [
      "[options]",
      "delete CHANNEL DURABLE [--client ID] [--queue GROUP] [--force] [options]",
      "rewind CHANNEL DURABLE --to POSITION [--client ID] [--queue GROUP] [options]",
      "pause CHANNEL [DURABLE] [--client ID] [--queue GROUP] [options]",
      "resume CHANNEL [DURABLE] [--client ID] [--queue GROUP] [options]",
    ],
    about: `Without a word: every durable subscription and durable queue group with its position, lag, and whether
it is offline, stalled or paused. POSITION is "first", "last", a sequence, or a time such as
2026-01-31T12:00:00Z. A pause ends when the server does.
${ACTION_ABOUT}`,
    words: ["delete", "rewind", "pause", "resume"],
    options: [
      JSON_DOCUMENT,
      WATCH,
      option("search", "string", "<text>", "Only durables whose name, channel or client contains this"),
      option("client", "string", "<id>", "Client ID of the durable"),
      option("queue q", "string", "<group>", "Queue group of the durable"),
      option("to", "string", "<position>", "rewind: where to go on", ["first", "last"]),
      option("force", "bool", "", "delete: also while it is online"),
      ...ACTION_OPTIONS,
      ...MONITOR_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "All durables", command: "stanchion durables" },
      {
        text: "Send everything again",
        command: "stanchion durables rewind orders report --client reports --to first --yes",
      },
      { text: "Send nothing for a while", command: "stanchion durables pause orders report --client reports --yes" },
      { text: "Go on", command: "stanchion durables resume orders report --client reports" },
    ],
  },
  trace: {
    usage: ["[options]"],
    about: `Prints what clients and the streaming server say to each other, decoded, one line each: requests,
answers with the time they took, publishes, deliveries, acks. It listens on the NATS port and needs
the permission to subscribe to "_STAN.>" and to the inboxes of the clients ("_INBOX.>"). It sees
payload sizes, and payloads with --payload. It costs the server a copy of all that traffic.
Of subscriptions that were made before the trace began it knows the channel of each delivery, not the
client.`,
    words: [],
    options: [
      option("channel", "string", "<name>", "Only what concerns this channel"),
      option("client", "string", "<id>", "Only what concerns this client"),
      option("payload", "bool", "", "Show payloads"),
      option("inbox", "string", "<prefix>", "Prefix of the clients' inboxes (default: _INBOX)"),
      option("count n", "int", "<number>", "End after so many lines"),
      option("idle", "duration", "<duration>", "End when nothing was said for so long"),
      JSON_LINES,
      CLUSTER,
      option("discover", "string", "<prefix>", "Discover prefix of the server (default: _STAN.discover)"),
      ...SERVER_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "One channel, until half a second of silence", command: "stanchion trace --channel orders --idle 500ms" },
    ],
  },
  export: {
    usage: ["--dir DIR --channel NAME [options]", "--server URL --channel NAME [options]"],
    about: `Writes the messages of a channel as JSON lines, or as one file per message. With --dir it reads the
directory of a FILE store, changes nothing, and needs no server; messages that are encrypted are
decrypted with the key in NATS_STREAMING_ENCRYPTION_KEY. Without --dir it asks a server, through a
plain subscription.
The output file appears when it is complete. When the export is interrupted the part that is there
stays beside it under the name FILE.part, and the same command with --from goes on behind it.`,
    words: [],
    options: [
      option("channel", "string", "<name>", "Channel"),
      option("dir", "string", "<directory>", "Directory of a FILE store", "directory"),
      option(
        "out o",
        "string",
        "<path>",
        "File to write; with --format raw a directory (default: standard output)",
        "file",
      ),
      option("format", "string", "<format>", "jsonl (default) or raw: one file per message, named by sequence", [
        "jsonl",
        "raw",
      ]),
      option("from", "string", "<sequence or time>", "First message"),
      option("to", "string", "<sequence or time>", "Last message"),
      option("file_crc_poly", "int", "<int>", "With --dir: polynomial of the checksums (default: 3988292384)"),
      option("json", "bool", "", "At the end, a JSON document about the export on standard error"),
      ...STAN_OPTIONS,
      HELP,
    ],
    statuses: STATUSES,
    examples: [
      { text: "From a directory", command: "stanchion export --dir data --channel orders --out orders.jsonl" },
      { text: "From a server, five messages", command: "stanchion export --channel orders --from 1 --to 5" },
      {
        text: "Every payload in a file of its own",
        command: "stanchion export --dir data --channel orders --format raw --out orders.d",
      },
    ],
  },
  check: {
    usage: ["--dir <string> [options]"],
    about: CHECK_ABOUT,
    words: [],
    options: toolOptions(CHECK_ROWS),
    statuses: CHECK_STATUSES,
    examples: [{ text: "A whole directory", command: "stanchion check --dir data" }],
  },
  repair: {
    usage: ["--dir <string> [options]"],
    about: REPAIR_ABOUT,
    words: [],
    options: toolOptions(REPAIR_ROWS),
    statuses: REPAIR_STATUSES,
    examples: [],
  },
  completions: {
    usage: ["bash|zsh|fish"],
    about: `Prints a script that completes the commands and options of this program in a shell:
    bash   eval "$(stanchion completions bash)"           in ~/.bashrc
    zsh    eval "$(stanchion completions zsh)"            in ~/.zshrc, behind compinit
    fish   stanchion completions fish | source            in ~/.config/fish/config.fish`,
    words: ["bash", "zsh", "fish"],
    options: [HELP],
    statuses: STATUSES,
    examples: [{ text: "For bash", command: "stanchion completions bash" }],
  },
  help: {
    usage: ["[COMMAND]"],
    about: "Explains a command. Without one it explains the server, as --help does, and lists the commands.",
    words: COMMANDS.map(({ name }) => name),
    options: [HELP],
    statuses: STATUSES,
    examples: [{ text: "What pub can do", command: "stanchion help pub" }],
  },
};

/** Every command, in the order of help. */
export const COMMAND_TABLE: readonly CommandRow[] = Object.freeze(
  COMMANDS.map(({ name, summary }) => ({ name, summary, ...DETAILS[name] })),
);

/** The row of a command. */
export function commandRow(name: CommandName): CommandRow {
  const row = COMMAND_TABLE.find((candidate) => candidate.name === name);
  assert(row !== undefined, "every command has a row");
  return row;
}
