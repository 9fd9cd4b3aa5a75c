/**
 * What the monitoring port says about channels, clients and durables. The console's own pages are asked first, because they
 * know lags in seconds and pauses; a server without them, the reference for example, is asked for its /streaming pages.
 */
import type { IncomingMessage } from "node:http";
import { quote } from "../base/quote.ts";
import type {
  ChannelDetails,
  ChannelItem,
  ClientItem,
  DurableItem,
  SubscriptionItem,
} from "../monitor/console/rows.ts";
import type { Arguments } from "./arguments.ts";
import { secretOf } from "./connection.ts";
import { readFileText } from "./files.ts";
import { type CliHost, CommandError, UsageError } from "./host.ts";
import { socketReason } from "./socket_reason.ts";

const URL_DEFAULT = "http://127.0.0.1:8222";
const TIMEOUT_MS_DEFAULT = 5000;
const MONITOR_ADVICE = "Is the server started with -m PORT? --monitor or STANCHION_MONITOR says where it is";
const PAGE_ROWS = 1000;
/** A page of a thousand channels with their subscriptions is some MB; more is no answer of ours. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/**
 * A subscription, or a queue group with its members. Without redeliveries: only the console counts them by subscription, and
 * rows also come from servers without it, and from directories.
 */
export interface SubscriptionRow extends Omit<SubscriptionItem, "redelivered"> {
  /** Where the row does not stand below its channel. */
  readonly channel?: DurableItem["channel"];
}

/** A channel in a list. Whether something is paused or stalled, which the console counts. */
export interface ChannelRow extends Omit<ChannelItem, "stalled" | "paused"> {
  readonly stalled: boolean;
  readonly paused: boolean;
}

/** One channel with what listens to it. */
export interface ChannelWithSubscriptions extends Omit<ChannelRow, "subscriptions"> {
  readonly subscriptions: readonly SubscriptionRow[];
}

/** A client in a list. Null: the server does not say. */
export interface ClientRow extends Omit<ClientItem, "heartbeat_failures" | "connected_ms"> {
  readonly heartbeat_failures: ClientItem["heartbeat_failures"] | null;
  readonly connected_ms: ClientItem["connected_ms"] | null;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

type Loose = Record<string, unknown>;

export class MonitorClient {
  readonly #base: URL;
  readonly #ca: string | undefined;
  readonly #timeoutMs: number;
  readonly #token: () => string | undefined;
  /** Undefined: not asked yet. */
  #hasConsole: boolean | undefined;

  constructor(args: Arguments, host: CliHost) {
    const given = args.text("monitor") ?? ((host.env("STANCHION_MONITOR") ?? "") || URL_DEFAULT);
    const text = /^https?:\/\//.test(given) ? given : `http://${given}`;
    if (!URL.canParse(text)) {
      throw new UsageError(`-monitor should be http://HOST:PORT or https://HOST:PORT, got ${quote(given)}`);
    }
    this.#base = new URL(text.endsWith("/") ? text : `${text}/`);
    const ca = args.text("ca");
    this.#ca = ca === undefined ? undefined : readFileText(ca);
    this.#timeoutMs = args.durationMs("timeout", TIMEOUT_MS_DEFAULT);
    this.#token = () => secretOf(args, host, "token-file", "STANCHION_CONSOLE_TOKEN");
  }

  /** All channels whose name contains `search`, by name. */
  async channels(search: string): Promise<ChannelRow[]> {
    const rows = await this.#consoleList<ChannelItem>("channels", search);
    if (rows !== undefined) return rows.map(withStates);
    const all = await this.#streamingChannels();
    return all.filter(({ name }) => holds(name, search)).map((channel) => {
      const { subscriptions } = channel;
      return {
        ...channel,
        subscriptions: subscriptions.reduce((sum, row) => sum + Math.max(1, row.members.length), 0),
      };
    });
  }

