/** The client's side of WebSockets for tests, byte by byte: a request, frames as any client could send them, and a reader. */
import * as net from "node:net";
import * as tls from "node:tls";
import { Waiter } from "./sockets.ts";

/** The key of RFC 6455 section 1.3 and the answer to it. */
export const SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ==";
export const SAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** After this time a condition counts as never met. No test measures it. */
const GIVE_UP_MS = 30_000;

/** What a request has; undefined leaves a header out. */
export interface RequestParts {
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Whole lines behind the headers. */
  readonly lines?: readonly string[];
}

/** The text of a request to upgrade. */
export function upgradeRequest({ method, target, version, headers, lines }: RequestParts = {}): string {
  const all: Record<string, string | undefined> = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": SAMPLE_KEY,
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  let text = `${method ?? "GET"} ${target ?? "/"} HTTP/${version ?? "1.1"}\r\n`;
  for (const [name, value] of Object.entries(all)) if (value !== undefined) text += `${name}: ${value}\r\n`;
  for (const line of lines ?? []) text += `${line}\r\n`;
  return text + "\r\n";
}

/** How a frame differs from a plain, final, masked one. */
export interface FrameParts {
  readonly final?: boolean;
  readonly masked?: boolean;
  /** RSV bits, 0x40, 0x20, 0x10. */
  readonly reserved?: number;
  readonly key?: readonly [number, number, number, number];
}

function bytesOfPayload(payload: string | Uint8Array): Uint8Array {
  return typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
}

