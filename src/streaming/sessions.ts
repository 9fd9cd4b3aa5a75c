/** Registrations come, prove that they live, and go (streaming-protocol.md 7, 8, 9, 20.5). */
import { TICK_MS, TimerNode } from "../base/timer_wheel.ts";
import { type ClientRecord, type ServerRecord, StoreError } from "../store/types.ts";
import {
  type ConnectRequest,
  decodeCloseRequest,
  decodeConnectRequest,
  decodePing,
  encodeCloseResponse,
  encodeConnectResponse,
  encodePingResponse,
} from "../wire/stan_control.ts";
import { STAN_ERROR } from "../wire/stan_errors.ts";
import { isClientIdValid, pingsSubject } from "../wire/stan_subjects.ts";
import { Client } from "./client.ts";
import type { CoreContext } from "./context.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { type Address, DUPLICATE_PROBE_MS } from "./world.ts";

const NOTHING = new Uint8Array(0);
/** A ping of a client that misses heartbeats brings the next heartbeat forward to this (8.6). */
const HEARTBEAT_AFTER_PING_MS = 1;

/** A connect that waits for the old registration of its client ID to show that it lives. */
class DuplicateProbe extends TimerNode {
  constructor(
    readonly request: ConnectRequest,
    readonly reply: Address | undefined,
    readonly serial: number,
    readonly over: (probe: DuplicateProbe) => void,
  ) {
    super();
  }

  override fire(): void {
    this.over(this);
  }
}

/** A connect response, and what of it depends on the client. */
interface KnownResponse {
  readonly pings: boolean;
  readonly pingIntervalSecs: number;
  readonly pingMaxOut: number;
  readonly bytes: Uint8Array;
}

export class Sessions {
  readonly #context: CoreContext;
  #server: ServerRecord;
  readonly #diagnosis: Diagnosis;
  readonly #endSubscriptions: (client: Client) => void;
  readonly #requests = new Map<number, Client | DuplicateProbe>();
  readonly #probes = new Map<string, DuplicateProbe>();
  /** Programs of one kind all get the same one, and encoding it is a tenth of a connect. */
  #lastResponse: KnownResponse | undefined = undefined;
  /** One for all clients. */
  readonly #due = (client: Client): void => this.#heartbeatDue(client);

  /** `endSubscriptions` ends every subscription of a registration that is gone already. */
  constructor(
    context: CoreContext,
    server: ServerRecord,
    diagnosis: Diagnosis,
    endSubscriptions: (client: Client) => void,
  ) {
    this.#context = context;
    this.#server = server;
    this.#diagnosis = diagnosis;
    this.#endSubscriptions = endSubscriptions;
  }

  /** The subjects that clients are told: recovered ones beat computed ones (23.2). */
  serve(server: ServerRecord): void {
    this.#server = server;
    this.#lastResponse = undefined;
  }

  // Connect ------------------------------------------------------------------------------------------------------------

