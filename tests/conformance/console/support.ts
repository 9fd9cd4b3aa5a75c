/** A server with a console in this process, a client made of raw requests, and HTTP as a script would do it. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { draftOptions, freezeOptions, type OptionsDraft } from "../../../src/config/option_types.ts";
import { openLog } from "../../../src/log/open_log.ts";
import type { Logger } from "../../../src/log/logger.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { StreamingServer } from "../../../src/server/streaming_server.ts";
import { encodeMessage } from "../../../src/wire/stan_codec.ts";
import {
  decodeSubscriptionResponse,
  encodeConnectRequest,
  encodeSubscriptionRequest,
  encodeUnsubscribeRequest,
  START_POSITION,
  type SubscriptionRequest,
} from "../../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";

export const TOKEN = "a-token-of-some-length";
const CLUSTER = "seen";

/** What came back. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON. */
  // deno-lint-ignore no-explicit-any -- a test looks into it as a script does.
  readonly json: any;
}

/** A running server. */
export interface ConsoleBench {
  readonly server: StreamingServer;
  readonly log: Logger;
  /** Lines of the log that the console wrote. */
  audit(): string[];
  /** GET, with the token unless another header is given. */
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Reply>;
  send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: string | Uint8Array,
  ): Promise<Reply>;
  /** POST of an action, with all that it needs. */
  act(name: string, body: unknown): Promise<Reply>;
  client(id: string): Promise<StanClient>;
}

/** Runs `work` with a server of its own. */
export async function withConsole(
  work: (bench: ConsoleBench) => Promise<void>,
  change: (draft: OptionsDraft) => void = () => {},
  encryptionKey?: string,
): Promise<void> {
  const draft = draftOptions("stanchion");
  draft.host = "127.0.0.1";
  draft.port = -1;
  draft.httpPort = -1;
  draft.clusterId = CLUSTER;
  draft.console.token = TOKEN;
  change(draft);
  const runtime = await pickRuntime();
  const log = openLog(draft.log, runtime, "silent");
  const server = new StreamingServer(freezeOptions(draft), runtime, log, encryptionKey);
  const clients: StanClient[] = [];
  await server.start();
  const send: ConsoleBench["send"] = (method, path, headers, body) =>
    sendHttp(server.monitorPort, method, path, headers, body);
  try {
    await work({
      server,
      log,
      audit: () => log.recent.find({ after: 0, limit: 1000, level: "WRN", search: "Console:" }).map(({ text }) => text),
      get: (path, headers = { authorization: `Bearer ${TOKEN}` }) => send("GET", path, headers),
      send,
      act: (name, body) =>
        send("POST", `/console/api/actions/${name}`, {
          authorization: `Bearer ${TOKEN}`,
          "x-requested-with": "stanchion",
          "content-type": "application/json",
        }, JSON.stringify(body)),
      async client(id) {
        const client = await StanClient.open(server.nats.port, id);
        clients.push(client);
        return client;
      },
    });
  } finally {
    for (const client of clients) client.destroy();
    await server.stop();
  }
}

/** One HTTP request on a connection of its own. */
export function sendHttp(
  port: number,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array = "",
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const length = typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
    const sent = method === "POST" ? { ...headers, "content-length": String(length) } : headers;
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers: sent, agent: false }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (part: string) => text += part);
      incoming.on("end", () => {
        const isJson = String(incoming.headers["content-type"]).startsWith("application/json");
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          text,
          json: isJson && text !== "" ? JSON.parse(text) : undefined,
        });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const view = new MsgProtoView();
const latin1 = new TextDecoder("latin1");

/** A subscription that was answered. */
export interface Subscribed {
  readonly inbox: string;
  readonly ackInbox: string;
  readonly channel: string;
}

/** A registered client. Texts are byte strings. */
export class StanClient {
  readonly #socket: Socket;
  readonly #id: string;
  #input = new Uint8Array(0);
  #count = 0;
  readonly #waiting = new Map<string, (payload: Uint8Array) => void>();
  /** Deliveries by inbox: `SEQUENCE` or `SEQUENCErCOUNT`. */
  readonly #heard = new Map<string, string[]>();
  #changed: () => void = () => {};

  private constructor(socket: Socket, id: string) {
    this.#socket = socket;
    this.#id = id;
  }