/** A frame as a client sends it. Written after RFC 6455 section 5.2, not with the code under test. */
export function clientFrame(opcode: number, payload: string | Uint8Array, parts: FrameParts = {}): Buffer {
  const body = bytesOfPayload(payload);
  const { final = true, masked = true, reserved = 0, key = [0x11, 0xa2, 0x33, 0xc4] } = parts;
  const mask = masked ? 0x80 : 0;
  const size = body.length;
  let head: Buffer;
  if (size < 126) head = Buffer.from([0, mask | size]);
  else if (size < 65_536) {
    head = Buffer.from([0, mask | 126, 0, 0]);
    head.writeUInt16BE(size, 2);
  } else {
    head = Buffer.from([0, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeBigUInt64BE(BigInt(size), 2);
  }
  head[0] = (final ? 0x80 : 0) | reserved | opcode;
  if (!masked) return Buffer.concat([head, body]);
  return Buffer.concat([head, Buffer.from(key), Buffer.from(body.map((byte, i) => byte ^ key[i & 3]!))]); // i & 3 < 4.
}

/** A frame of the server. */
export interface ServerFrame {
  readonly opcode: number;
  readonly final: boolean;
  readonly masked: boolean;
  readonly reserved: number;
  readonly payload: Buffer;
}

/** Takes complete frames from the front of `bytes`; `rest` is what is left. */
export function readFrames(bytes: Buffer): { frames: ServerFrame[]; rest: Buffer } {
  const frames: ServerFrame[] = [];
  let at = 0;
  while (bytes.length - at >= 2) {
    const first = bytes[at]!; // Two bytes are there.
    const second = bytes[at + 1]!;
    let size = second & 0x7f;
    let start = at + 2;
    if (size === 126) {
      if (bytes.length < start + 2) break;
      size = bytes.readUInt16BE(start);
      start += 2;
    } else if (size === 127) {
      if (bytes.length < start + 8) break;
      size = Number(bytes.readBigUInt64BE(start));
      start += 8;
    }
    if (bytes.length < start + size) break;
    frames.push({
      opcode: first & 0xf,
      final: (first & 0x80) !== 0,
      masked: (second & 0x80) !== 0,
      reserved: first & 0x70,
      payload: bytes.subarray(start, start + size),
    });
    at = start + size;
  }
  return { frames, rest: bytes.subarray(at) };
}

/** A close frame in short: `1000 Client Closed`. */
export function closeText(frame: ServerFrame): string {
  if (frame.opcode !== 8) throw new Error(`not a close frame: opcode ${frame.opcode}`);
  if (frame.payload.length === 0) return "";
  return `${frame.payload.readUInt16BE(0)} ${frame.payload.subarray(2).toString("utf8")}`.trimEnd();
}

/** Options of a dial. */
export interface DialOptions {
  readonly request?: RequestParts;
  readonly tls?: tls.ConnectionOptions;
}

/** A connection to a WebSocket port. */
export class WebSocketPeer {
  readonly stream: net.Socket;
  readonly frames: ServerFrame[] = [];
  /** The answer to the request, once it is complete. */
  response = "";
  ended = false;
  #rest: Buffer = Buffer.alloc(0);
  #taken = 0;
  readonly #waiter = new Waiter();

  constructor(stream: net.Socket) {
    this.stream = stream;
    stream.on("data", (bytes: Uint8Array) => {
      this.#rest = Buffer.concat([this.#rest, bytes]);
      this.#read();
      this.#waiter.notify();
    });
    const over = () => {
      this.ended = true;
      this.#waiter.notify();
    };
    stream.on("end", over);
    stream.on("close", over);
    stream.on("error", () => {});
  }

  #read(): void {
    if (this.response === "") {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.response = this.#rest.subarray(0, end + 4).toString("latin1");
      this.#rest = this.#rest.subarray(end + 4);
    }
    if (!this.response.startsWith("HTTP/1.1 101")) return;
    const { frames, rest } = readFrames(this.#rest);
    this.frames.push(...frames);
    this.#rest = rest;
  }

  /** Bytes behind the response that are no complete frame: the body, where the request was refused. */
  get rest(): string {
    return this.#rest.toString("latin1");
  }

  /** Payload of all uncompressed data frames, as a byte string, from what was taken on. */
  get text(): string {
    const all = this.frames.filter(({ opcode, reserved }) => opcode < 8 && reserved === 0);
    return Buffer.concat(all.map(({ payload }) => payload)).subarray(this.#taken).toString("latin1");
  }

  async until(condition: () => boolean): Promise<boolean> {
    const giveUp = Promise.withResolvers<void>();
    const timer = setTimeout(giveUp.resolve, GIVE_UP_MS);
    await Promise.race([this.#waiter.until(() => condition() || this.ended), giveUp.promise]);
    clearTimeout(timer);
    return condition();
  }

  /** Waits for `text` somewhere in the payload and takes everything up to it. */
  async take(text: string): Promise<string> {
    if (!await this.until(() => this.text.includes(text))) {
      throw new Error(`${JSON.stringify(text)} did not come, but ${JSON.stringify(this.text.slice(0, 400))}`);
    }
    const taken = this.text.slice(0, this.text.indexOf(text) + text.length);
    this.#taken += taken.length;
    return taken;
  }

  /** Waits for the end; the frames from `from` on. */
  async remainder(from = 0): Promise<ServerFrame[]> {
    if (!await this.until(() => this.ended)) throw new Error("the server did not close");
    return this.frames.slice(from);
  }

  /** One frame, or text in a masked binary one. */
  send(frame: Uint8Array | string): this {
    this.stream.write(typeof frame === "string" ? clientFrame(2, frame) : frame);
    return this;
  }

  destroy(): void {
    this.stream.destroy();
  }
}

/** Dials and sends the request. */
export async function dialWebSocket(port: number, options: DialOptions = {}): Promise<WebSocketPeer> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stream = options.tls === undefined
    ? net.connect({ port, host: "127.0.0.1" }, () => resolve())
    : tls.connect({ port, host: "127.0.0.1", servername: "localhost", ...options.tls }, () => resolve());
  stream.once("error", reject);
  await promise;
  stream.off("error", reject);
  const peer = new WebSocketPeer(stream);
  stream.write(upgradeRequest(options.request));
  return peer;
}
