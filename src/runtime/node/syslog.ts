/**
 * Ways to a syslog: UDP over `node:dgram`, streams over `node:net`, and the local one over datagrams of a Unix socket where
 * the platform has them. The log must never make the server wait, so every way has a bound, and says when it is passed.
 */
import { Buffer } from "node:buffer";
import * as dgram from "node:dgram";
import * as dns from "node:dns";
import * as net from "node:net";
import { hostname } from "node:os";
import { RuntimeError, type SyslogLink, type SyslogTarget } from "../types.ts";
import type { DatagramOpener, DatagramSocket } from "./datagrams.ts";
import { addressText, toRuntimeError } from "./errors.ts";

/** Bytes that wait for a syslog that is away or slow; what comes on top is lost and counted by the sender. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/** Time between two attempts to reach it again. */
const RECONNECT_MS = 1_000;
/** How long the end of the process waits for a syslog that does not take the last lines. */
const CLOSE_MS_MAX = 1_000;
/** Where the local syslog listens; the order is that of the reference's library. */
const LOCAL_PATHS: readonly string[] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/**
 * The way to `target`. `datagrams` gives datagrams over Unix sockets, or undefined where there are none; `localPaths` is a
 * seam for tests.
 */
export function openSyslog(
  target: SyslogTarget,
  datagrams: () => DatagramOpener | undefined,
  localPaths: readonly string[] = LOCAL_PATHS,
): SyslogLink {
  switch (target.kind) {
    case "udp":
      return new PacketLink(target.host, target.port);
    case "tcp":
      return new StreamLink(
        [{ host: target.host, port: target.port }],
        `Cannot reach the syslog at ${addressText(target.host, target.port)}`,
      );
    case "unix":
      return new StreamLink([{ path: target.path }], `Cannot reach the syslog at ${target.path}`);
    case "local": {
      const opener = datagrams();
      const socket = opener === undefined ? undefined : openFirst(opener, localPaths);
      if (opener !== undefined && socket !== undefined) return new LocalLink(opener, localPaths, socket);
      // Some systems take streams at the same places.
      return new StreamLink(localPaths.map((path) => ({ path })), `No syslog of this machine takes lines`);
    }
  }
}

function openFirst(opener: DatagramOpener, paths: readonly string[]): DatagramSocket | undefined {
  for (const path of paths) {
    const socket = opener(path);
    if (socket !== undefined) return socket;
  }
  return undefined;
}

/** Datagrams to the syslog of this machine. The calls do not wait, so there is no queue. */
class LocalLink implements SyslogLink {
  readonly hostName = hostname();
  readonly opened = Promise.resolve();
  readonly #encoder = new TextEncoder();

  constructor(
    readonly opener: DatagramOpener,
    readonly paths: readonly string[],
    private socket: DatagramSocket | undefined,
  ) {}

  send(message: string): boolean {
    const bytes = this.#encoder.encode(message);
    if (this.socket?.send(bytes) === true) return true;
    // A syslog that was restarted has another socket behind the same path.
    this.socket?.close();
    this.socket = openFirst(this.opener, this.paths);
    return this.socket?.send(bytes) ?? false;
  }

  close(): Promise<void> {
    this.socket?.close();
    this.socket = undefined;
    return Promise.resolve();
  }
}

/** Resolves when `work` calls its argument, or after the bound. */
function bounded(work: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_MS_MAX);
    work(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** One UDP packet per message. Whether anybody gets them is not known. */
class PacketLink implements SyslogLink {
  readonly hostName = hostname();
  readonly opened: Promise<void>;
  readonly #port: number;
  readonly #encoder = new TextEncoder();
  #socket: dgram.Socket | undefined;
  #address = "";
  /** Waiting for the name to be resolved. */
  #queue: Uint8Array[] = [];
  /** Handed to the system or waiting. */
  #openBytes = 0;
  #isClosed = false;
  #drained: (() => void) | undefined;

  constructor(host: string, port: number) {
    this.#port = port;
    this.opened = this.#open(host);
  }

  send(message: string): boolean {
    if (this.#isClosed) return false;
    const bytes = this.#encoder.encode(message);
    if (this.#openBytes + bytes.length > QUEUE_BYTES_MAX) return false;
    this.#openBytes += bytes.length;
    if (this.#socket === undefined) this.#queue.push(bytes);
    else this.#sendBytes(this.#socket, bytes);
    return true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#openBytes > 0) await bounded((done) => this.#drained = done);
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #open(host: string): Promise<void> {
    try {
      const { address, family } = await dns.promises.lookup(host);
      const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4");
      // What comes back from a host without a syslog is no reason to stop.
      socket.on("error", () => {});
      // The log alone keeps no process alive.
      socket.unref();
      this.#address = address;
      this.#socket = socket;
      for (const bytes of this.#queue.splice(0)) this.#sendBytes(socket, bytes);
    } catch (error) {
      throw toRuntimeError(error, `Cannot reach the syslog at ${addressText(host, this.#port)}`);
    }
  }

  #sendBytes(socket: dgram.Socket, bytes: Uint8Array): void {
    socket.send(bytes, this.#port, this.#address, () => {
      this.#openBytes -= bytes.length;
      if (this.#openBytes === 0) this.#drained?.();
    });
  }
}

/** A stream that is opened again when it breaks. Of several places the first that answers is taken, each time. */
class StreamLink implements SyslogLink {
  readonly hostName = hostname();
  readonly opened: Promise<void>;
  readonly #places: readonly net.NetConnectOpts[];
  #socket: net.Socket | undefined;
  #queue: string[] = [];
  #queueBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #connected: (() => void) | undefined;

  constructor(places: readonly net.NetConnectOpts[], tried: string) {
    this.#places = places;
    this.opened = this.#connect().catch((error: unknown) => {
      // Whoever goes on all the same, at a reload for example, is served as soon as somebody listens.
      this.#connectLater();
      throw error instanceof RuntimeError ? error : toRuntimeError(error, tried);
    });
  }

  send(message: string): boolean {
    if (this.#isClosed) return false;
    const sizeBytes = Buffer.byteLength(message);
    const waitingBytes = this.#socket?.writableLength ?? this.#queueBytes;
    if (waitingBytes + sizeBytes > QUEUE_BYTES_MAX) return false;
    if (this.#socket !== undefined) {
      this.#socket.write(message);
    } else {
      this.#queue.push(message);
      this.#queueBytes += sizeBytes;
    }
    return true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#queue.length > 0 && this.#socket === undefined) await bounded((done) => this.#connected = done);
    const socket = this.#socket;
    if (socket !== undefined) await bounded((done) => socket.end(done));
    socket?.destroy();
  }

  async #connect(): Promise<void> {
    let reason: unknown;
    for (const place of this.#places) {
      try {
        this.#adopt(await connected(place));
        return;
      } catch (error) {
        reason = error;
      }
    }
    throw reason;
  }

  #adopt(socket: net.Socket): void {
    if (this.#isClosed && this.#connected === undefined) {
      socket.destroy();
      return;
    }
    socket.unref();
    // Errors come before "close", where the connection is missed.
    socket.on("error", () => {});
    // A syslog says nothing; what is not read would hide that it has gone.
    socket.resume();
    socket.once("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#connectLater();
    });
    this.#socket = socket;
    const waiting = this.#queue.splice(0);
    this.#queueBytes = 0;
    for (const message of waiting) socket.write(message);
    this.#connected?.();
  }

  #connectLater(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#connect().catch(() => this.#connectLater());
    }, RECONNECT_MS);
    this.#timer.unref();
  }
}

function connected(place: net.NetConnectOpts): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(place);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
