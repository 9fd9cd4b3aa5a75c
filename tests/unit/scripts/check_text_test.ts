import assert from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../../scripts/check_text.ts";

test("paths of one machine are found with file and line", () => {
  assert.deepEqual(checkText("docs/a.md", "fine\nsee /home/ann/x.ts"), [
    "docs/a.md:2: a path of one machine: /home/ann/x.ts",
  ]);
  for (const path of ["/root/x", "/Users/ann", '"/home/ann/x"', "file:///root/x"]) {
    assert.equal(checkText("src/a.ts", path).length, 1, path);
  }
});

test("paths that every machine may have are no findings", () => {
  for (const path of ["/var/lib/x", "/tmp/log", "docs/home/x", "./home/x", "/rooted", "https://example.com/home/x"]) {
    assert.deepEqual(checkText("src/a.ts", path), [], path);
  }
});

test("an address in a lock file is found, elsewhere it is none of this check's business", () => {
  assert.equal(checkText("deno.lock", '"https://mirror.example/x"').length, 1);
  assert.equal(checkText("bun.lock", '"http://10.0.0.1:4873/x.tgz"').length, 1);
  assert.deepEqual(checkText("README.md", "https://docs.nats.io"), []);
});
