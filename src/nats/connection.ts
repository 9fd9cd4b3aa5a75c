/**
 * One client connection: its protocol state, its subscriptions, and its output. Everything a client can do wrong ends here
 * with the reference's text or, where the reference has none, with a silent close (nats-server.md 3).
 */
import { assert } from "../base/assert.ts";
import { byteString, byteStringOfText, copyRange, displayText, writeDecimal } from "../base/bytes.ts";
import { isSubscriptionSubject, tokenCount } from "../base/subject.ts";
import { TimerNode } from "../base/timer_wheel.ts";
import type { OutputQueue } from "../runtime/output_queue.ts";
import type { Socket, SocketHandler, TimerHandle, TlsInfo } from "../runtime/types.ts";
import {
  type NatsOperations,
  NatsParser,
  PARSE_CONTROL_LINE,
  PARSE_MAX_PAYLOAD,
  PARSE_SILENT,
  PARSE_UNKNOWN_OPERATION,
  type ParseFailure,
} from "../wire/nats_parser.ts";
import {
  errorLine,
  NATS_ERROR,
  OK_LINE,
  PING_LINE,
  PONG_LINE,
  publishReplyViolation,
  publishViolation,
  quoted,
  subscriptionQueueViolation,
  subscriptionViolation,
  tooManyTokensViolation,
} from "../wire/nats_text.ts";
import type { AuthUser, Credentials } from "./auth/authenticator.ts";
import { Login, type LoginHost } from "./auth/login.ts";
import { ConnectionPermissions } from "./auth/permissions.ts";
import type { ConnectionType } from "./auth/types.ts";
import { type ConnectOptions, parseConnect } from "./connect_options.ts";
import type { NatsServer } from "./nats_server.ts";
import { CONGESTION_HIGH_BYTES, CONGESTION_LOW_BYTES, type Router } from "./router.ts";
import type { SubjectEntry } from "./subject_table.ts";
import { Subscription } from "./subscription.ts";
import { TlsEntry, type TlsEntryHost } from "./tls_entry.ts";

/** Why a connection ended, as the monitor shows it (nats-server.md 12). */
export type CloseReason =
  | "Client Closed"
  | "Authentication Failure"
  | "Authentication Timeout"
  | "TLS Handshake Failure"
  | "Slow Consumer (Pending Bytes)"
  | "Slow Consumer (Write Deadline)"
  | "Write Error"
  | "Read Error"
  | "Parse Error"
  | "Stale Connection"
  | "Protocol Violation"
  | "Bad Client Protocol Version"
  | "Maximum Connections Exceeded"
  | "Maximum Message Payload Exceeded"
  | "Maximum Control Line Exceeded"
  | "Server Shutdown"
  | "No Responders Requires Headers";

const FIRST_PING_MS = 2000;
const PING_JITTER = 0.2;
const RTT_RENEWAL_MS = 3_600_000;
/** Sealed output above which a flush is tried in the middle of a turn, so that a huge fan-out does not pile up. */
const EARLY_FLUSH_BYTES = 262_144;
/** Violations of one connection that are logged per second: a client can make as many as it sends. */
const VIOLATION_LINES_MAX = 20;
const VIOLATION_WINDOW_MS = 1000;
/** Longest pause of a publisher whose receiver lags; after it the receiver counts as frozen and slows nobody any more. */
const PUBLISHER_PAUSE_MS = 5;
const utf8 = new TextDecoder();

export class Connection extends TimerNode implements SocketHandler, NatsOperations, LoginHost, TlsEntryHost {
  readonly id: number;
  readonly output: OutputQueue;
  readonly subscriptions = new Map<string, Subscription>();
  readonly startedMs: number;

  verbose = true;
  pedantic = true;
  echo = true;
  headers = false;
  noResponders = false;
  protocol = 0;
  name = "";
  lang = "";
  version = "";
  connectSeen = false;

