/**
 * One client connection: its protocol state, its subscriptions, and its output. Everything a client can do wrong ends here
 * with the reference's text or, where the reference has none, with a silent close (nats-server.md 3).
 */
import { byteString, copyRange, displayText } from "../base/bytes.ts";
import { isSubscriptionSubject, tokenCount } from "../base/subject.ts";
import type { OutputQueue } from "../runtime/output_queue.ts";
import type { Socket, SocketHandler, TimerHandle, TlsInfo } from "../runtime/types.ts";
import { type NatsOperations, NatsParser, type ParseFailure, type ParserLimits } from "../wire/nats_parser.ts";
import {
  errorLine,
  NATS_ERROR,
  OK_LINE,
  PING_LINE,
  PONG_LINE,
  publishViolation,
  tooManyTokensViolation,
} from "../wire/nats_text.ts";
import { Access, type AccessHost } from "./access.ts";
import type { AuthUser } from "./auth/authenticator.ts";
import type { ConnectionPermissions } from "./auth/permissions.ts";
import { type ConnectionType, GLOBAL_ACCOUNT } from "./auth/types.ts";
import { type CloseReason, closingOf } from "./close_reason.ts";
import { Congestion, type LaggingReceiver, type PausablePublisher } from "./congestion.ts";
import {
  applyConnect,
  type ClientSettings,
  type ConnectOptions,
  connectRefusal,
  isObjectOrNull,
  parseConnect,
} from "./connect_options.ts";
import { rebuiltPayloadSize, rebuiltSizeMax, statusFrame, writeRebuilt } from "./frames.ts";
import { KeepAlive, type KeepAliveHost } from "./keep_alive.ts";
import type { NatsServer } from "./nats_server.ts";
import { reservedReply } from "./publish_rules.ts";
import { type InputHost, SharedInput } from "./shared_input.ts";
import { CONGESTION_HIGH_BYTES, CONGESTION_LOW_BYTES, type Router } from "./router.ts";
import type { SubjectEntry } from "./subject_table.ts";
import { Subscription } from "./subscription.ts";
import { TlsEntry, type TlsEntryHost } from "./tls_entry.ts";
import { redacted, traceLine, tracePublish } from "./trace.ts";
import type { WebSocketEnd } from "./websocket/websocket_port.ts";

/** Sealed output above which a flush is tried in the middle of a turn, so that a huge fan-out does not pile up. */
const EARLY_FLUSH_BYTES = 262_144;
/** So many subjects in a row may come in another order than before; of those behind them one in sixteen is tried. */
const STRAYS_TRIED = 4;
const STRAYS_MAX = STRAYS_TRIED + 16;
const utf8 = new TextDecoder();