  /** One channel; undefined when there is none. */
  async channel(name: string): Promise<ChannelWithSubscriptions | undefined> {
    if (await this.#isConsole()) {
      const answer = await this.#get(`console/api/channels/${encodeURIComponent(name)}`);
      return answer.status === 404 ? undefined : withStates(this.#json(answer) as unknown as ChannelDetails);
    }
    const answer = await this.#get(`streaming/channelsz?subs=1&channel=${encodeURIComponent(name)}`);
    return answer.status === 404 ? undefined : streamingChannel(this.#json(answer));
  }

  /** All clients whose ID contains `search`, by ID. */
  async clients(search: string): Promise<ClientRow[]> {
    const rows = await this.#consoleList<ClientItem>("clients", search);
    if (rows !== undefined) return rows;
    const all = await this.#pages("streaming/clientsz?", "clients");
    return all.filter(({ id }) => holds(String(id), search)).map(({ id, subs_count }) => ({
      id: String(id),
      subscriptions: Number(subs_count ?? 0),
      heartbeat_failures: null,
      connected_ms: null,
    }));
  }

  /** The subscriptions of one client; undefined when there is no such client. */
  async subscriptionsOf(clientId: string): Promise<SubscriptionRow[] | undefined> {
    const answer = await this.#get(`streaming/clientsz?subs=1&client=${encodeURIComponent(clientId)}`);
    if (answer.status === 404) return undefined;
    const channels = (this.#json(answer)["subscriptions"] ?? {}) as Readonly<Record<string, readonly Loose[]>>;
    const rows: SubscriptionRow[] = [];
    for (const [channel, list] of Object.entries(channels)) {
      // The page says how far each subscription is, and not how far the channel is.
      const last = (await this.channel(channel))?.last_seq ?? 0;
      for (const item of list) rows.push({ ...subscriptionRow(item, last), channel });
    }
    return rows;
  }

  /** Every durable and every durable group whose names contain `search`. */
  async durables(search: string): Promise<SubscriptionRow[]> {
    const rows = await this.#consoleList<DurableItem>("durables", search);
    if (rows !== undefined) return rows;
    const all = await this.#streamingChannels();
    return all.flatMap(({ name, subscriptions }) =>
      subscriptions.filter(({ kind }) => kind === "durable" || kind === "durable_group").map((row) => ({
        ...row,
        channel: name,
      }))
    ).filter((row) =>
      [row.channel, row.durable_name, row.client_id, row.queue_name].some((text) => holds(text, search))
    );
  }

  /** Has the server do something. Throws {@link CommandError} with its reason. */
  async act(action: string, body: Loose): Promise<Loose> {
    const token = this.#token();
    if (token === undefined) {
      throw new CommandError(
        "CLI_MONITOR",
        "This needs the token of the server's console: give -token-file, or set STANCHION_CONSOLE_TOKEN",
      );
    }
    const answer = await this.#fetch("POST", `console/api/actions/${action}`, {
      "Authorization": `Bearer ${token}`,
      "Content-Type": "application/json",
      "X-Requested-With": "stanchion",
    }, JSON.stringify(body));
    if (answer.status === 404 && !/"error"/.test(answer.text)) {
      throw new CommandError(
        "CLI_MONITOR",
        `The server at ${this.#base.host} has no console, through which this is done`,
      );
    }
    return this.#json(answer);
  }

  async #isConsole(): Promise<boolean> {
    this.#hasConsole ??= (await this.#get("console/api/channels?limit=1")).status === 200;
    return this.#hasConsole;
  }

  async #consoleList<Row>(what: "channels" | "clients" | "durables", search: string): Promise<Row[] | undefined> {
    if (!await this.#isConsole()) return undefined;
    return await this.#pages(`console/api/${what}?search=${encodeURIComponent(search)}&`, what) as Row[];
  }

  async #streamingChannels(): Promise<ChannelWithSubscriptions[]> {
    return (await this.#pages("streaming/channelsz?subs=1&", "channels")).map(streamingChannel);
  }

  /** All rows of a list that comes in pages. */
  async #pages(path: string, field: string): Promise<Loose[]> {
    const rows: Loose[] = [];
    for (;;) {
      const page = this.#json(await this.#get(`${path}offset=${rows.length}&limit=${PAGE_ROWS}`));
      const list = (page[field] ?? []) as readonly Loose[];
      rows.push(...list);
      // A list that shrinks while it is read ends with an empty page.
      if (list.length === 0 || rows.length >= Number(page["total"] ?? 0)) return rows;
    }
  }

