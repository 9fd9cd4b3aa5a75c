/**
 * A client of NATS for the commands: one connection that is not made again when it breaks, because a person or a script
 * waits and shall be told. Written here instead of taken from the package that tests use: that is 150 KB against these 8
 * (minified), would be a dependency of every server, and takes 60 ms to load against 28 (Bun 1.4.5, source, two shared
 * cores, 2026-11), which is as long as a whole `pub`. Recheck when an outside NATS server makes it a dependency anyway.
 *
 * Sockets and TLS come from `node:net` and `node:tls`, which are the same on both runtimes: the program's own network
 * interface is made for servers and has no client's TLS.
 */
import { Buffer } from "node:buffer";
import * as net from "node:net";
import * as tls from "node:tls";
import { bytesOf, copyRange } from "../base/bytes.ts";
import { VERSION } from "../config/version.ts";
import { CommandError } from "./host.ts";
import { FrameError, type FrameHandler, FrameReader } from "./nats_frames.ts";
import { type NkeySeed, signNonce } from "./nkey_seed.ts";
import { socketReason } from "./socket_reason.ts";

const SERVER_ADVICE = "Is the server running? --server or STANCHION_URL says where it is";
const OUTPUT_FIRST_BYTES = 64 * 1024;
/** Above it {@link NatsClient.isCongested} is true: whoever produces should wait. */
const OUTPUT_BYTES_MAX = 8 * 1024 * 1024;

