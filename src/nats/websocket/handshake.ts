/**
 * The HTTP side of a WebSocket: bytes to a request, a request to an answer (nats-server.md 8). Pure. Only what a browser or
 * a NATS client sends to get through is understood; the rest is refused, and the connection ends with the refusal.
 */
import { createHash } from "node:crypto";
import { bytesOf, byteString } from "../../base/bytes.ts";

/** Bytes of a request's head. Browsers send all cookies of the host along; the usual servers stop at 8 to 64 KB. */
export const REQUEST_BYTES_MAX = 65_536;

/** To agents that call themselves a browser no frame is larger: theirs hand out whole frames only. */
export const BROWSER_FRAME_BYTES_MAX = 4096;

/** RFC 6455 section 1.3. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CR = 13;
const LF = 10;
const READ_BYTES_FIRST = 1024;

/** Collects the head of one request. */
export class RequestReader {
  #buffer = new Uint8Array(READ_BYTES_FIRST);
  #length = 0;
  /** Bytes of the current line but its end. */
  #lineLength = 0;

  /** True: more bytes came than a head may have; what is in `text` is not complete. */
  isTooLarge = false;

  /** The head so far, a byte string. */
  get text(): string {
    return byteString(this.#buffer, 0, this.#length);
  }

  /** Takes bytes up to the end of the head; the index behind it, or -1 when more is needed or it is too large. */
  feed(bytes: Uint8Array): number {
    for (let i = 0; i < bytes.length; i++) {
      if (this.#length === REQUEST_BYTES_MAX) {
        this.isTooLarge = true;
        return -1;
      }
      if (this.#length === this.#buffer.length) this.#grow();
      const byte = bytes[i]!; // i < length.
      this.#buffer[this.#length++] = byte;
      if (byte === LF) {
        if (this.#lineLength === 0) return i + 1;
        this.#lineLength = 0;
      } else if (byte !== CR) this.#lineLength++;
    }
    return -1;
  }

  #grow(): void {
    const buffer = new Uint8Array(this.#buffer.length * 2);
    buffer.set(this.#buffer);
    this.#buffer = buffer;
  }
}

/** The head of a request. */
export interface RequestHead {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** By name in small letters; in the order of the request. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

/** Why a request is refused: `reason` is for the log, only the status goes out. */
export interface Refusal {
  readonly status: RefusalStatus;
  readonly reason: string;
}

const STATUS_TEXTS = Object.freeze(
  {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
  } as const,
);
export type RefusalStatus = keyof typeof STATUS_TEXTS;

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([\\x21-\\x7e]+) HTTP/([0-9])\\.([0-9])$`);
const HEADER_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*)$`);

/** Reads a complete head. Lines may end with LF alone; continued lines, a way to smuggle headers, are refused. */
export function parseRequest(text: string): RequestHead | Refusal {
  const lines = text.split("\n").map((line) => line.endsWith("\r") ? line.slice(0, -1) : line);
  const first = REQUEST_LINE.exec(lines[0] ?? "");
  if (first === null) return malformed("request line");
  const [, method = "", target = "", major, minor] = first;
  if (major !== "1") return { status: 505, reason: "unsupported HTTP version" };
  const headers = new Map<string, string[]>();
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!; // i < length.
    if (line === "") break;
    const found = HEADER_LINE.exec(line);
    if (found === null) return malformed("header line");
    const name = (found[1] ?? "").toLowerCase();
    const value = (found[2] ?? "").trimEnd();
    const values = headers.get(name);
    if (values === undefined) headers.set(name, [value]);
    else values.push(value);
  }
  const hosts = headers.get("host") ?? [];
  if (hosts.length > 1) return malformed("more than one Host header");
  if (hosts.length === 0 && minor !== "0") return malformed("missing Host header");
  return { method, path: target.split("?", 1)[0] ?? "", headers };
}

function malformed(what: string): Refusal {
  return { status: 400, reason: `malformed HTTP request: ${what}` };
}

/** Where a page comes from, as far as it is compared. */
export interface Origin {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
}

/** Reads `scheme://host[:port]`; undefined when it is something else. A missing port is that of the scheme. */
export function parseOrigin(text: string): Origin | undefined {
  const found = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@\s]+)\/?$/i.exec(text);
  if (found === null) return undefined;
  const scheme = (found[1] ?? "").toLowerCase();
  const address = hostAndPort(found[2] ?? "", scheme === "https" || scheme === "wss");
  return address === undefined ? undefined : { scheme, ...address };
}

/** Reads `host[:port]` with the default port of HTTP or HTTPS. */
function hostAndPort(text: string, isSecure: boolean): { host: string; port: string } | undefined {
  const found = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::([0-9]+))?$/.exec(text);
  if (found === null) return undefined;
  const host = (found[1] ?? found[2] ?? "").toLowerCase();
  return { host, port: found[3] ?? (isSecure ? "443" : "80") };
}