  #get(path: string): Promise<Answer> {
    return this.#fetch("GET", path, {}, "");
  }

  #json({ status, text }: Answer): Loose {
    const where = `The monitoring port at ${this.#base.host}`;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new CommandError("CLI_MONITOR", `${where} answered ${status} and no JSON: is that a streaming server?`);
    }
    const failure = (json as { error?: { message?: unknown } } | null)?.error?.message;
    if (status === 200 && typeof json === "object" && json !== null) return json as Loose;
    const why = typeof failure === "string" ? `${where} refused: ${failure}` : `${where} answered ${status}`;
    throw new CommandError("CLI_MONITOR", why);
  }

  async #fetch(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<Answer> {
    const url = new URL(path, this.#base);
    // Not loaded by a start of the server: see host.ts.
    const https = url.protocol === "https:" ? await import("node:https") : undefined;
    const http = await import("node:http");
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const fail = (reason: string) =>
      reject(new CommandError("CLI_MONITOR", `Cannot ask the monitoring port at ${url.host}: ${reason}`));
    const options = {
      method,
      headers: { ...headers, "Content-Length": String(new TextEncoder().encode(body).length) },
    };
    const received = (response: IncomingMessage) => {
      const pieces: Uint8Array[] = [];
      let length = 0;
      response.on("data", (piece: Uint8Array) => {
        length += piece.length;
        if (length > ANSWER_BYTES_MAX) request.destroy(new Error("the answer is too long"));
        else pieces.push(piece);
      });
      response.on("end", () => {
        const text = new TextDecoder();
        resolve({
          status: response.statusCode ?? 0,
          text: pieces.map((piece) => text.decode(piece, { stream: true })).join("") + text.decode(),
        });
      });
      response.on("error", (error) => fail(error.message));
    };
    const request = https !== undefined
      ? https.request(url, { ...options, ...(this.#ca === undefined ? {} : { ca: this.#ca }) }, received)
      : http.request(url, options, received);
    request.on("error", (error: Error & { code?: string }) => fail(socketReason(error, MONITOR_ADVICE)));
    const timer = setTimeout(() => {
      fail(`no answer within ${this.#timeoutMs} ms`);
      request.destroy();
    }, this.#timeoutMs);
    request.end(body);
    return await promise.finally(() => clearTimeout(timer));
  }
}

/** As the console searches. */
function holds(text: string, search: string): boolean {
  return text.toLowerCase().includes(search.toLowerCase());
}

/** The console counts what is stalled and paused; servers without it let one know whether something is. */
function withStates<Item extends Pick<ChannelItem, "stalled" | "paused">>(
  item: Item,
): Omit<Item, "stalled" | "paused"> & Pick<ChannelRow, "stalled" | "paused"> {
  return { ...item, stalled: item.stalled > 0, paused: item.paused > 0 };
}

/** A channel of /streaming/channelsz. */
function streamingChannel(page: Loose): ChannelWithSubscriptions {
  const lastSequence = Number(page["last_seq"] ?? 0);
  const list = (page["subscriptions"] ?? []) as readonly Loose[];
  const subscriptions = grouped(list.map((item) => subscriptionRow(item, lastSequence)));
  return {
    name: String(page["name"] ?? ""),
    msgs: Number(page["msgs"] ?? 0),
    bytes: Number(page["bytes"] ?? 0),
    first_seq: Number(page["first_seq"] ?? 0),
    last_seq: lastSequence,
    pending: subscriptions.reduce((sum, row) => sum + row.pending_count, 0),
    max_lag: subscriptions.reduce((max, row) => Math.max(max, row.lag), 0),
    stalled: subscriptions.some((row) => row.is_stalled),
    paused: false,
    subscriptions,
  };
}

function subscriptionRow(item: Loose, lastSequence: number): SubscriptionRow {
  const text = (name: string) => String(item[name] ?? "");
  const isDurable = item["is_durable"] === true;
  const queue = text("queue_name");
  const clientId = text("client_id");
  const lastSent = Number(item["last_sent"] ?? 0);
  return {
    kind: queue === "" ? (isDurable ? "durable" : "plain") : isDurable ? "durable_group" : "group",
    client_id: clientId,
    durable_name: text("durable_name"),
    queue_name: queue,
    members: queue === "" || clientId === "" ? [] : [clientId],
    is_offline: item["is_offline"] === true,
    is_stalled: item["is_stalled"] === true,
    is_paused: false,
    last_sent: lastSent,
    lag: Math.max(0, lastSequence - lastSent),
    lag_seconds: null,
    pending_count: Number(item["pending_count"] ?? 0),
    max_inflight: Number(item["max_inflight"] ?? 0),
    ack_wait_secs: Number(item["ack_wait"] ?? 0),
  };
}

/** Members of a queue group become one row: the group is as far as its foremost member. */
function grouped(rows: readonly SubscriptionRow[]): SubscriptionRow[] {
  const groups = new Map<string, SubscriptionRow>();
  const all: SubscriptionRow[] = [];
  for (const row of rows) {
    if (row.queue_name === "") {
      all.push(row);
      continue;
    }
    const before = groups.get(row.queue_name);
    groups.set(
      row.queue_name,
      before === undefined ? { ...row, client_id: "" } : {
        ...before,
        members: [...before.members, ...row.members],
        is_offline: before.is_offline && row.is_offline,
        is_stalled: before.is_stalled && row.is_stalled,
        last_sent: Math.max(before.last_sent, row.last_sent),
        lag: Math.min(before.lag, row.lag),
        pending_count: before.pending_count + row.pending_count,
      },
    );
  }
  return [...all, ...groups.values()];
}