  inMessages = 0;
  inBytes = 0;
  outMessages = 0;
  outBytes = 0;
  lastActivityMs: number;
  rttMs = 0;
  /** In the server's list of connections to flush at the end of this turn. */
  dirty = false;
  /** A bulk sender of the bus waits for this connection to catch up. */
  busWaits = false;
  isClosed = false;
  /** Users may be limited to some of these. */
  connectionType: ConnectionType = "STANDARD";
  /** Of this connection's account. */
  router: Router;
  /** Who it is; null where nobody is asked, and before the login. */
  user: AuthUser | null = null;
  /** Null: everything is allowed. */
  permissions: ConnectionPermissions | null = null;
  /** The same when it may answer what it receives, else null: the one thing a delivery has to ask. */
  answers: ConnectionPermissions | null = null;
  /** DER of the client certificate that the TLS handshake verified. */
  tlsPeer: Uint8Array | undefined = undefined;
  /** Protocol and cipher of a secure connection. */
  tls: TlsInfo | undefined = undefined;

  readonly #server: NatsServer;
  readonly #socket: Socket;
  #parser: NatsParser;
  readonly #login: Login | null;
  /** While TLS is being decided and begun; null afterwards, and where there is none. */
  #entry: TlsEntry | null = null;
  #subject: SubjectEntry | null = null;
  #reply: SubjectEntry | null = null;
  /** What the reserved names forbid for the current control line; derived once per line. */
  #lineRefused = "";
  #pingsOut = 0;
  #pingSentMs = 0;
  #rttAtMs = 0;
  /** Monotonic time at which the socket first refused output that is still waiting; 0 = it takes everything. */
  #stuckSinceMs = 0;
  /** Did not drain within a publisher's pause; ignored by congestion control until it has drained. */
  #frozen = false;
  #violationsSinceMs = 0;
  #violationCount = 0;
  #pausedPublishers: Connection[] | null = null;
  #pauseCount = 0;

  constructor(server: NatsServer, socket: Socket, id: number, nowMs: number, nonce: string) {
    super();
    this.#server = server;
    this.#socket = socket;
    this.id = id;
    this.output = socket.output;
    this.startedMs = nowMs;
    this.lastActivityMs = nowMs;
    this.router = server.router;
    this.#parser = new NatsParser(this, server.parserLimits);
    const { authenticator } = server;
    this.#login = authenticator === null ? null : new Login(this, authenticator, server.wheel, nonce);
  }

  /** As in the INFO, for clients that sign; empty otherwise. */
  get nonce(): string {
    return this.#login?.nonce ?? "";
  }