  static async open(port: number, id: string): Promise<StanClient> {
    const socket = connect(port, "127.0.0.1");
    const client = new StanClient(socket, id);
    socket.on("data", (bytes: Uint8Array) => client.#read(bytes));
    socket.on("error", () => {});
    socket.write(`CONNECT {"verbose":false}\r\nSUB in.${id}.> 1\r\n`);
    await client.#ask(
      `_STAN.discover.${CLUSTER}`,
      encodeConnectRequest({ clientId: id, heartbeatInbox: `in.${id}.hb`, protocol: 1, connectionId: `conn-${id}` }),
    );
    return client;
  }

  #read(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#input.length + bytes.length);
    joined.set(this.#input);
    joined.set(bytes, this.#input.length);
    let at = 0;
    for (;;) {
      const end = joined.indexOf(10, at);
      if (end < 0) break;
      const line = latin1.decode(joined.subarray(at, end)).trim();
      if (!line.startsWith("MSG ")) {
        if (line === "PING") this.#socket.write("PONG\r\n");
        at = end + 1;
        continue;
      }
      const parts = line.split(" ");
      const size = Number(parts[parts.length - 1]);
      if (joined.length < end + 1 + size + 2) break;
      const payload = joined.slice(end + 1, end + 1 + size);
      at = end + 1 + size + 2;
      this.#message(parts[1]!, parts.length === 5 ? parts[3]! : "", payload);
    }
    this.#input = joined.slice(at);
  }

  #message(subject: string, reply: string, payload: Uint8Array): void {
    const waiting = this.#waiting.get(subject);
    if (waiting !== undefined) {
      this.#waiting.delete(subject);
      return waiting(payload);
    }
    // A heartbeat.
    if (reply !== "") return this.#publish(reply, "", new Uint8Array(0));
    if (!decodeMsgProto(payload, 0, payload.length, view)) return;
    const heard = this.#heard.get(subject) ?? [];
    heard.push(view.redelivered ? `${view.sequence}r${view.redeliveryCount}` : `${view.sequence}`);
    this.#heard.set(subject, heard);
    this.#changed();
  }

  #publish(subject: string, reply: string, payload: Uint8Array): void {
    this.#socket.write(`PUB ${subject} ${reply === "" ? "" : `${reply} `}${payload.length}\r\n`, "latin1");
    this.#socket.write(payload);
    this.#socket.write("\r\n");
  }

  #ask(subject: string, payload: Uint8Array): Promise<Uint8Array> {
    const reply = `in.${this.#id}.r${++this.#count}`;
    return new Promise((resolve) => {
      this.#waiting.set(reply, resolve);
      this.#publish(subject, reply, payload);
    });
  }

  /** Publishes, and waits for the acknowledgement. */
  async publish(channel: string, ...payloads: (string | Uint8Array)[]): Promise<void> {
    for (const payload of payloads) {
      const data = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
      const guid = `g${++this.#count}`;
      const answer = await this.#ask(
        // The channel stands in the message: a subject holds no blanks.
        `_STAN.pub.${CLUSTER}.any`,
        encodeMessage("PubMsg", {
          clientId: this.#id,
          guid,
          channel,
          reply: "",
          data,
          connectionId: `conn-${this.#id}`,
        }),
      );
      assert.equal(answer.length, 2 + guid.length, "an acknowledgement without an error");
    }
  }

  async subscribe(channel: string, changes: Partial<SubscriptionRequest> = {}): Promise<Subscribed> {
    const inbox = `in.${this.#id}.d${++this.#count}`;
    const answer = await this.#ask(
      `_STAN.sub.${CLUSTER}`,
      encodeSubscriptionRequest({
        clientId: this.#id,
        channel,
        inbox,
        maxInFlight: 1024,
        ackWaitSecs: 30,
        startPosition: START_POSITION.FIRST,
        ...changes,
      }),
    );
    const response = decodeSubscriptionResponse(answer, 0, answer.length);
    assert.equal(response?.error, "");
    return { inbox, ackInbox: response!.ackInbox, channel };
  }

  async closeSubscription({ channel, ackInbox }: Subscribed): Promise<void> {
    await this.#ask(
      `_STAN.subclose.${CLUSTER}`,
      encodeUnsubscribeRequest({ clientId: this.#id, channel, inbox: ackInbox }),
    );
  }

  ack({ channel, ackInbox }: Subscribed, sequence: number): void {
    this.#publish(ackInbox, "", encodeMessage("Ack", { channel, sequence }));
  }

  /** What was delivered so far, when it is `count` messages. */
  async heard({ inbox }: Subscribed, count: number): Promise<string> {
    while ((this.#heard.get(inbox)?.length ?? 0) < count) {
      await new Promise<void>((resolve) => this.#changed = resolve);
    }
    const heard = this.#heard.get(inbox) ?? [];
    this.#heard.set(inbox, []);
    return heard.join(" ");
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
