// The monitoring port of the platform (operations.md 5.1): what a handler gets, and what it cannot be made to swallow.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { after, test } from "node:test";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import type { HttpRequest } from "../../../src/runtime/types.ts";
import { makeCertificate } from "../../helpers/certificates.ts";

const runtime = await pickRuntime();
const seen: HttpRequest[] = [];
const plain = await runtime.http.listen({ host: "127.0.0.1", port: 0 }, (request) => {
  seen.push(request);
  if (request.path === "/later") {
    return Promise.resolve({ status: 202, headers: { "X-Kind": "later" }, body: new Uint8Array([1, 0, 255]) });
  }
  return { status: 200, headers: { "Content-Type": "text/plain" }, body: `${request.method} ${request.body}` };
});
after(() => plain.close());

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

function ask(port: number, path: string, method = "GET", body = "", ca?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = ca === undefined ? httpRequest : httpsRequest;
    const headers = { "X-Requested-With": "test", "Content-Length": String(new TextEncoder().encode(body).length) };
    const request = send(
      { host: "127.0.0.1", port, path, method, headers, agent: false, ...(ca === undefined ? {} : { ca }) },
      (response) => {
        const chunks: Uint8Array[] = [];
        response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
        response.on("end", () => {
          const whole = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
          chunks.reduce((at, chunk) => (whole.set(chunk, at), at + chunk.length), 0);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole });
        });
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

const textOf = (answer: Answer) => new TextDecoder().decode(answer.body);

test("operations 5.1: any method reaches the handler, with path, query and headers", async () => {
  seen.length = 0;
  assert.equal(textOf(await ask(plain.port, "/a/b?c=d%20e&f", "DELETE")), "DELETE ");
  const [request] = seen;
  assert.equal(request?.path, "/a/b");
  assert.deepEqual([...request?.query ?? []], [["c", "d e"], ["f", ""]]);
  assert.equal(request?.header("x-requested-with"), "test");
  assert.equal(request?.header("authorization"), "");
  assert.equal(request?.remoteAddress, "127.0.0.1");
});

test("operations 5.1: HEAD is answered like GET, without a body", async () => {
  const answer = await ask(plain.port, "/x", "HEAD");
  assert.equal(answer.status, 200);
  assert.equal(answer.body.length, 0);
});

test("console: the body of a POST comes whole, and an answer may come later and be bytes", async () => {
  const text = `{"channel":"größe ${"x".repeat(40_000)}"}`;
  assert.equal(textOf(await ask(plain.port, "/x", "POST", text)), `POST ${text}`);
  const later = await ask(plain.port, "/later");
  assert.equal(later.status, 202);
  assert.equal(later.headers["x-kind"], "later");
  assert.deepEqual([...later.body], [1, 0, 255]);
});

test("console: a body above 64 KB is refused with 413 and never reaches the handler", async () => {
  assert.equal(textOf(await ask(plain.port, "/x", "POST", "y".repeat(65_536))), `POST ${"y".repeat(65_536)}`);
  seen.length = 0;
  const answer = await ask(plain.port, "/x", "POST", "y".repeat(65_537));
  assert.equal(answer.status, 413);
  assert.match(textOf(answer), /longer than 65536 bytes/);
  assert.deepEqual(seen, []);
});

test("operations 5.1: HTTPS with a certificate of its own, which is not asked of clients", async () => {
  const own = makeCertificate({ commonName: "127.0.0.1", ipAddresses: ["127.0.0.1"] });
  const port = await runtime.http.listen(
    { host: "127.0.0.1", port: 0, tls: { cert: own.certificate, key: own.key } },
    (request) => ({ status: 200, headers: {}, body: request.path }),
  );
  try {
    assert.equal(textOf(await ask(port.port, "/varz", "GET", "", own.certificate)), "/varz");
  } finally {
    await port.close();
  }
});
