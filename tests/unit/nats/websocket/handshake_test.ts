import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, byteString } from "../../../../src/base/bytes.ts";
import {
  answerRequest,
  type HandshakeRules,
  type Origin,
  parseOrigin,
  parseRequest,
  refusalResponse,
  REQUEST_BYTES_MAX,
  RequestReader,
  type WebSocketSession,
} from "../../../../src/nats/websocket/handshake.ts";
import { type RequestParts, SAMPLE_ACCEPT, upgradeRequest } from "../../../helpers/websocket_client.ts";

const OPEN: HandshakeRules = { sameOrigin: false, allowedOrigins: undefined, compression: true, isSecure: false };

function answer(parts: RequestParts | string, rules: Partial<HandshakeRules> = {}) {
  const text = typeof parts === "string" ? parts : upgradeRequest(parts);
  return answerRequest(parseRequest(text), { ...OPEN, ...rules });
}

/** `403 origin not allowed: ...`, or the kind of session. */
function outcome(parts: RequestParts | string, rules: Partial<HandshakeRules> = {}): string {
  const result = answer(parts, rules);
  return result.kind === "refused" ? `${result.status} ${result.reason}` : result.kind;
}

function response(parts: RequestParts, rules: Partial<HandshakeRules> = {}): string {
  const result = answer(parts, rules);
  return result.kind === "refused" ? `refused: ${result.reason}` : byteString(result.response);
}

function session(headers: Record<string, string>, rules: Partial<HandshakeRules> = {}): WebSocketSession {
  const result = answer({ headers }, rules);
  assert.equal(result.kind, "client");
  return (result as { session: WebSocketSession }).session;
}

const PLAIN_101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  `Sec-WebSocket-Accept: ${SAMPLE_ACCEPT}\r\n`;

test("nats 16: 93. the answer to the sample key is byte-exact; sub-protocols are not echoed", () => {
  assert.equal(response({}), `${PLAIN_101}\r\n`);
  assert.equal(response({ headers: { "Sec-WebSocket-Protocol": "nats" } }), `${PLAIN_101}\r\n`);
  assert.equal(response({ headers: { "Nats-No-Masking": "true" } }), `${PLAIN_101}Nats-No-Masking: true\r\n\r\n`);
  const both = { "Nats-No-Masking": "true", "Sec-WebSocket-Extensions": "permessage-deflate" };
  assert.equal(
    response({ headers: both }),
    `${PLAIN_101}Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; ` +
      "client_no_context_takeover\r\nNats-No-Masking: true\r\n\r\n",
  );
});

test("nats 8: the checks, their order, and what the log is told", () => {
  const without = (name: string) => outcome({ headers: { [name]: undefined } });
  assert.equal(outcome({ method: "POST", headers: { Upgrade: undefined } }), "405 request method must be GET");
  assert.equal(without("Host"), "400 malformed HTTP request: missing Host header");
  assert.equal(outcome({ version: "1.0", headers: { Host: undefined } }), "400 'Host' missing in request");
  assert.equal(without("Upgrade"), "400 invalid value for header 'Upgrade'");
  assert.equal(without("Connection"), "400 invalid value for header 'Connection'");
  assert.equal(without("Sec-WebSocket-Key"), "400 key missing");
  assert.equal(without("Sec-WebSocket-Version"), "400 invalid version");
  assert.equal(outcome({ headers: { "Sec-WebSocket-Version": "12" } }), "400 invalid version");
  assert.equal(outcome({ headers: { Upgrade: "xwebsocketx" } }), "400 invalid value for header 'Upgrade'");
  assert.equal(outcome({ headers: { Upgrade: "h2c, WebSocket", Connection: "keep-alive, upgrade" } }), "client");
  assert.equal(outcome({ version: "1.0" }), "client");
});

test("nats 8: any path is a client, /leafnode a leaf, /mqtt nobody", () => {
  for (const target of ["/", "/any/path", "/?a=/mqtt", "*", "/leafnodes"]) assert.equal(outcome({ target }), "client");
  assert.equal(outcome({ target: "/leafnode" }), "leaf");
  assert.equal(outcome({ target: "/x/leafnode?y" }), "leaf");
  assert.equal(outcome({ target: "/mqtt" }), "404 MQTT is not available");
});

