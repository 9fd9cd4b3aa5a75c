/**
 * How TLS begins on a client connection (nats-server.md 7): INFO in clear and then the handshake, the handshake first, or
 * whichever the client's first byte shows. Until it is over no byte reaches the protocol parser.
 */
import { createHash, X509Certificate } from "node:crypto";
import type { Socket, TimerHandle, TlsInfo, TlsServerOptions } from "../runtime/types.ts";

/** TLS of the client port. Keep one frozen object: the platform derives its context from it once. */
export interface NatsTlsOptions {
  readonly server: TlsServerOptions;
  /** From accept to the end of the handshake. */
  readonly timeoutMs: number;
  /** True: no byte in clear. A number: wait that many milliseconds for a ClientHello, then INFO in clear. */
  readonly handshakeFirst: boolean | number;
  /** Clients without TLS are served, too. */
  readonly allowNonTls: boolean;
  /** SHA-256 of the public keys that clients may have, 64 small hexadecimal digits each; empty = any. */
  readonly pinnedCerts: readonly string[];
  /** Connections per second that may begin; 0 or absent = any number. */
  readonly connectionRateLimit?: number;
}

/** First byte of a TLS record that holds a handshake. */
const TLS_HANDSHAKE = 0x16;

/** What the connection does for its entry. */
export interface TlsEntryHost {
  /** Queues the INFO line and flushes it. */
  announce(): void;
  /** The connection is secure, or stays in clear because it may: `info` is undefined then. */
  entered(info: TlsInfo | undefined): void;
  tlsFailed(): void;
  after(delayMs: number, work: () => void): TimerHandle;
}

type Phase = "waiting" | "handshake" | "over";

export class TlsEntry {
  readonly #host: TlsEntryHost;
  readonly #socket: Socket;
  readonly #options: NatsTlsOptions;
  #phase: Phase = "waiting";
  #announced = false;
  #timer: TimerHandle | undefined;

  constructor(host: TlsEntryHost, socket: Socket, options: NatsTlsOptions) {
    this.#host = host;
    this.#socket = socket;
    this.#options = options;
  }

  /** Called once, when the connection was accepted. */
  begin(): void {
    const { handshakeFirst, allowNonTls, timeoutMs } = this.#options;
    if (handshakeFirst === true) return this.#handshake();
    if (typeof handshakeFirst === "number") {
      this.#timer = this.#host.after(handshakeFirst, () => this.#fallBack());
      return;
    }
    this.#announce();
    if (!allowNonTls) return this.#handshake();
    this.#timer = this.#host.after(timeoutMs, () => this.#enter(undefined));
  }

  /** Looks at input. True: it is for the parser. */
  admit(bytes: Uint8Array): boolean {
    if (this.#phase === "over") return true;
    if (this.#phase === "handshake") return false;
    if (bytes[0] === TLS_HANDSHAKE) {
      // Within this call: the adapter hands these very bytes to TLS.
      this.#handshake();
      return false;
    }
    if (this.#options.allowNonTls) {
      this.#enter(undefined);
      return true;
    }
    // Plain text where TLS is demanded: closed without a word, as after a plain CONNECT.
    this.close();
    this.#host.tlsFailed();
    return false;
  }

  close(): void {
    this.#phase = "over";
    this.#timer?.stop();
  }

  /** No ClientHello came: this client waits for an INFO in clear. */
  #fallBack(): void {
    if (this.#phase !== "waiting") return;
    this.#announce();
    this.#handshake();
  }

  #announce(): void {
    this.#announced = true;
    this.#host.announce();
  }

  #handshake(): void {
    this.#phase = "handshake";
    this.#timer?.stop();
    this.#timer = this.#host.after(this.#options.timeoutMs, () => this.#fail());
    this.#socket.startTls(this.#options.server).then((info) => {
      if (this.#phase !== "handshake") return;
      if (!this.#isPinned(info)) return this.#fail();
      if (!this.#announced) this.#announce();
      this.#enter(info);
    }, () => this.#fail());
  }

  #enter(info: TlsInfo | undefined): void {
    if (this.#phase === "over") return;
    this.close();
    this.#host.entered(info);
  }

  #fail(): void {
    if (this.#phase === "over") return;
    this.close();
    this.#host.tlsFailed();
  }

  #isPinned(info: TlsInfo): boolean {
    const { pinnedCerts } = this.#options;
    if (pinnedCerts.length === 0) return true;
    if (info.peerCertificate === undefined) return false;
    const key = new X509Certificate(info.peerCertificate).publicKey.export({ type: "spki", format: "der" });
    return pinnedCerts.includes(createHash("sha256").update(key).digest("hex"));
  }
}