  /** 7.1 */
  connect(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    const request = decodeConnectRequest(buffer, start, end);
    if (request === undefined || request.heartbeatInbox === "") {
      return this.#refuse(reply, STAN_ERROR.INVALID_CONNECTION_REQUEST, "?");
    }
    if (!isClientIdValid(request.clientId)) return this.#refuse(reply, STAN_ERROR.INVALID_CLIENT_ID, "?");
    // First: a connect must not slip in between a probe and its outcome, also when the old registration just ended.
    if (this.#probes.has(request.clientId)) return this.#refuseDuplicate(request, reply);
    const existing = this.#context.clients.byId.get(request.clientId);
    if (existing === undefined) return this.#register(request, reply, false);
    // 7.6: ask the old one; meanwhile every other connect goes on.
    const serial = this.#context.nextRequestSerial();
    const probe = new DuplicateProbe(request, reply, serial, (silent) => this.#replace(silent));
    this.#probes.set(request.clientId, probe);
    this.#requests.set(serial, probe);
    this.#context.wheel.arm(probe, this.#context.nowMs + DUPLICATE_PROBE_MS);
    this.#context.effects.requests.push({ address: this.#heartbeatAddress(existing), serial });
  }

  #register(request: ConnectRequest, reply: Address | undefined, isReplacement: boolean): void {
    const context = this.#context;
    const record: ClientRecord = {
      id: request.clientId,
      heartbeatInbox: request.heartbeatInbox,
      connectionId: request.connectionId,
      protocol: request.protocol,
      pingIntervalSecs: request.pingIntervalSecs,
      pingMaxOut: request.pingMaxOut,
    };
    try {
      context.store.addClient(record);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return this.#refuse(reply, error.message, request.clientId);
    }
    context.groups.whole().storeTouched = true;
    const client = this.restore(record);
    client.sinceMs = context.nowMs;
    client.isReplacement = isReplacement;
    context.wheel.arm(client, context.nowMs + context.options.heartbeatIntervalMs);
    if (context.journal.debugEnabled) {
      context.journal.debug(`[Client:${record.id}] Connected (Inbox=${record.heartbeatInbox})`);
    }
    if (reply !== undefined) context.groups.whole().held.addBytes(reply, this.#connectResponse(request));
  }

  #connectResponse(request: ConnectRequest): Uint8Array {
    const pings = request.protocol >= 1;
    const pingIntervalSecs = pings ? request.pingIntervalSecs : 0;
    const pingMaxOut = pings ? request.pingMaxOut : 0;
    const last = this.#lastResponse;
    if (last?.pings === pings && last.pingIntervalSecs === pingIntervalSecs && last.pingMaxOut === pingMaxOut) {
      return last.bytes;
    }
    const server = this.#server;
    const bytes = encodeConnectResponse({
      pubPrefix: server.publish,
      subRequests: server.subscribe,
      unsubRequests: server.unsubscribe,
      closeRequests: server.close,
      subCloseRequests: server.subClose,
      pingRequests: pings ? pingsSubject(server.discovery) : "",
      pingIntervalSecs,
      pingMaxOut,
      protocol: 1,
    });
    this.#lastResponse = { pings, pingIntervalSecs, pingMaxOut, bytes };
    return bytes;
  }

  /** Puts a registration into the tables without telling the store; its heartbeats are not armed. */
  restore(record: ClientRecord): Client {
    const context = this.#context;
    const client = new Client(record, this.#due);
    context.clients.add(client);
    return client;
  }

  /** The old registration did not answer: it ends and the new one begins, in one step (7.7). */
  #replace(probe: DuplicateProbe): void {
    this.#endProbe(probe);
    const old = this.#context.clients.byId.get(probe.request.clientId);
    if (old !== undefined) {
      this.closeClient(old);
      this.#diagnosis.replaced(old);
    }
    this.#register(probe.request, probe.reply, old !== undefined);
  }

  #endProbe(probe: DuplicateProbe): void {
    this.#context.wheel.disarm(probe);
    this.#probes.delete(probe.request.clientId);
    this.#requests.delete(probe.serial);
  }