test("nats 8: what is no HTTP request is refused with 400, another version with 505", () => {
  const head = "400 malformed HTTP request: ";
  for (const line of ["garbage", "GET / HTTP/1.1 x", "GET  / HTTP/1.1", "G(T / HTTP/1.1", "GET / http/1.1", ""]) {
    assert.equal(outcome(`${line}\r\nHost: a\r\n\r\n`), `${head}request line`, line);
  }
  for (const line of ["no colon", " folded: x", "name : x", ": x", "a: \x01", "a: \x7f", "\xe9: x"]) {
    assert.equal(outcome({ lines: [line] }), `${head}header line`, line);
  }
  assert.equal(outcome({ lines: ["host: b"] }), `${head}more than one Host header`);
  assert.equal(outcome("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "505 unsupported HTTP version");
  assert.equal(outcome(upgradeRequest().replaceAll("\r\n", "\n")), "client");
});

test("nats 16: 97. allowed_origins: scheme, host and port must match, with the default ports", () => {
  const allowedOrigins = ["http://a.com", "https://b.com:99", "http://[::1]:8"].map((text) =>
    parseOrigin(text) as Origin
  );
  const from = (Origin: string) => outcome({ headers: { Origin } }, { allowedOrigins });
  for (const origin of ["http://a.com", "http://A.com:80", "https://b.com:99", "http://[::1]:8"]) {
    assert.equal(from(origin), "client", origin);
  }
  const refused = "403 origin not allowed: not in the allowed list";
  for (const origin of ["https://a.com", "http://a.com:81", "https://b.com", "http://b.com:99", "http://x.a.com"]) {
    assert.equal(from(origin), refused, origin);
  }
  for (const origin of ["null", "a.com", "http://", "http://a.com@b.com", "http://a.com/x", "http://a:b:c"]) {
    assert.equal(from(origin), "403 origin not allowed: not an origin with a host", origin);
  }
  assert.equal(outcome({ headers: { "Sec-WebSocket-Origin": "http://c.com" } }, { allowedOrigins }), refused);
  assert.equal(outcome({}, { allowedOrigins }), "client", "without an Origin everybody passes");
  assert.equal(outcome({ headers: { Origin: "http://a.com" } }, { allowedOrigins: [] }), refused);
});

test("nats 16: 97. same_origin: host and port equal the Host header; the scheme does not count", () => {
  const from = (Origin: string, Host: string, isSecure = false) =>
    outcome({ headers: { Origin, Host } }, { sameOrigin: true, isSecure });
  const refused = "403 origin not allowed: not same origin";
  assert.equal(from("http://h.com", "h.com"), "client");
  assert.equal(from("http://h.com", "H.COM:80"), "client");
  assert.equal(from("https://h.com", "h.com", true), "client");
  assert.equal(from("https://h.com:8", "h.com:8"), "client");
  assert.equal(from("http://[::1]:8", "[::1]:8"), "client");
  assert.equal(from("https://h.com", "h.com"), refused);
  assert.equal(from("http://h.com", "h.com", true), refused);
  assert.equal(from("http://h.com:81", "h.com"), refused);
  assert.equal(from("http://h.com", "x.h.com"), refused);
  assert.equal(from("http://h.com", "::1"), refused);
  assert.equal(outcome({ headers: { Host: "h" } }, { sameOrigin: true }), "client");
  // Both: the same origin may still not be in the list.
  const allowedOrigins = [parseOrigin("http://a.com") as Origin];
  const both = { sameOrigin: true, allowedOrigins };
  assert.equal(
    outcome({ headers: { Origin: "http://h", Host: "h" } }, both),
    refused.replace(/not s.*/, "not in the allowed list"),
  );
  assert.equal(outcome({ headers: { Origin: "http://a.com", Host: "h" } }, both), refused);
});

test("nats 16: 96. compression is agreed on only when it is configured, offered, and can be kept to", () => {
  const agreed = (offer: string, compression = true) =>
    session({ "Sec-WebSocket-Extensions": offer }, { compression }).compression;
  for (
    const offer of [
      "permessage-deflate",
      "PERMESSAGE-DEFLATE; client_max_window_bits",
      "permessage-deflate; client_max_window_bits=10; server_no_context_takeover; client_no_context_takeover",
      "foo; bar=1, permessage-deflate",
      "permessage-deflate; server_max_window_bits=9, permessage-deflate",
    ]
  ) {
    assert.equal(agreed(offer), true, offer);
    assert.equal(agreed(offer, false), false, offer);
  }
  for (const offer of ["", "x-webkit-deflate-frame", "permessage-deflate; unknown", "foo; permessage-deflate"]) {
    assert.equal(agreed(offer), false, offer);
  }
  // The window would have to be confirmed and kept to; a client may answer a wrong one by closing.
  assert.equal(agreed("permessage-deflate; server_max_window_bits=9"), false);
  assert.equal(session({}).compression, false);
});

test("nats 16: 95, 98. masking and frame size follow the request's headers", () => {
  const CHROME =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
  const SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
  const of = (headers: Record<string, string>) => {
    const { masksFrames, frameBytesMax, keepsCompressedWhole } = session(headers);
    return [masksFrames, frameBytesMax, keepsCompressedWhole];
  };
  assert.deepEqual(of({}), [true, 0, false]);
  assert.deepEqual(of({ "Nats-No-Masking": "TRUE" }), [false, 0, false]);
  assert.deepEqual(of({ "Nats-No-Masking": "yes" }), [true, 0, false]);
  assert.deepEqual(of({ "User-Agent": "Deno/2.9 Mozilla/5.0" }), [true, 0, false]);
  assert.deepEqual(of({ "User-Agent": CHROME }), [true, 4096, false]);
  assert.deepEqual(of({ "User-Agent": SAFARI }), [true, 4096, true]);
});

test("nats 8: X-Forwarded-For counts when its first value is an address", () => {
  const shown = (value: string) => session({ "X-Forwarded-For": value }).forwardedFor;
  for (const address of ["1.2.3.4", "255.255.255.255", "::1", "2001:db8::ff", "::ffff:1.2.3.4"]) {
    assert.equal(shown(address), address);
  }
  for (const text of ["1.2.3", "1.2.3.256", "1.2.3.4, 5.6.7.8", "a.b.c.d", "::g", ":", "1.2.3.4:80", "[::1]", ""]) {
    assert.equal(shown(text), "", text);
  }
});

test("nats 8: refusals carry the version and the status as text", () => {
  assert.equal(
    byteString(refusalResponse(403)),
    "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n" +
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: 10\r\n\r\nForbidden\n",
  );
});

test("nats 8: a request may come in any pieces; what stands behind it is not swallowed", () => {
  const text = upgradeRequest();
  const bytes = bytesOf(text + "rest");
  for (let cut = 0; cut <= bytes.length; cut++) {
    const reader = new RequestReader();
    let end = reader.feed(bytes.subarray(0, cut));
    if (end < 0) {
      assert.ok(cut < text.length);
      end = cut + reader.feed(bytes.subarray(cut));
    }
    assert.equal(end, text.length, `cut at ${cut}`);
    assert.equal(reader.text, text);
  }
  const reader = new RequestReader();
  for (let i = 0; i < text.length - 1; i++) assert.equal(reader.feed(bytes.subarray(i, i + 1)), -1);
  assert.equal(reader.feed(bytes.subarray(text.length - 1, text.length)), 1);
});

test("nats 8: a request has a size", () => {
  for (const extra of [-1, 0, 1]) {
    const head = upgradeRequest({ lines: ["Cookie: "] });
    const padded = head.replace("Cookie: ", `Cookie: ${"x".repeat(REQUEST_BYTES_MAX + extra - head.length)}`);
    assert.equal(padded.length, REQUEST_BYTES_MAX + extra);
    const reader = new RequestReader();
    const end = reader.feed(bytesOf(padded));
    assert.equal(end, extra <= 0 ? padded.length : -1);
    assert.equal(reader.isTooLarge, extra > 0);
  }
});