export class Connection
  implements
    SocketHandler,
    NatsOperations,
    ClientSettings,
    AccessHost,
    TlsEntryHost,
    KeepAliveHost,
    LaggingReceiver,
    PausablePublisher,
    InputHost {
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
  /** Has answered CONNECT and one PING since: from here on a client expects INFO at any time (3.11). */
  isRegistered = false;

  inMessages = 0;
  inBytes = 0;
  outMessages = 0;
  outBytes = 0;
  lastActivityMs: number;
  /** In the server's list of connections to flush at the end of this turn. */
  dirty = false;
  /** A bulk sender of the bus waits for this connection to catch up. */
  busWaits = false;
  isClosed = false;
  /** Users may be limited to some of these. */
  connectionType: ConnectionType = "STANDARD";
  /** Of this connection's account. */
  router: Router;
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
  /** Null on the client port. */
  readonly #webSocket: WebSocketEnd | null;
  #parser: NatsParser;
  readonly #access: Access;
  readonly #keepAlive: KeepAlive;
  /** While TLS is being decided and begun; null afterwards, and where there is none. */
  #entry: TlsEntry | null = null;
  #subject: SubjectEntry | null = null;
  /** What the parser looks for first when the subject changes. */
  #expected: SubjectEntry | null = null;
  #reply: SubjectEntry | null = null;
  /** What the reserved names forbid for the current control line; derived once per line. */
  #lineRefused = "";
  /** What they forbid for its reply; derived once per reply. */
  #replyRefused = "";
  /** Subjects in a row that were not what had followed last time. */
  #strays = 0;
  /** Monotonic time at which the socket first refused output that is still waiting; 0 = it takes everything. */
  #stuckSinceMs = 0;
  readonly #congestion: Congestion;
  readonly #input: SharedInput;

  constructor(
    server: NatsServer,
    socket: Socket,
    id: number,
    nowMs: number,
    nonce: string,
    webSocket: WebSocketEnd | null = null,
  ) {
    this.#server = server;
    this.#socket = socket;
    this.#webSocket = webSocket;
    this.id = id;
    this.output = socket.output;
    this.startedMs = nowMs;
    this.lastActivityMs = nowMs;
    this.router = server.router;
    this.#parser = new NatsParser(this, server.parserLimits);
    if (webSocket !== null) {
      this.connectionType = "WEBSOCKET";
      this.entered(webSocket.tls);
    }
    this.#access = new Access(this, webSocket?.access ?? server, nonce);
    this.#keepAlive = new KeepAlive(this, server);
    this.#congestion = new Congestion(this);
    this.#input = new SharedInput(this, server, socket);
  }

  /** Round trip time, 0 while it is not known. */
  get rttMs(): number {
    return this.#keepAlive.rttMs;
  }

  /** As in the INFO, for clients that sign; empty otherwise. */
  get nonce(): string {
    return this.#access.nonce;
  }

  /** Who it is; null where nobody is asked, and before the login. */
  get user(): AuthUser | null {
    return this.#access.user;
  }

  /** The same for the monitor: also of those that nobody asked, and never a token. */
  get shownUser(): string {
    return this.#access.shownUser;
  }

  get account(): string {
    return this.#access.user?.account ?? GLOBAL_ACCOUNT;
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
    const nowMs = this.lastActivityMs = this.#server.clockMs();
    const { login } = this.#access;
    if (login === null) return this.#input.arrived(bytes, nowMs);
    if (!login.admit(bytes, this.#parser.pendingBytes === 0)) return;
    this.handleInput(bytes, 0, Infinity);
    login.parsed();
  }

  handleInput(bytes: Uint8Array, start: number, limit: number): number {
    this.router.congested = null;
    const used = this.#parser.feed(bytes, start, limit);
    const congested = this.router.congested as Connection | null;
    if (congested !== null && congested !== this && !this.isClosed) congested.#congestion.pause(this);
    return used;
  }

  /** Somebody waits for an answer, or another client for the message; who acknowledges to the streaming half waits for nothing. */
  isAwaited(): boolean {
    const { replyStart, replyEnd } = this.#parser;
    const entry = this.#subject;
    return replyEnd > replyStart || (entry !== null && (entry.heads.length > 0 || entry.groups.length > 0));
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
    this.#congestion.isFrozen = false;
    this.#congestion.end();
    if (this.busWaits) {
      this.busWaits = false;
      this.router.onDrained?.();
    }
  }

  peerEnded(): void {
    this.#input.finish();
    if (this.#access.login?.peerEnded() === true) return;
    // Input that came before the FIN has been handled; its answers go out first (section 2).
    this.close("Client Closed");
  }

  closed(error: Error | undefined): void {
    this.#input.finish();
    this.#retire(error === undefined ? "Client Closed" : "Read Error");
  }

  // Life cycle ---------------------------------------------------------------------------------------------------------

  /** The first thing after accept: INFO, and TLS where the port demands or offers it. */
  begin(): void {
    const { tls } = this.#server.options;
    // TLS of a WebSocket came before its handshake.
    if (tls === undefined || this.#webSocket !== null) return this.announce();
    this.#entry = new TlsEntry(this, this.#socket, tls);
    this.#entry.begin();
  }

  /** Sends INFO at once. */
  announce(): void {
    this.#server.infoLine(this.connectionType === "WEBSOCKET").writeTo(this);
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
    const waitingBytes = this.output.pendingBytes;
    if (text !== undefined) {
      const line = errorLine(text);
      this.output.reserve(line.length);
      this.output.append(line);
      if (this.#server.log.debugEnabled) this.#server.log.debug(`${this.describe()} - ${text}`);
    }
    this.#retire(reason, waitingBytes);
    this.#webSocket?.closing(reason);
    this.#socket.flush();
    this.#socket.end();
  }

  /** Ends the connection at once; what is queued is dropped (a slow consumer, a dead peer). */
  abort(reason: CloseReason): void {
    if (this.isClosed) return;
    this.#retire(reason);
    this.#socket.destroy();
  }

  /** `waitingBytes` were not written yet when it was decided: last words are not what a client has failed to read. */
  #retire(reason: CloseReason, waitingBytes = this.output.pendingBytes): void {
    if (this.isClosed) return;
    this.isClosed = true;
    // While it still has what is to be remembered.
    this.#server.closedConnections?.add(this, reason, waitingBytes);
    this.router.departed.add(this);
    this.#parser.close();
    this.#input.close();
    this.#access.login?.close();
    this.#entry?.close();
    this.#keepAlive.stop();
    this.forgetLine();
    this.#congestion.end();
    const router = this.router;
    this.dropAll();
    this.#server.forget(this, reason);
    if (this.busWaits) {
      this.busWaits = false;
      router.onDrained?.();
    }
  }

  describe(): string {
    const end = this.#webSocket;
    return end === null ? `${this.address} - cid:${this.id}` : `${end.addressPrefix}${this.address} - wid:${this.id}`;
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
      if (pending > CONGESTION_HIGH_BYTES && !this.#congestion.isFrozen) this.router.congested = this;
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
    if (subscription.max > 0 && subscription.delivered >= subscription.max) this.drop(subscription);
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
    const room = rebuiltSizeMax(head, parser);
    const output = this.output;
    if (output.length + room > output.buffer.length && !this.makeRoom(room)) return false;
    const withHeaders = parser.headerSize > 0 && this.headers;
    output.length = writeRebuilt(output.buffer, output.length, head, parser, withHeaders);
    if (this.answers !== null && parser.replyEnd > parser.replyStart) this.#grantAnswer(parser);
    this.delivered(subscription, rebuiltPayloadSize(parser, withHeaders));
    return true;
  }

  /** An HMSG that is nothing but a status header. It does not count against UNSUB's maximum (reference 2.9.10). */
  deliverStatus(subscription: Subscription, entry: SubjectEntry, header: Uint8Array): void {
    this.write(statusFrame(entry.subject, subscription.sid, header));
  }

  // Operations ---------------------------------------------------------------------------------------------------------

  publish(parser: NatsParser): void {
    const server = this.#server;
    const router = this.router;
    let entry = this.#subject;
    if (!parser.sameLine || entry === null) {
      entry = this.#subject = this.#entryBehind(entry, parser);
      if (!parser.sameReply) this.#heedReply(parser);
      this.#lineRefused = this.#refusalOf(entry);
    } else if (entry.generation !== router.generation) {
      entry = router.refresh(entry);
      this.#subject = entry;
    }
    const size = parser.payloadEnd - parser.payloadStart;
    this.inMessages++;
    this.inBytes += size;
    router.statistics.inMessages++;
    router.statistics.inBytes += size;
    if (server.log.traceEnabled) {
      tracePublish(server.log, this.describe(), parser, server.options.maxTracedMessageBytes);
    }
    if (this.pedantic && (entry.wildcard || !entry.publishable)) this.#error(NATS_ERROR.invalidPublishSubject);
    if (this.#lineRefused !== "") {
      this.#access.publishRefused(entry.subject);
      return this.#error(this.#lineRefused);
    }
    if (this.verbose) this.write(OK_LINE);
    const reached = router.publish(this, parser, entry);
    if (reached === 0 && this.noResponders && parser.replyEnd > parser.replyStart && !this.isClosed) {
      router.answerNoResponders(this, router.entryOf(parser.buffer, parser.replyStart, parser.replyEnd));
    }
  }

  /**
   * The entry of the subject in `parser`, and what is expected behind it. Many publishers go round theirs in one order: what
   * came behind one last time is looked at first, without a hash and without a walk through the table.
   */
  #entryBehind(previous: SubjectEntry | null, parser: NatsParser): SubjectEntry {
    const { router } = this;
    const expected = parser.isExpected ? this.#expected : null;
    if (expected !== null && expected.generation === router.generation) {
      this.#strays = 0;
      router.subjects.followed(expected);
      this.#expect(expected.follower, expected);
      return expected;
    }
    const entry = router.entryOf(parser.buffer, parser.subjectStart, parser.subjectEnd, parser.view);
    // A dropped one is nobody's any more: it must not keep others.
    if (previous !== null && !previous.dropped) previous.follower = entry;
    // Who has no order is asked for it again now and then.
    this.#strays = this.#strays === STRAYS_MAX ? STRAYS_TRIED : this.#strays + 1;
    this.#expect(this.#strays <= STRAYS_TRIED ? entry.follower : null, entry);
    return entry;
  }

  #expect(entry: SubjectEntry | null, current: SubjectEntry | null): void {
    this.#parser.expected = this.#expected = entry;
    this.#parser.expectsRepeat = entry === current;
  }

  /** Publishers have one reply for all their subjects: this one is another, or of a line that is not remembered. */
  #heedReply(parser: NatsParser): void {
    const reply = this.#reply;
    if (reply !== null && !reply.is(parser.buffer, parser.replyStart, parser.replyEnd, parser.view)) this.#reply = null;
    this.#replyRefused = reservedReply(parser);
  }

  /** What forbids a publish on `entry` with the current reply, or "". */
  #refusalOf(entry: SubjectEntry): string {
    const { permissions } = this;
    const refused = permissions === null ? "" : this.#access.publishRefusal(permissions, entry);
    if (refused !== "") return refused;
    if (this.#replyRefused !== "") return this.#replyRefused;
    return entry.reserved ? publishViolation(entry.subject) : "";
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
    applyConnect(this, options);
    this.#parser.headersAllowed = this.headers;
    this.#access.present(options, buffer, end);
  }

  /** The rest of a CONNECT whose sender was let in. */
  connected(options: ConnectOptions): void {
    const refusal = connectRefusal(this, options);
    if (refusal !== undefined) return this.close(refusal.reason, refusal.text);
    if (!this.#server.options.disableShortFirstPing) this.#keepAlive.connected();
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
    const sid = byteString(buffer, sidStart, sidEnd);
    const { options, log } = this.#server;
    if (log.traceEnabled) this.#trace("<<-", `SUB ${subject} ${queue === "" ? "" : queue + " "}${sid}`);
    // The order of the checks is the reference's: a sid in use hides an invalid subject, but not the limit.
    const refusal = this.#access.subscribeRefusal(subject, queue, sid);
    if (refusal !== "") return this.#error(refusal);
    if (options.maxSubscriptionTokens > 0 && tokenCount(subject) > options.maxSubscriptionTokens) {
      return this.#error(tooManyTokensViolation(subject));
    }
    if (options.maxSubscriptions > 0 && this.subscriptions.size >= options.maxSubscriptions) {
      return this.#error(NATS_ERROR.maxSubscriptions);
    }
    if (!this.subscriptions.has(sid)) {
      if (!isSubscriptionSubject(subject)) return this.#error(NATS_ERROR.invalidSubject);
      const subscription = new Subscription(this, null, subject, queue, sid);
      if (this.permissions !== null) subscription.filtered = this.permissions.rules.filtersDeliveries(subject);
      this.subscriptions.set(sid, subscription);
      this.router.add(subscription);
    }
    if (this.verbose) this.write(OK_LINE);
  }

  unsubscribe(buffer: Uint8Array, sidStart: number, sidEnd: number, max: number): void {
    const sid = byteString(buffer, sidStart, sidEnd);
    if (this.#server.log.traceEnabled) this.#trace("<<-", `UNSUB ${sid}${max > 0 ? " " + max : ""}`);
    const subscription = this.subscriptions.get(sid);
    if (subscription !== undefined) {
      if (max > subscription.delivered) subscription.max = max;
      else this.drop(subscription);
    }
    if (this.verbose) this.write(OK_LINE);
  }

  ping(): void {
    if (this.#server.log.traceEnabled) this.#trace("<<-", "PING");
    this.write(PONG_LINE);
    this.#input.asked(this.lastActivityMs);
    if (this.connectSeen) this.isRegistered = true;
  }

  pong(): void {
    this.#keepAlive.pong();
    if (this.#server.log.traceEnabled) this.#trace("<<-", "PONG");
  }

  info(buffer: Uint8Array, start: number, end: number): void {
    if (!isObjectOrNull(utf8.decode(buffer.subarray(start, end)))) this.close("Protocol Violation");
  }

  failed(failure: ParseFailure): void {
    const { reason, text } = closingOf(failure);
    this.close(reason, text);
  }

  // Access -------------------------------------------------------------------------------------------------------------

  /** Starts the times of a connection: for PINGs, and for CONNECT where one is needed. */
  startTimers(): void {
    this.#keepAlive.start();
    if (this.#access.login === null) return;
    this.#access.login.start(this.#server.nowMs);
    this.#server.wake();
  }

  restartParser(): void {
    this.#parser.close();
    this.#parser = new NatsParser(this, this.#server.parserLimits);
    this.#parser.headersAllowed = this.headers;
    this.forgetLine();
  }

  hold(): void {
    this.#input.hold();
  }

  release(): void {
    this.#input.release();
  }

  forgetLine(): void {
    this.#subject = null;
    this.#expect(null, null);
    this.#reply = null;
  }

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

  // Reload -------------------------------------------------------------------------------------------------------------

  /** From here on other limits hold; a message that is under way ends under the old ones, as in the reference. */
  adoptLimits(limits: ParserLimits): void {
    this.#parser.adoptLimits(limits);
    this.#keepAlive.intervalChanged();
  }

  /** Who may do what has changed: it may have to leave. */
  usersChanged(): void {
    this.#access.usersChanged();
  }

  // Timers -------------------------------------------------------------------------------------------------------------

  probe(): void {
    this.write(PING_LINE);
    if (this.#server.log.traceEnabled) this.#trace("->>", "PING");
  }

  stale(): void {
    this.close("Stale Connection", NATS_ERROR.staleConnection);
  }

  // Details ------------------------------------------------------------------------------------------------------------

  drop(subscription: Subscription): void {
    this.subscriptions.delete(subscription.sid);
    this.router.remove(subscription);
  }

  dropAll(): void {
    const router = this.router;
    for (const subscription of this.subscriptions.values()) router.remove(subscription);
    this.subscriptions.clear();
  }

  /** An error that leaves the connection open. */
  #error(text: string): void {
    if (this.#server.log.debugEnabled) this.#server.log.debug(`${this.describe()} - ${displayText(text)}`);
    this.write(errorLine(text));
  }

  #trace(direction: "<<-" | "->>", text: string): void {
    traceLine(this.#server.log, this.describe(), direction, text);
  }
}
