/** One NATS connection of the soak: raw frames over `node:net`, nothing of the product in between. */
import * as net from "node:net";

/** What a link hands its owner. */
export interface LinkOwner {
  message(subject: string, reply: string, payload: Uint8Array): void;
  /** The connection is gone, and it was not us who ended it. */
  lost(why: string): void;
}

const NOTHING = new Uint8Array(0);
const CR = 13;

/** See the module comment. */
export class Link {
  readonly #socket: net.Socket;
  readonly #owner: LinkOwner;
  #carry: Uint8Array = NOTHING;
  #isOver = false;

  private constructor(socket: net.Socket, owner: LinkOwner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.on("data", (chunk: Uint8Array) => this.#data(chunk));
    socket.on("error", (error) => this.#lost(String(error)));
    socket.on("close", () => this.#lost("closed by the server"));
  }

  /** Connects; everything below `inboxPrefix` comes to the owner. */
  static open(port: number, inboxPrefix: string, owner: LinkOwner): Promise<Link> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host: "127.0.0.1", port });
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        const link = new Link(socket, owner);
        link.#write('CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}\r\n');
        link.#write(`SUB ${inboxPrefix}.> 1\r\n`);
        resolve(link);
      });
    });
  }

  publish(subject: string, payload: Uint8Array, reply = ""): void {
    if (this.#isOver) return;
    const head = Buffer.from(`PUB ${subject} ${reply === "" ? "" : `${reply} `}${payload.length}\r\n`, "latin1");
    this.#socket.write(Buffer.concat([head, payload, CRLF]));
  }

  /** Breaks off, as a process that is killed does. */
  kill(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  /** Stops reading, or goes on. */
  set isFrozen(frozen: boolean) {
    if (frozen) this.#socket.pause();
    else this.#socket.resume();
  }

  #write(text: string): void {
    this.#socket.write(text);
  }

  #lost(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.lost(why);
  }

  #data(chunk: Uint8Array): void {
    const bytes = this.#carry.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#carry, chunk]);
    let at = 0;
    while (!this.#isOver) {
      const next = this.#frame(bytes, at);
      if (next === 0) break;
      at = next;
    }
    this.#carry = at === bytes.length ? NOTHING : bytes.subarray(at);
  }

  /** Handles the frame at `at`; where it ends, or 0 if it is not whole. */
  #frame(bytes: Buffer, at: number): number {
    const lineEnd = bytes.indexOf(CR, at);
    if (lineEnd < 0 || lineEnd + 2 > bytes.length) return 0;
    const line = bytes.toString("latin1", at, lineEnd);
    const payloadStart = lineEnd + 2;
    if (!line.startsWith("MSG ") && !line.startsWith("HMSG ")) {
      if (line === "PING") this.#write("PONG\r\n");
      else if (line.startsWith("-ERR")) this.#lost(line);
      return payloadStart;
    }
    const words = line.split(" ");
    const size = Number(words[words.length - 1]);
    const end = payloadStart + size;
    if (end + 2 > bytes.length) return 0;
    if (words[0] === "HMSG") this.#owner.message(words[1] ?? "", "", NO_RESPONDERS);
    else {this.#owner.message(
        words[1] ?? "",
        words.length === 5 ? words[3] ?? "" : "",
        bytes.subarray(payloadStart, end),
      );}
    return end + 2;
  }
}

const CRLF = Uint8Array.of(13, 10);
/** Stands for a status frame: nobody answers there. It decodes as nothing. */
export const NO_RESPONDERS = Uint8Array.of(7);