/** What the listener asks of those who come. */
export interface HandshakeRules {
  readonly sameOrigin: boolean;
  /** Undefined: all. */
  readonly allowedOrigins: readonly Origin[] | undefined;
  readonly compression: boolean;
  /** The connection is over TLS. */
  readonly isSecure: boolean;
}

/** What was agreed on. */
export interface WebSocketSession {
  /** Either side may compress messages, each by itself. */
  readonly compression: boolean;
  /** Frames of the client must be masked. */
  readonly masksFrames: boolean;
  /** Largest payload of a frame to this client; 0 = any. */
  readonly frameBytesMax: number;
  /** The client cannot put fragments of a compressed message together. */
  readonly keepsCompressedWhole: boolean;
  /** Address of the client as a proxy in front of us tells it; empty = none, or no address. */
  readonly forwardedFor: string;
}

/** What becomes of a request. `leaf`: the session is one of a leaf node, not of a client. */
export type HandshakeAnswer =
  | { readonly kind: "client"; readonly response: Uint8Array; readonly session: WebSocketSession }
  | { readonly kind: "leaf"; readonly response: Uint8Array }
  | ({ readonly kind: "refused" } & Refusal);

/** Decides about a request. The order of the checks is the reference's, because it decides what the log says. */
export function answerRequest(request: RequestHead | Refusal, rules: HandshakeRules): HandshakeAnswer {
  if ("status" in request) return { kind: "refused", ...request };
  const refused = checkRequest(request, rules);
  if (refused !== undefined) return { kind: "refused", ...refused };
  const { headers } = request;
  const compression = rules.compression && offersCompression(headers);
  const isUnmasked = (headers.get("nats-no-masking")?.[0] ?? "").toLowerCase() === "true";
  const response = bytesOf(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${acceptKey(headers.get("sec-websocket-key")?.[0] ?? "")}\r\n` +
      (compression ? `Sec-WebSocket-Extensions: ${COMPRESSION}; ${NO_TAKEOVER.join("; ")}\r\n` : "") +
      (isUnmasked ? "Nats-No-Masking: true\r\n" : "") + "\r\n",
  );
  if (request.path.endsWith("/leafnode")) return { kind: "leaf", response };
  const agent = headers.get("user-agent")?.[0] ?? "";
  const isBrowser = agent.startsWith("Mozilla/");
  const forwardedFor = headers.get("x-forwarded-for")?.[0] ?? "";
  return {
    kind: "client",
    response,
    session: {
      compression,
      masksFrames: !isUnmasked,
      frameBytesMax: isBrowser ? BROWSER_FRAME_BYTES_MAX : 0,
      keepsCompressedWhole: isBrowser && agent.includes("Version/") && agent.includes("Safari/"),
      forwardedFor: isAddress(forwardedFor) ? forwardedFor : "",
    },
  };
}

function checkRequest({ method, path, headers }: RequestHead, rules: HandshakeRules): Refusal | undefined {
  // MQTT is not part of this server.
  if (path.endsWith("/mqtt")) return { status: 404, reason: "MQTT is not available" };
  if (method !== "GET") return { status: 405, reason: "request method must be GET" };
  const bad = (reason: string): Refusal => ({ status: 400, reason });
  const [host = ""] = headers.get("host") ?? [];
  if (host === "") return bad("'Host' missing in request");
  if (!lists(headers, "upgrade", "websocket")) return bad("invalid value for header 'Upgrade'");
  if (!lists(headers, "connection", "upgrade")) return bad("invalid value for header 'Connection'");
  if ((headers.get("sec-websocket-key")?.[0] ?? "") === "") return bad("key missing");
  if (!lists(headers, "sec-websocket-version", "13")) return bad("invalid version");
  const reason = checkOrigin(headers, host, rules);
  return reason === undefined ? undefined : { status: 403, reason: `origin not allowed: ${reason}` };
}

/** The origin model protects users of browsers; who is none can claim any origin, so a request without is let in. */
function checkOrigin(headers: RequestHead["headers"], host: string, rules: HandshakeRules): string | undefined {
  const { sameOrigin, allowedOrigins, isSecure } = rules;
  if (!sameOrigin && allowedOrigins === undefined) return undefined;
  const text = (headers.get("origin") ?? headers.get("sec-websocket-origin"))?.[0] ?? "";
  if (text === "") return undefined;
  const origin = parseOrigin(text);
  if (origin === undefined) return "not an origin with a host";
  if (sameOrigin) {
    const own = hostAndPort(host, isSecure);
    // Reference 2.9: the scheme is not compared, because a proxy in front may have taken TLS off.
    if (own === undefined || own.host !== origin.host || own.port !== origin.port) return "not same origin";
  }
  const isListed = allowedOrigins === undefined ||
    allowedOrigins.some(({ scheme, host, port }) =>
      scheme === origin.scheme && host === origin.host && port === origin.port
    );
  return isListed ? undefined : "not in the allowed list";
}

const COMPRESSION = "permessage-deflate";
const NO_TAKEOVER = Object.freeze(["server_no_context_takeover", "client_no_context_takeover"] as const);

/**
 * True when one of the offers is permessage-deflate with parameters that our answer fulfils. A client that wants us to use
 * a smaller window has to be told so in the answer, which never says it: such an offer is passed over. The reference
 * accepts it, and the client could not read what it sends.
 */
function offersCompression(headers: RequestHead["headers"]): boolean {
  for (const value of headers.get("sec-websocket-extensions") ?? []) {
    for (const offer of value.split(",")) {
      const [name, ...parameters] = offer.split(";").map((part) => part.trim().toLowerCase());
      if (name !== COMPRESSION) continue;
      const isKnown = (parameter: string): boolean =>
        NO_TAKEOVER.some((known) => known === parameter) || /^client_max_window_bits(=|$)/.test(parameter);
      if (parameters.every(isKnown)) return true;
    }
  }
  return false;
}

/** Is `value` one of the elements of the header, which may be given several times? */
function lists(headers: RequestHead["headers"], name: string, value: string): boolean {
  return (headers.get(name) ?? []).some((line) =>
    line.split(",").some((element) => element.trim().toLowerCase() === value)
  );
}

function acceptKey(key: string): string {
  return createHash("sha1").update(bytesOf(key + ACCEPT_SUFFIX)).digest("base64");
}

/** An IPv4 or IPv6 address, as text that goes into log lines. */
function isAddress(text: string): boolean {
  const bytes = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (bytes !== undefined) return bytes.every((byte) => Number(byte) < 256);
  return text.includes(":") && /^[0-9a-fA-F:.]{2,45}$/.test(text) && URL.canParse(`http://[${text}]/`);
}

/** The answer to a request that is refused; the connection ends behind it. */
export function refusalResponse(status: RefusalStatus): Uint8Array {
  const body = `${STATUS_TEXTS[status]}\n`;
  return bytesOf(
    `HTTP/1.1 ${status} ${STATUS_TEXTS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      "Sec-Websocket-Version: 13\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n" +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
}
