/** The INFO line is put together from what is the same for all clients and what is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InfoLine } from "../../../src/nats/info_line.ts";

const FIELDS = { server_id: "ID", server_name: 'a "b" é', git_commit: undefined, port: 4222, tls_required: true };

function lineFor(info: InfoLine, id: number, nonce: string): string {
  const parts: Uint8Array[] = [];
  info.writeTo({ id, remoteAddress: "::1", nonce, write: (bytes) => void parts.push(bytes) });
  return new TextDecoder().decode(new Uint8Array(parts.flatMap((part) => [...part])));
}

test("nats 2: INFO is one line of JSON, its fields in the order of the reference", () => {
  for (const ldm of [undefined, true]) {
    const info = new InfoLine(FIELDS, ldm === true);
    for (const nonce of [undefined, "x-Y_9"]) {
      for (const id of [1, 9_007_199_254_740_991]) {
        const whole = JSON.stringify({ ...FIELDS, client_id: id, client_ip: "::1", nonce, ldm });
        assert.equal(lineFor(info, id, nonce ?? ""), `INFO ${whole} \r\n`);
      }
    }
  }
});