  get address(): string {
    return `${this.#socket.remoteAddress}:${this.#socket.remotePort}`;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number {
    return this.#socket.remotePort;
  }

  // Socket events ------------------------------------------------------------------------------------------------------

  data(bytes: Uint8Array): void {
    if (this.isClosed || this.#entry?.admit(bytes) === false) return;
    const server = this.#server;
    this.router.congested = null;
    this.lastActivityMs = server.clockMs();
    const login = this.#login;
    if (login === null) {
      this.#parser.feed(bytes);
    } else {
      if (!login.admit(bytes, this.#parser.pendingBytes === 0)) return;
      this.#parser.feed(bytes);
      login.parsed();
    }
    const congested = this.router.congested as Connection | null;
    if (congested !== null && congested !== this) this.#yieldTo(congested);
  }

  drained(): void {
    if (this.output.pendingBytes === 0) this.#stuckSinceMs = 0;
    // Output that was not flushed yet is nobody's fault: the deadline begins with the flush that does not finish.
    else if (this.#stuckSinceMs !== 0) this.#stuckSinceMs = this.#server.clockMs();
    this.#checkCaughtUp();
  }

  /** Lets those go on who wait for this receiver. */
  #checkCaughtUp(): void {
    if (this.output.pendingBytes > CONGESTION_LOW_BYTES) return;
    this.#frozen = false;
    if (this.#pausedPublishers !== null) this.#resumePublishers();
    if (this.busWaits) {
      this.busWaits = false;
      this.router.onDrained?.();
    }
  }

  peerEnded(): void {
    if (this.#login?.peerEnded() === true) return;
    // Input that came before the FIN has been handled; its answers go out first (section 2).
    this.close("Client Closed");
  }

  closed(error: Error | undefined): void {
    this.#retire(error === undefined ? "Client Closed" : "Read Error");
  }

  // Life cycle ---------------------------------------------------------------------------------------------------------

  /** The first thing after accept: INFO, and TLS where the port demands or offers it. */
  begin(): void {
    const { tls } = this.#server.options;
    if (tls === undefined) return this.announce();
    this.#entry = new TlsEntry(this, this.#socket, tls);
    this.#entry.begin();
  }

  /** Sends INFO at once. */
  announce(): void {
    this.write(this.#server.info(this));
    this.flush(this.#server.clockMs());
  }

  entered(info: TlsInfo | undefined): void {
    this.#entry = null;
    this.tls = info;
    this.tlsPeer = info?.peerCertificate;
  }

  tlsFailed(): void {
    if (this.#server.log.debugEnabled) this.#server.log.debug(`${this.describe()} - TLS handshake failed`);
    this.abort("TLS Handshake Failure");
  }

  after(delayMs: number, work: () => void): TimerHandle {
    return this.#server.after(delayMs, work);
  }

  /** Ends the connection after everything queued was written. `text` goes out as `-ERR` where the reference sends one. */
  close(reason: CloseReason, text?: string): void {
    if (this.isClosed) return;
    if (text !== undefined) {
      const line = errorLine(text);
      this.output.reserve(line.length);
      this.output.append(line);
      if (this.#server.log.debugEnabled) this.#server.log.debug(`${this.describe()} - ${text}`);
    }
    this.#retire(reason);
    this.#socket.flush();
    this.#socket.end();
  }

  /** Ends the connection at once; what is queued is dropped (a slow consumer, a dead peer). */
  abort(reason: CloseReason): void {
    if (this.isClosed) return;
    this.#retire(reason);
    this.#socket.destroy();
  }

  #retire(reason: CloseReason): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#parser.close();
    this.#login?.close();
    this.#entry?.close();
    this.#subject = null;
    this.#reply = null;
    this.#resumePublishers();
    const router = this.router;
    this.#dropAll();
    this.#server.forget(this, reason);
    if (this.busWaits) {
      this.busWaits = false;
      router.onDrained?.();
    }
  }

  describe(): string {
    return `${this.address} - cid:${this.id}`;
  }

  // Output -------------------------------------------------------------------------------------------------------------

  /** Queues protocol bytes and marks the connection for the flush of this turn. */
  write(bytes: Uint8Array): void {
    if (this.isClosed) return;
    const output = this.output;
    if (output.length + bytes.length > output.buffer.length && !this.makeRoom(bytes.length)) return;
    output.append(bytes);
    if (!this.dirty) this.#server.markDirty(this);
  }

  /**
   * The slow half of a reservation: the current chunk is full. Here, once per 64 KB, the pending limit is enforced and
   * congestion is noticed. False: the connection is closed, nothing may be written.
   */
  makeRoom(count: number): boolean {
    if (this.isClosed) return false;
    const output = this.output;
    output.reserve(count);
    const { maxPendingBytes } = this.#server.options;
    if (output.sealedBytes > EARLY_FLUSH_BYTES || output.sealedBytes > maxPendingBytes) {
      this.#socket.flush();
      if (this.isClosed) return false;
      const pending = output.pendingBytes;
      if (pending > maxPendingBytes) {
        this.#server.slowConsumer(
          this,
          "Slow Consumer (Pending Bytes)",
          `Slow Consumer Detected: MaxPending of ${maxPendingBytes} Exceeded`,
        );
        return false;
      }
      if (pending > CONGESTION_HIGH_BYTES && !this.#frozen) this.router.congested = this;
      output.reserve(count);
    }
    return true;
  }

  /** Hands the queued output to the socket; called once per turn for connections that are dirty. */
  flush(nowMs: number): void {
    this.dirty = false;
    if (this.isClosed) return;
    this.#socket.flush();
    const pending = this.output.pendingBytes;
    if (pending === 0) this.#stuckSinceMs = 0;
    else if (this.#stuckSinceMs === 0) {
      this.#stuckSinceMs = nowMs;
      this.#server.watchWrites(this);
    }
    // The socket may have taken everything at once: then no `drained` follows.
    this.#checkCaughtUp();
  }

  /** Milliseconds since the socket last took anything while output waits; 0 when nothing waits. */
  stuckForMs(nowMs: number): number {
    return this.#stuckSinceMs === 0 ? 0 : nowMs - this.#stuckSinceMs;
  }

  // Deliveries ---------------------------------------------------------------------------------------------------------

  /** Counts a delivery and removes the subscription when its limit is reached. */
  delivered(subscription: Subscription, size: number): void {
    this.outMessages++;
    this.outBytes += size;
    const statistics = this.router.statistics;
    statistics.outMessages++;
    statistics.outBytes += size;
    subscription.delivered++;
    if (subscription.max > 0 && subscription.delivered >= subscription.max) this.#drop(subscription);
    if (!this.dirty) this.#server.markDirty(this);
  }

  /** Writes the frame in `parser` as MSG or HMSG. False: this connection takes nothing any more. */
  deliver(subscription: Subscription, head: Uint8Array, parser: NatsParser): boolean {
    if (parser.headerSize > 0 || !parser.canonical) return this.#deliverRebuilt(subscription, head, parser);
    const output = this.output;
    const headLength = head.length;
    const tailStart = parser.tailStart;
    const tailEnd = parser.payloadEnd + 2;
    const room = headLength + tailEnd - tailStart;
    if (output.length + room > output.buffer.length && !this.makeRoom(room)) return false;
    const buffer = output.buffer;
    const at = copyRange(buffer, output.length, head, 0, headLength);
    // `[reply ]size CRLF payload CRLF` reads the same in PUB and in MSG: one contiguous copy.
    output.length = copyRange(buffer, at, parser.buffer, tailStart, tailEnd);
    if (this.answers !== null && parser.replyEnd > parser.replyStart) this.#grantAnswer(parser);
    this.delivered(subscription, parser.payloadEnd - parser.payloadStart);
    return true;
  }

  /** A frame whose parts do not stand as MSG needs them: odd separators, or headers. */
  #deliverRebuilt(subscription: Subscription, head: Uint8Array, parser: NatsParser): boolean {
    const source = parser.buffer;
    const headerSize = Math.max(0, parser.headerSize);
    const withHeaders = headerSize > 0 && this.headers;
    const payloadStart = withHeaders ? parser.payloadStart : parser.payloadStart + headerSize;
    const size = parser.payloadEnd - payloadStart;
    const replyLength = parser.replyEnd - parser.replyStart;
    const room = head.length + replyLength + size + 32;
    const output = this.output;
    if (output.length + room > output.buffer.length && !this.makeRoom(room)) return false;
    const buffer = output.buffer;
    let at = output.length;
    if (withHeaders) buffer[at++] = 72;
    at = copyRange(buffer, at, head, 0, head.length);
    if (replyLength > 0) {
      at = copyRange(buffer, at, source, parser.replyStart, parser.replyEnd);
      buffer[at++] = 32;
    }
    if (withHeaders) {
      at = copyRange(buffer, at, source, parser.headerSizeStart, parser.headerSizeEnd);
      buffer[at++] = 32;
    }
    // Sizes are echoed as written, unless headers are cut off.
    if (withHeaders || headerSize === 0) at = copyRange(buffer, at, source, parser.sizeStart, parser.sizeEnd);
    else at = writeDecimal(buffer, at, size);
    buffer[at++] = 13;
    buffer[at++] = 10;
    output.length = copyRange(buffer, at, source, payloadStart, parser.payloadEnd + 2);
    if (replyLength > 0 && this.answers !== null) this.#grantAnswer(parser);
    this.delivered(subscription, size);
    return true;
  }

  /** An HMSG that is nothing but a status header. It does not count against UNSUB's maximum (reference 2.9.10). */
  deliverStatus(subscription: Subscription, entry: SubjectEntry, header: Uint8Array): void {
    const text = `HMSG ${entry.subject} ${subscription.sidText} ${header.length} ${header.length}\r\n`;
    const line = new Uint8Array(text.length + header.length + 2);
    for (let i = 0; i < text.length; i++) line[i] = text.charCodeAt(i);
    line.set(header, text.length);
    line[line.length - 2] = 13;
    line[line.length - 1] = 10;
    this.write(line);
  }

  // Operations ---------------------------------------------------------------------------------------------------------

  publish(parser: NatsParser): void {
    const server = this.#server;
    const router = this.router;
    let entry = this.#subject;
    if (!parser.sameLine || entry === null) {
      entry = router.entryOf(parser.buffer, parser.subjectStart, parser.subjectEnd);
      this.#subject = entry;
      this.#reply = null;
      this.#lineRefused = this.permissions === null ? reservedNames(parser, entry) : this.#refusal(parser, entry);
    } else if (entry.generation !== router.generation) {
      entry = router.refresh(entry);
      this.#subject = entry;
    }
    const size = parser.payloadEnd - parser.payloadStart;
    this.inMessages++;
    this.inBytes += size;
    router.statistics.inMessages++;
    router.statistics.inBytes += size;
    if (server.log.traceEnabled) this.#tracePublish(parser);
    if (this.pedantic && (entry.wildcard || !entry.publishable)) this.#error(NATS_ERROR.invalidPublishSubject);
    if (this.#lineRefused !== "") return this.#refusePublish(entry);
    if (this.verbose) this.write(OK_LINE);
    const reached = router.publish(this, parser, entry);
    if (reached === 0 && this.noResponders && parser.replyEnd > parser.replyStart && !this.isClosed) {
      router.answerNoResponders(this, router.entryOf(parser.buffer, parser.replyStart, parser.replyEnd));
    }
  }

  /** The reply subject of the frame that is being delivered. */
  replyEntry(): SubjectEntry {
    const known = this.#reply;
    // A generation of -1 is refreshed by whoever sends to it.
    if (known !== null && !known.dropped) return known;
    const parser = this.#parser;
    return this.#reply = this.router.entryOf(parser.buffer, parser.replyStart, parser.replyEnd);
  }

  connect(buffer: Uint8Array, start: number, end: number): void {
    const options = parseConnect(utf8.decode(buffer.subarray(start, end)));
    if (this.#server.log.traceEnabled) this.#trace("<<-", `CONNECT ${redacted(options)}`);
    if (options === undefined) return this.close("Protocol Violation");
    this.connectSeen = true;
    this.verbose = options.verbose ?? this.verbose;
    this.pedantic = options.pedantic ?? this.pedantic;
    this.echo = options.echo ?? this.echo;
    this.headers = options.headers ?? this.headers;
    this.#parser.headersAllowed = this.headers;
    this.noResponders = options.no_responders ?? this.noResponders;
    this.protocol = options.protocol ?? this.protocol;
    this.name = options.name ?? this.name;
    this.lang = options.lang ?? this.lang;
    this.version = options.version ?? this.version;
    if (this.#login === null) this.connected(options);
    else this.#login.present(options, buffer, end);
  }

  /** The rest of a CONNECT whose sender was let in. */
  connected(options: ConnectOptions): void {
    if ((options.account !== undefined && options.account !== "") || options.new_account === true) {
      return this.close("Authentication Failure", NATS_ERROR.authorization);
    }
    if (this.protocol !== 0 && this.protocol !== 1) {
      return this.close("Bad Client Protocol Version", NATS_ERROR.clientProtocol);
    }
    if (this.noResponders && !this.headers) {
      return this.close("No Responders Requires Headers", NATS_ERROR.noRespondersHeaders);
    }
    // The first PING comes soon although the client may be busy: clients and monitors rely on a round trip time (trap 13).
    if (!this.#server.options.disableShortFirstPing) this.schedulePing(FIRST_PING_MS);
    if (this.verbose) this.write(OK_LINE);
  }

  subscribe(
    buffer: Uint8Array,
    subjectStart: number,
    subjectEnd: number,
    queueStart: number,
    queueEnd: number,
    sidStart: number,
    sidEnd: number,
  ): void {
    const subject = byteString(buffer, subjectStart, subjectEnd);
    const queue = byteString(buffer, queueStart, queueEnd);
    const sidText = byteString(buffer, sidStart, sidEnd);
    const { options, log } = this.#server;
    if (log.traceEnabled) this.#trace("<<-", `SUB ${subject} ${queue === "" ? "" : queue + " "}${sidText}`);
    // The order of the checks is the reference's: a sid in use hides an invalid subject, but not the limit.
    if (queue === "_sys_" || this.permissions?.rules.allowsSubscribe(subject, queue) === false) {
      return this.#refuseSubscribe(subject, queue, sidText);
    }
    if (options.maxSubscriptionTokens > 0 && tokenCount(subject) > options.maxSubscriptionTokens) {
      return this.#error(tooManyTokensViolation(subject));
    }
    if (options.maxSubscriptions > 0 && this.subscriptions.size >= options.maxSubscriptions) {
      return this.#error(NATS_ERROR.maxSubscriptions);
    }
    if (!this.subscriptions.has(sidText)) {
      if (!isSubscriptionSubject(subject)) return this.#error(NATS_ERROR.invalidSubject);
      const subscription = new Subscription(this, null, subject, queue, buffer.slice(sidStart, sidEnd), sidText);
      if (this.permissions !== null) subscription.filtered = this.permissions.rules.filtersDeliveries(subject);
      this.subscriptions.set(sidText, subscription);
      this.router.add(subscription);
    }
    if (this.verbose) this.write(OK_LINE);
  }

  unsubscribe(buffer: Uint8Array, sidStart: number, sidEnd: number, max: number): void {
    const sidText = byteString(buffer, sidStart, sidEnd);
    if (this.#server.log.traceEnabled) this.#trace("<<-", `UNSUB ${sidText}${max > 0 ? " " + max : ""}`);
    const subscription = this.subscriptions.get(sidText);
    if (subscription !== undefined) {
      if (max > subscription.delivered) subscription.max = max;
      else this.#drop(subscription);
    }
    if (this.verbose) this.write(OK_LINE);
  }

  ping(): void {
    if (this.#server.log.traceEnabled) this.#trace("<<-", "PING");
    this.write(PONG_LINE);
  }

  pong(): void {
    this.#pingsOut = 0;
    if (this.#pingSentMs > 0) {
      this.#rttAtMs = this.#server.clockMs();
      this.rttMs = this.#rttAtMs - this.#pingSentMs;
      this.#pingSentMs = 0;
    }
    if (this.#server.log.traceEnabled) this.#trace("<<-", "PONG");
  }

  info(buffer: Uint8Array, start: number, end: number): void {
    let value: unknown;
    try {
      value = JSON.parse(utf8.decode(buffer.subarray(start, end)));
    } catch {
      // Not JSON; treated below as any other value that is no object.
      value = undefined;
    }
    if (typeof value !== "object" || Array.isArray(value)) this.close("Protocol Violation");
  }

  failed(failure: ParseFailure): void {
    switch (failure) {
      case PARSE_UNKNOWN_OPERATION:
        return this.close("Parse Error", NATS_ERROR.unknownOperation);
      case PARSE_CONTROL_LINE:
        return this.close("Maximum Control Line Exceeded", NATS_ERROR.controlLine);
      case PARSE_MAX_PAYLOAD:
        return this.close("Maximum Message Payload Exceeded", NATS_ERROR.maxPayload);
      case PARSE_SILENT:
        return this.close("Protocol Violation");
    }
  }

  // Login --------------------------------------------------------------------------------------------------------------

  /** Starts the time for CONNECT, where one is needed. */
  startLogin(): void {
    if (this.#login === null) return;
    this.#login.start(this.#server.nowMs);
    this.#server.wake();
  }

  enter(user: AuthUser): void {
    if (user === this.user) return;
    // Somebody else's subscriptions say nothing about what this one may see (from 2.14 on the reference drops them, too).
    this.#dropAll();
    this.user = user;
    const router = this.#server.accounts.router(user.account);
    assert(router !== undefined, "every user's account has a router");
    this.router = router;
    this.router.congested = null;
    this.permissions = user.rules === null ? null : new ConnectionPermissions(user.rules);
    this.answers = this.permissions?.grantsReplies === true ? this.permissions : null;
    this.#subject = null;
    this.#reply = null;
  }

  refuse(credentials: Credentials): void {
    const { nkey = "", user = "" } = credentials;
    const name = nkey !== "" ? `Nkey ${quotedText(nkey)}` : `User ${quotedText(user)}`;
    this.#server.log.error(`${this.describe()} - authentication error - ${name}`);
    this.close("Authentication Failure", NATS_ERROR.authorization);
  }

  expire(): void {
    this.close("Authentication Timeout", NATS_ERROR.authenticationTimeout);
  }

  overrun(): void {
    this.abort("Authentication Failure");
  }

  suspend(): void {
    this.#parser.close();
    this.#parser = new NatsParser(this, this.#server.parserLimits);
    this.#parser.headersAllowed = this.headers;
    this.#subject = null;
    this.#pauseCount++;
    this.#socket.pause();
  }

  resume(): void {
    if (--this.#pauseCount === 0 && !this.isClosed) this.#socket.resume();
  }

  // Permissions --------------------------------------------------------------------------------------------------------

  /** Asked where the receivers of a subject are resolved, of subscriptions that are `filtered`. */
  mayReceive(subject: string, queue: string): boolean {
    return this.permissions === null || this.permissions.rules.allowsDelivery(subject, queue);
  }

  /** A message with the reply `buffer[start, end)` was delivered here. */
  grantReply(buffer: Uint8Array, start: number, end: number): void {
    this.answers?.grantReply(byteString(buffer, start, end), this.#server.nowMs);
  }

  #grantAnswer(parser: NatsParser): void {
    this.grantReply(parser.buffer, parser.replyStart, parser.replyEnd);
  }

  /** What forbids the current control line, or "". */
  #refusal(parser: NatsParser, entry: SubjectEntry): string {
    const { permissions } = this;
    if (permissions !== null) {
      // Answers are counted, so the next message is asked about again although its line may be the same.
      if (permissions.grantsReplies) this.#subject = null;
      if (!permissions.takePublish(entry.subject, this.#server.nowMs)) return publishViolation(entry.subject);
    }
    return reservedNames(parser, entry);
  }

  #refusePublish(entry: SubjectEntry): void {
    if (this.permissions !== null) this.#logViolation("Publish", `Subject ${quoted(entry.subject)}`);
    this.#error(this.#lineRefused);
  }

  #refuseSubscribe(subject: string, queue: string, sid: string): void {
    const queueText = queue === "" ? "" : `, Queue: ${quoted(queue)}`;
    this.#logViolation("Subscription", `Subject ${quoted(subject)}${queueText}, SID ${sid}`);
    this.#error(queue === "" ? subscriptionViolation(subject) : subscriptionQueueViolation(subject, queue));
  }

  #logViolation(kind: "Publish" | "Subscription", what: string): void {
    const nowMs = this.#server.nowMs;
    if (nowMs - this.#violationsSinceMs >= VIOLATION_WINDOW_MS) {
      this.#violationsSinceMs = nowMs;
      this.#violationCount = 0;
    }
    if (++this.#violationCount > VIOLATION_LINES_MAX) return;
    const { user } = this;
    const name = user === null || user.name === "" ? 'User "N/A"' : `${USER_KINDS[user.kind]} ${quotedText(user.name)}`;
    this.#server.log.error(`${this.describe()} - ${kind} Violation - ${name}, ${displayText(what)}`);
  }

  // Timers -------------------------------------------------------------------------------------------------------------

  schedulePing(periodMs: number): void {
    const server = this.#server;
    const limited = Math.min(periodMs, server.options.pingIntervalMs);
    const nowMs = server.clockMs();
    // An idle wheel stands still; brought up to date while it is empty it skips the idle time instead of walking through it.
    if (server.wheel.count === 0) server.wheel.advance(nowMs);
    // Jitter: after a mass reconnect all clients would be pinged in step (trap 47).
    server.wheel.arm(this, nowMs + limited * (1 + Math.random() * PING_JITTER));
    server.wake();
  }

  override fire(): void {
    if (this.isClosed) return;
    const { options } = this.#server;
    const nowMs = this.#server.clockMs();
    const quietMs = nowMs - this.lastActivityMs;
    // A busy connection needs no probe; but the very first one gives the round trip time, and it is renewed once an hour.
    const rttKnown = this.rttMs > 0 && nowMs - this.#rttAtMs < RTT_RENEWAL_MS;
    if (rttKnown && this.#pingsOut === 0 && quietMs < options.pingIntervalMs) {
      return this.schedulePing(options.pingIntervalMs - quietMs);
    }
    if (this.#pingsOut + 1 > options.pingMax) return this.close("Stale Connection", NATS_ERROR.staleConnection);
    this.#pingsOut++;
    this.#pingSentMs = nowMs;
    this.write(PING_LINE);
    if (this.#server.log.traceEnabled) this.#trace("->>", "PING");
    this.#server.wheel.arm(this, nowMs + options.pingIntervalMs);
  }

  // Congestion ---------------------------------------------------------------------------------------------------------

  /** Stops reading this publisher until `receiver` has caught up, for 5 ms at most. */
  #yieldTo(receiver: Connection): void {
    if (this.isClosed || receiver.isClosed || receiver.output.pendingBytes <= CONGESTION_LOW_BYTES) return;
    (receiver.#pausedPublishers ??= []).push(this);
    this.#pauseCount++;
    this.#socket.pause();
    this.#server.after(PUBLISHER_PAUSE_MS, () => {
      if (receiver.#pausedPublishers === null) return;
      // Not drained in time: from here on it runs into its own pending limit and delays nobody.
      receiver.#frozen = receiver.output.pendingBytes > CONGESTION_LOW_BYTES;
      receiver.#resumePublishers();
    });
  }

  #resumePublishers(): void {
    const paused = this.#pausedPublishers;
    if (paused === null) return;
    this.#pausedPublishers = null;
    for (const publisher of paused) {
      if (--publisher.#pauseCount === 0 && !publisher.isClosed) publisher.#socket.resume();
    }
  }

  // Details ------------------------------------------------------------------------------------------------------------

  #drop(subscription: Subscription): void {
    this.subscriptions.delete(subscription.sidText);
    this.router.remove(subscription);
  }

  #dropAll(): void {
    const router = this.router;
    for (const subscription of this.subscriptions.values()) router.remove(subscription);
    this.subscriptions.clear();
  }

  /** An error that leaves the connection open. */
  #error(text: string): void {
    if (this.#server.log.debugEnabled) this.#server.log.debug(`${this.describe()} - ${displayText(text)}`);
    this.write(errorLine(text));
  }

  #trace(direction: string, text: string): void {
    this.#server.log.trace(`${this.describe()} - ${direction} [${displayText(text)}]`);
  }

  #tracePublish(parser: NatsParser): void {
    const subject = byteString(parser.buffer, parser.subjectStart, parser.subjectEnd);
    const reply = byteString(parser.buffer, parser.replyStart, parser.replyEnd);
    const headers = parser.headerSize >= 0 ? ` ${parser.headerSize}` : "";
    const size = byteString(parser.buffer, parser.sizeStart, parser.sizeEnd);
    this.#trace(
      "<<-",
      `${headers === "" ? "PUB" : "HPUB"} ${subject}${reply === "" ? "" : " " + reply}${headers} ${size}`,
    );
    const limit = this.#server.options.maxTracedMessageBytes;
    const end = limit > 0 ? Math.min(parser.payloadEnd, parser.payloadStart + limit) : parser.payloadEnd;
    const cut = end < parser.payloadEnd ? "..." : "";
    const payload = utf8.decode(parser.buffer.subarray(parser.payloadStart, end));
    this.#server.log.trace(`${this.describe()} - <<- MSG_PAYLOAD: [${JSON.stringify(payload)}${cut}]`);
  }
}

/** The error for names that servers reserve among themselves, or "" (nats-server.md 3.5). */
function reservedNames(parser: NatsParser, entry: SubjectEntry): string {
  const { buffer, replyStart, replyEnd } = parser;
  if (replyEnd > replyStart && (buffer[replyStart] === 95 || buffer[replyStart] === 36)) {
    const reply = byteString(buffer, replyStart, replyEnd);
    // Reference 2.9.10: the first one is reserved even with nothing behind it.
    if (reply.startsWith("_R_.")) return publishReplyViolation(reply);
    for (const prefix of ["$JS.ACK.", "_GR_."]) {
      if (reply.length > prefix.length && reply.startsWith(prefix)) return publishReplyViolation(reply);
    }
  }
  if (entry.subject.length > 5 && entry.subject.startsWith("_GR_.")) return publishViolation(entry.subject);
  return "";
}

/** How log lines call somebody who was let in. */
const USER_KINDS = { user: "User", token: "User", nkey: "Nkey" } as const;

/** Text of a client's JSON in quotes, as a log line may show it. */
function quotedText(text: string): string {
  return displayText(quoted(byteStringOfText(text)));
}

/** CONNECT as a log may show it. */
function redacted(options: ConnectOptions | undefined): string {
  if (options === undefined) return "[malformed]";
  const shown: Record<string, unknown> = { ...options };
  for (const secret of ["pass", "auth_token", "sig", "jwt"]) {
    if (shown[secret] !== undefined) shown[secret] = "[REDACTED]";
  }
  return JSON.stringify(shown);
}