/** Where a server listens. */
export interface NatsAddress {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** How to reach a server and who we are there. */
export interface NatsOptions {
  /** Tried one after another. */
  readonly addresses: readonly NatsAddress[];
  readonly name: string;
  readonly timeoutMs: number;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly nkey?: NkeySeed | undefined;
  /** TLS is used when the server demands it, the address does, or one of these is given. PEM. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
}

/** A message. `payload` is a view that is valid during the call only. */
export type MessageHandler = (payload: Uint8Array, subject: string, reply: string, isNoResponders: boolean) => void;

interface Info {
  readonly tls_required?: boolean;
  readonly tls_available?: boolean;
  readonly nonce?: string;
  readonly max_payload?: number;
  readonly headers?: boolean;
}

interface Request {
  readonly answered: (payload: Uint8Array, isNoResponders: boolean) => void;
}

/** `host:port`, with brackets where IPv6 needs them. */
export function addressText({ host, port }: NatsAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A connection. Subjects are byte strings. */
export class NatsClient implements FrameHandler {
  /** Largest payload that the server takes. */
  maxPayload = 1024 * 1024;
  /** The connection is gone although nobody closed it. Called once. */
  onLost: (error: CommandError) => void = () => {};
  /** The server refused something and goes on: a missing permission. */
  onRefused: (text: string) => void = () => {};
  readonly address: NatsAddress;
  readonly #options: NatsOptions;
  readonly #reader: FrameReader;
  readonly #handlers = new Map<number, MessageHandler>();
  readonly #requests = new Map<string, Request>();
  readonly #pongs: (() => void)[] = [];
  readonly #inbox: string;
  #socket: net.Socket;
  #nextSid = 1;
  #nextInbox = 1;
  #hearsAnswers = false;
  #output: Uint8Array = new Uint8Array(OUTPUT_FIRST_BYTES);
  #outputLength = 0;
  #isFlushing = false;
  #state: "opening" | "open" | "closed" = "opening";
  #lastError = "";
  readonly #opened: { resolve: () => void; reject: (error: Error) => void };

  private constructor(
    socket: net.Socket,
    address: NatsAddress,
    options: NatsOptions,
    inbox: string,
    opened: { resolve: () => void; reject: (error: Error) => void },
  ) {
    this.#socket = socket;
    this.address = address;
    this.#options = options;
    this.#inbox = inbox;
    this.#opened = opened;
    this.#reader = new FrameReader(this);
    this.#listen(socket);
  }

  /** Connects to the first address that answers; `unique` makes names nobody else has. Throws {@link CommandError}. */
  static async connect(options: NatsOptions, unique: () => string): Promise<NatsClient> {
    let failure: unknown;
    for (const address of options.addresses) {
      try {
        return await NatsClient.#open(address, options, `_INBOX.${unique()}`);
      } catch (error) {
        failure = error;
      }
    }
    throw failure ?? new CommandError("CLI_CONNECT", "No server to connect to: give --server HOST:PORT");
  }

  static async #open(address: NatsAddress, options: NatsOptions, inbox: string): Promise<NatsClient> {
    const { host, port } = address;
    const where = addressText(address);
    const opened = Promise.withResolvers<void>();
    const socket = net.connect({ host, port, noDelay: true });
    const client = new NatsClient(socket, address, options, inbox, opened);
    const timer = setTimeout(() => {
      client.#fail(`no NATS server answered within ${options.timeoutMs} ms`);
    }, options.timeoutMs);
    try {
      await opened.promise;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CommandError("CLI_CONNECT", `Cannot connect to ${where}: ${reason}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
    return client;
  }

  #listen(socket: net.Socket): void {
    socket.on("data", (chunk: Uint8Array) => {
      try {
        this.#reader.push(chunk);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.#fail(`${error.message}. Is that the port of a NATS server?`);
      }
    });
    socket.on("error", (error: Error & { code?: string }) => this.#fail(socketReason(error, SERVER_ADVICE)));
    socket.on("close", () => this.#fail("the server closed the connection"));
  }

  /** The connection is over; the first reason counts, and what the server said is better than what the socket saw. */
  #fail(reason: string): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    this.#socket.destroy();
    const said = this.#lastError === "" ? reason : adviceOf(this.#lastError);
    const where = addressText(this.address);
    if (wasOpen) this.onLost(new CommandError("CLI_LOST", `Lost the connection to ${where}: ${said}`));
    else this.#opened.reject(new Error(said));
  }

  info(json: string): void {
    if (this.#state !== "opening") return;
    let info: Info;
    try {
      info = JSON.parse(json) as Info;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return this.#fail("it answers, but not as a NATS server does");
    }
    this.maxPayload = info.max_payload ?? this.maxPayload;
    const options = this.#options;
    const wantsTls = this.address.isTls || options.tls !== undefined || info.tls_required === true;
    if (!wantsTls) return this.#login(info);
    if (info.tls_required !== true && info.tls_available !== true) {
      return this.#fail(
        "TLS was asked for, and this server has none. Use nats:// and leave --ca, --cert and --key out",
      );
    }
    this.#reader.stop();
    const plain = this.#socket;
    plain.removeAllListeners("data");
    plain.removeAllListeners("close");
    plain.removeAllListeners("error");
    const secure = tls.connect({ ...tlsOptions(this.address, options), socket: plain });
    const reader = new FrameReader(this);
    secure.once("secureConnect", () => this.#login(info));
    secure.on("data", (chunk: Uint8Array) => {
      try {
        reader.push(chunk);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.#fail(error.message);
      }
    });
    secure.on("error", (error: Error & { code?: string }) => this.#fail(socketReason(error, SERVER_ADVICE)));
    secure.on("close", () => this.#fail("the server closed the connection"));
    this.#socket = secure;
  }

  #login(info: Info): void {
    const { user, password, token, nkey, name } = this.#options;
    const connect = {
      verbose: false,
      pedantic: false,
      lang: "typescript",
      version: VERSION,
      name,
      protocol: 1,
      headers: info.headers === true,
      no_responders: info.headers === true,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { pass: password }),
      ...(token === undefined ? {} : { auth_token: token }),
      ...(nkey === undefined ? {} : { nkey: nkey.publicKey, sig: signNonce(nkey, info.nonce ?? "") }),
    };
    this.#socket.write(Buffer.from(`CONNECT ${JSON.stringify(connect)}\r\nPING\r\n`));
    this.#pongs.push(() => {
      this.#state = "open";
      this.#opened.resolve();
    });
  }

  message(subject: string, sid: number, reply: string, payload: Uint8Array, headerBytes: number): void {
    const isNoResponders = headerBytes > 0 && payload.length === headerBytes &&
      String.fromCharCode(...payload.subarray(0, 12)) === "NATS/1.0 503";
    const handler = this.#handlers.get(sid);
    handler?.(headerBytes > 0 ? payload.subarray(headerBytes) : payload, subject, reply, isNoResponders);
  }

  ping(): void {
    this.#write(PONG);
  }

  pong(): void {
    this.#pongs.shift()?.();
  }

  error(text: string): void {
    if (this.#state === "open" && /^permissions violation/i.test(text)) return this.onRefused(text);
    // What follows is the end of the connection, and this is why.
    this.#lastError = text;
  }

  /** True while more waits to be sent than should. */
  get isCongested(): boolean {
    return this.#outputLength + this.#socket.writableLength > OUTPUT_BYTES_MAX;
  }

  /** A subject for answers to nobody else. */
  newInbox(): string {
    return `${this.#inbox}.${this.#nextInbox++}`;
  }

  /** Returns the number of the subscription. */
  subscribe(subject: string, handler: MessageHandler): number {
    const sid = this.#nextSid++;
    this.#handlers.set(sid, handler);
    this.#write(bytesOf(`SUB ${subject} ${sid}\r\n`));
    return sid;
  }

  unsubscribe(sid: number): void {
    if (!this.#handlers.delete(sid)) return;
    this.#write(bytesOf(`UNSUB ${sid}\r\n`));
  }

  publish(subject: string, payload: Uint8Array, reply = ""): void {
    this.#write(bytesOf(`PUB ${subject} ${reply === "" ? "" : `${reply} `}${payload.length}\r\n`));
    this.#write(payload);
    this.#write(CRLF);
  }

  /** Asks, and calls back within the read of the answer: what follows in the same chunk comes after it. */
  ask(subject: string, payload: Uint8Array, answered: Request["answered"]): () => void {
    if (!this.#hearsAnswers) {
      this.#hearsAnswers = true;
      this.subscribe(`${this.#inbox}.r.*`, (answer, inbox, _reply, isNoResponders) => {
        const request = this.#requests.get(inbox);
        if (request === undefined) return;
        this.#requests.delete(inbox);
        request.answered(answer, isNoResponders);
      });
    }
    const inbox = `${this.#inbox}.r.${this.#nextInbox++}`;
    this.#requests.set(inbox, { answered });
    this.publish(subject, payload, inbox);
    return () => void this.#requests.delete(inbox);
  }

  /** All that was sent before has reached the server. Never resolves when the connection is lost: see `onLost`. */
  flush(): Promise<void> {
    if (this.#state !== "open") return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pongs.push(resolve);
    this.#write(PING);
    return promise;
  }

  /** Sends what waits and closes. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#flush();
    this.#state = "closed";
    const socket = this.#socket;
    const ended = Promise.withResolvers<void>();
    socket.end(() => ended.resolve());
    socket.once("close", () => ended.resolve());
    const timer = setTimeout(() => ended.resolve(), this.#options.timeoutMs);
    await ended.promise;
    clearTimeout(timer);
    socket.destroy();
  }

  #write(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    const length = this.#outputLength + bytes.length;
    if (length > this.#output.length) {
      const longer = new Uint8Array(Math.max(length, this.#output.length * 2));
      longer.set(this.#output.subarray(0, this.#outputLength));
      this.#output = longer;
    }
    this.#outputLength = copyRange(this.#output, this.#outputLength, bytes, 0, bytes.length);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // Everything of one turn in one write: a system call per message would be most of the work.
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushing = false;
    if (this.#outputLength === 0 || this.#state === "closed") return;
    const bytes = this.#output.subarray(0, this.#outputLength);
    // The socket keeps what it is given until it is sent, so the buffer is the socket's from here on.
    this.#socket.write(bytes);
    this.#output = new Uint8Array(Math.min(this.#output.length, OUTPUT_FIRST_BYTES));
    this.#outputLength = 0;
  }
}

const PING = bytesOf("PING\r\n");
const PONG = bytesOf("PONG\r\n");
const CRLF = bytesOf("\r\n");

function tlsOptions({ host, port }: NatsAddress, options: NatsOptions): tls.ConnectionOptions {
  const { ca, cert, key } = options.tls ?? {};
  return {
    host,
    port,
    // A server name is a name: an address is verified as `host`.
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function adviceOf(text: string): string {
  if (/authorization violation|authentication/i.test(text)) {
    return `${text}. Give --user with a password, --auth-token-file, or --nkey`;
  }
  return text;
}