  #refuse(reply: Address | undefined, error: string, clientId: string): void {
    this.#context.counters.refused++;
    if (this.#context.journal.debugEnabled) {
      this.#context.journal.debug(`[Client:${clientId}] Connect failed; ${error}`);
    }
    if (reply !== undefined) this.#context.now.addBytes(reply, encodeConnectResponse({ error }));
  }

  #refuseDuplicate(request: ConnectRequest, reply: Address | undefined): void {
    this.#diagnosis.contested(request.clientId, request.heartbeatInbox);
    this.#refuse(reply, STAN_ERROR.CLIENT_ID_REGISTERED, request.clientId);
  }

  // Answers to heartbeats and probes -----------------------------------------------------------------------------------

  /** The request was answered. Late answers, to a request that was given up, are ignored. */
  requestAnswered(serial: number): void {
    const waiting = this.#requests.get(serial);
    if (waiting === undefined) return;
    if (waiting instanceof DuplicateProbe) {
      this.#endProbe(waiting);
      this.#refuseDuplicate(waiting.request, waiting.reply);
      return;
    }
    this.#endHeartbeat(waiting);
    if (waiting.failedHeartbeats > 0) {
      waiting.failedHeartbeats = 0;
      for (const subscription of waiting.subscriptions.values()) subscription.failedHeartbeat = false;
    }
    this.#armHeartbeat(waiting, this.#context.options.heartbeatIntervalMs);
  }

  /** Nobody listens where the request went: an immediate failure, not "no answer yet" (trap 9). */
  requestUnanswerable(serial: number): void {
    const waiting = this.#requests.get(serial);
    if (waiting === undefined) return;
    if (waiting instanceof DuplicateProbe) this.#replace(waiting);
    else this.#heartbeatFailed(waiting);
  }

  // Heartbeats ---------------------------------------------------------------------------------------------------------

  /** Where nothing was ever asked the subject costs nothing: of a storm of connects many are gone before. */
  #heartbeatAddress(client: Client): Address {
    return client.heartbeatAddress ??= this.#context.world.address(client.record.heartbeatInbox);
  }

  #armHeartbeat(client: Client, delayMs: number): void {
    this.#context.wheel.arm(client, this.#context.nowMs + delayMs);
  }

  #heartbeatDue(client: Client): void {
    if (client.closed) return;
    if (client.heartbeatOut !== 0) return this.#heartbeatFailed(client);
    const serial = this.#context.nextRequestSerial();
    client.heartbeatOut = serial;
    this.#requests.set(serial, client);
    this.#context.effects.requests.push({ address: this.#heartbeatAddress(client), serial });
    this.#armHeartbeat(client, this.#context.options.heartbeatTimeoutMs);
  }

  #heartbeatFailed(client: Client): void {
    const { options, journal } = this.#context;
    this.#endHeartbeat(client);
    client.failedHeartbeats++;
    if (client.failedHeartbeats > options.heartbeatFailCount) {
      journal.error(`[Client:${client.id}] Timed out on heartbeats`);
      return this.closeClient(client);
    }
    for (const subscription of client.subscriptions.values()) subscription.failedHeartbeat = true;
    this.#armHeartbeat(client, options.heartbeatIntervalMs);
  }

  /** No heartbeat is out any more; answers that still come are ignored. */
  #endHeartbeat(client: Client): void {
    if (client.heartbeatOut !== 0) this.#requests.delete(client.heartbeatOut);
    client.heartbeatOut = 0;
  }

  // Pings --------------------------------------------------------------------------------------------------------------

  /** 9.2: by connection ID only; an empty or broken ping gets no answer. */
  ping(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    if (end === start) return;
    const ping = decodePing(buffer, start, end);
    if (ping === undefined) return;
    const id = new Uint8Array(ping.connectionId.length);
    for (let i = 0; i < id.length; i++) id[i] = ping.connectionId.charCodeAt(i);
    const client = id.length === 0 ? undefined : this.#context.clients.byConnection(id, 0, id.length);
    if (client === undefined) {
      if (reply !== undefined) {
        this.#context.now.addBytes(reply, encodePingResponse({ error: STAN_ERROR.CLIENT_REPLACED }));
      }
      return;
    }
    if (client.failedHeartbeats > 0) this.#hurryHeartbeat(client);
    if (reply !== undefined) this.#context.now.addBytes(reply, NOTHING);
  }

  /**
   * 8.6: a client that came back is asked at once. If a heartbeat is out, it may have been lost with the old connection: it
   * is repeated, but keeps its time-out, so that pings alone keep nobody alive (9.4).
   */
  #hurryHeartbeat(client: Client): void {
    if (client.heartbeatOut === 0) return this.#armHeartbeat(client, HEARTBEAT_AFTER_PING_MS);
    if (client.dueTick * TICK_MS <= this.#context.nowMs) {
      // Its time is over in this very turn: an answer to the repetition would be ignored. The last failure is the timer's.
      if (client.failedHeartbeats >= this.#context.options.heartbeatFailCount) return;
      this.#heartbeatFailed(client);
      return this.#armHeartbeat(client, HEARTBEAT_AFTER_PING_MS);
    }
    // Under the same serial: whichever of them is answered shows that the client lives.
    this.#context.effects.requests.push({ address: this.#heartbeatAddress(client), serial: client.heartbeatOut });
  }

  // Close --------------------------------------------------------------------------------------------------------------

  /** 20.5 */
  close(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    const context = this.#context;
    const request = decodeCloseRequest(buffer, start, end);
    const client = request === undefined ? undefined : context.clients.byId.get(request.clientId);
    if (client === undefined) {
      context.counters.refused++;
      const error = request === undefined ? STAN_ERROR.INVALID_CLOSE_REQUEST : STAN_ERROR.UNKNOWN_CLIENT_ID;
      if (reply !== undefined) context.now.addBytes(reply, encodeCloseResponse({ error }));
      return;
    }
    this.closeClient(client);
    if (reply !== undefined) context.groups.whole().held.addBytes(reply, NOTHING);
  }

  /**
   * Ends a registration. It goes before its subscriptions are ended, so that the same client ID can come back and resume its
   * durables without a race (trap 44).
   */
  closeClient(client: Client): void {
    const context = this.#context;
    if (client.closed) return;
    client.closed = true;
    context.wheel.disarm(client);
    this.#endHeartbeat(client);
    context.clients.remove(client);
    if (client.heartbeatAddress !== undefined) context.world.release(client.heartbeatAddress);
    try {
      context.store.deleteClient(client.id);
      context.groups.whole().storeTouched = true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // The client sees success all the same (20.5); the record is gone at the next start by heartbeat failure.
      context.journal.error(`[Client:${client.id}] Error deleting the client record: ${error.message}`);
    }
    this.#endSubscriptions(client);
    if (context.journal.debugEnabled) {
      context.journal.debug(`[Client:${client.id}] Closed (Inbox=${client.record.heartbeatInbox})`);
    }
  }
}
