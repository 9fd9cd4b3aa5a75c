import assert from "node:assert/strict";
import { test } from "node:test";
import { checkImports, checkManifests, type Manifests } from "../../../scripts/check_imports.ts";

const MANIFESTS: Manifests = {
  denoImports: { protobufjs: "npm:protobufjs@8.8.1", "@noble/ciphers": "npm:@noble/ciphers@2.1.0" },
  packages: {
    dependencies: { protobufjs: "8.8.1", "@noble/ciphers": "2.1.0" },
    devDependencies: { "node-nats-streaming": "0.3.2" },
  },
};

/** Findings in files given as path and text, as "path:line rule". */
function findings(files: Readonly<Record<string, string>>): string[] {
  const sources = Object.entries(files).map(([path, text]) => ({ path, text }));
  return checkImports(sources, MANIFESTS).map(({ path, line, rule }) => `${path}:${line} ${rule}`);
}

/** Findings in one file. */
function findingsIn(path: string, text: string): string[] {
  return findings({ [path]: text }).map((finding) => finding.slice(path.length + 1));
}

test("style 1: every import the map allows passes", () => {
  const allowed: Readonly<Record<string, string>> = {
    "src/base/a.ts": 'import { b } from "./b.ts";',
    "src/wire/a.ts": 'import { b } from "../base/b.ts";\nimport pb from "protobufjs/light";',
    "src/config/a.ts": 'import { b } from "../base/b.ts";',
    "src/log/a.ts": 'import { b } from "../base/b.ts";\nimport type { Files } from "../runtime/types.ts";',
    "src/streaming/a.ts": 'import { b } from "../wire/b.ts";\nimport type { S } from "../store/s.ts";\n' +
      'import { type O } from "../config/o.ts";\nimport { StoreError } from "../store/types.ts";',
    "src/nats/a.ts": 'import { b } from "../log/b.ts";\nimport type { R } from "../runtime/types.ts";',
    "src/store/file/a.ts": 'import { b } from "../../config/b.ts";\nimport { createHash } from "node:crypto";\n' +
      'import { gcm } from "@noble/ciphers/aes.js";',
    "src/cluster/a.ts": 'export type * from "../streaming/b.ts";\nimport type * as n from "../nats/b.ts";',
    "src/monitor/a.ts": 'import type { S } from "../server/s.ts";\nimport { l } from "../log/l.ts";',
    "src/runtime/bun/a.ts": 'import * as fs from "node:fs";\nconst ffi = await import("bun:ffi" as string);\nBun.gc();',
    "src/runtime/deno/a.ts": "Deno.exit();",
    "src/runtime/pick.ts": '// Bun first.\nconst x = "Bun" in globalThis ? 1 : `Deno ${"Bun"}`; /* Deno */',
    "src/server/a.ts": 'import { c } from "../streaming/c.ts";\nimport { s } from "../store/s.ts";\nimport "node:fs";',
    "src/main.ts": 'import { c } from "./server/c.ts";',
    "mod.ts": 'import { c } from "./src/server/c.ts";\nexport { d } from "./src/base/d.ts";',
  };
  assert.deepEqual(findings(allowed), []);
});

test("style 1: a folder that the map does not list may not be imported, as a value or as a type", () => {
  const value = (path: string) => `import { x } from "${path}";`;
  const type = (path: string) => `import type { X } from "${path}";`;
  const cases: readonly (readonly [string, string])[] = [
    ["src/base/a.ts", value("../wire/b.ts")],
    ["src/base/a.ts", type("../wire/b.ts")],
    ["src/wire/a.ts", value("../config/b.ts")],
    ["src/config/a.ts", type("../log/b.ts")],
    ["src/log/a.ts", value("../wire/b.ts")],
    ["src/streaming/a.ts", value("../runtime/types.ts")],
    ["src/streaming/a.ts", type("../nats/bus.ts")],
    ["src/runtime/node/a.ts", type("../../log/b.ts")],
    ["src/nats/a.ts", type("../streaming/b.ts")],
    ["src/nats/a.ts", type("../store/b.ts")],
    ["src/store/memory/a.ts", type("../../streaming/b.ts")],
    ["src/cluster/a.ts", type("../server/b.ts")],
    ["src/monitor/a.ts", value("../config/b.ts")],
  ];
  for (const [path, text] of cases) {
    assert.deepEqual(findingsIn(path, text), ["1 map"], `${path}: ${text}`);
  }
});

test("style 1: where the map says types, every way to load a value is found", () => {
  const loading = [
    'import { StoreX } from "../store/x.ts";',
    'import { type A, StoreX } from "../store/x.ts";',
    'import { StoreX, type A } from "../store/x.ts";',
    'import { type as A } from "../store/x.ts";',
    'import { type } from "../store/x.ts";',
    'import {} from "../store/x.ts";',
    'import X from "../store/x.ts";',
    'import X, { type A } from "../store/x.ts";',
    'import type from "../store/x.ts";',
    'import * as x from "../store/x.ts";',
    'import "../store/x.ts";',
    'export * from "../store/x.ts";',
    'export * as x from "../store/x.ts";',
    'export { a } from "../store/x.ts";',
    'export { type A, b as c } from "../store/x.ts";',
    'const x = await import("../store/x.ts");',
    'const x = `${(await import("../store/x.ts")).y}`;',
    'import {\n  a,\n} from "../store/x.ts";',
    'const r = /["`]/; import { a } from "../store/x.ts";',
    'const d = 4 / 2; const q = "/"; import("../store/x.ts");',
  ];
  for (const text of loading) assert.deepEqual(findingsIn("src/streaming/a.ts", text), ["1 map"], text);
});

test("style 1: where the map says types, every way to name only types passes", () => {
  const typing = [
    'import type { A } from "../store/x.ts";',
    'import type A from "../store/x.ts";',
    'import type * as x from "../store/x.ts";',
    'import { type A } from "../store/x.ts";',
    'import { type A, type B as C, } from "../store/x.ts";',
    'import { type as as A } from "../store/x.ts";',
    'export type { A } from "../store/x.ts";',
    'export type * from "../store/x.ts";',
    'export { type A } from "../store/x.ts";',
    '// import { a } from "../store/x.ts";',
    '/* import { a } from "../store/x.ts"; */',
    "const s = 'import { a } from \"../store/x.ts\"';",
    'const s = `import { a } from "../store/x.ts"`;',
    'export const a = { import: 1, from: "../store/x.ts" };',
    'export type A = B; const from = "../store/x.ts";',
    'export { a }; const b = "../store/x.ts";',
  ];
  for (const text of typing) assert.deepEqual(findingsIn("src/streaming/a.ts", text), [], text);
});

test("style 1: the line of a finding is the line of the import", () => {
  const text =
    '/**\n * A module.\n */\nconst a = `\n\n`;\nconst b = "\\\n";\nimport {\n  x,\n} from "../server/x.ts";\n';
  assert.deepEqual(findingsIn("src/nats/a.ts", text), ["9 map"]);
});

test("style 1: nothing imports upward or out of src", () => {
  assert.deepEqual(findingsIn("src/server/a.ts", 'import "../main.ts";'), ["1 upward"]);
  assert.deepEqual(findingsIn("src/server/a.ts", 'import type { X } from "../../mod.ts";'), ["1 upward"]);
  assert.deepEqual(findingsIn("src/server/a.ts", 'import { x } from "../../tests/helpers/x.ts";'), ["1 upward"]);
  assert.deepEqual(findingsIn("mod.ts", 'import { x } from "./scripts/x.ts";'), ["1 upward"]);
});

test("style 1: a folder or a file that the map does not know is refused", () => {
  assert.deepEqual(findingsIn("src/utils/a.ts", ""), ["1 map"]);
  assert.deepEqual(findingsIn("src/other.ts", ""), ["1 map"]);
  assert.deepEqual(findingsIn("src/server/a.ts", 'import { x } from "../utils/x.ts";'), ["1 upward"]);
});

test("style 1: the names of the runtimes stand in their adapters only", () => {
  for (const text of ["Deno.exit();", "typeof Bun;", "globalThis.Deno;", 'globalThis["Bun"];', "`${Deno.pid}`;"]) {
    assert.deepEqual(findingsIn("src/server/a.ts", `\n${text}`), ["2 globals"], text);
    assert.deepEqual(findingsIn("src/runtime/node/a.ts", text), ["1 globals"], text);
  }
  for (const text of ["// Deno", 'const a = "Deno";', "const a = `Bun`;", "DenoLike;", "const a = /Bun/;"]) {
    assert.deepEqual(findingsIn("src/server/a.ts", text), [], text);
  }
});

test("style 1: folders without I/O import nothing of the system, others only what computes", () => {
  for (const folder of ["base", "wire", "config", "log", "streaming"]) {
    assert.deepEqual(findingsIn(`src/${folder}/a.ts`, 'import { x } from "node:crypto";'), ["1 system"], folder);
  }
  for (const folder of ["nats", "store", "cluster", "monitor"]) {
    assert.deepEqual(findingsIn(`src/${folder}/a.ts`, 'import { x } from "node:zlib";'), [], folder);
    assert.deepEqual(findingsIn(`src/${folder}/a.ts`, 'import { x } from "node:fs/promises";'), ["1 system"], folder);
  }
  assert.deepEqual(findingsIn("src/server/a.ts", 'import * as fs from "fs";'), ["1 system"]);
});

test("style 6: packages only as pinned in deno.json", () => {
  for (const name of ["left-pad", "@noble/hashes", "node-nats-streaming", "@noble"]) {
    assert.deepEqual(findingsIn("src/store/a.ts", `import x from "${name}";`), ["1 packages"], name);
  }
  for (const url of ["npm:protobufjs@8.8.1", "jsr:@std/cli", "https://example.com/x.ts", "bun:ffi"]) {
    assert.deepEqual(findingsIn("src/store/a.ts", `import x from "${url}";`), ["1 packages"], url);
  }
  assert.deepEqual(findingsIn("src/runtime/bun/a.ts", 'import { dlopen } from "bun:ffi";'), []);
});

test("style 6: import() of a computed name is for the runtime adapters", () => {
  assert.deepEqual(findingsIn("src/server/a.ts", "await import(name);"), ["1 dynamic"]);
  assert.deepEqual(findingsIn("src/server/a.ts", 'await import("./a" + ".ts");'), ["1 dynamic"]);
  assert.deepEqual(findingsIn("src/runtime/a.ts", "await import(name);"), []);
});

test("style 6: circular imports of values are found, of types are not", () => {
  const cycle = {
    "src/nats/a.ts": '\nimport { b } from "./b.ts";',
    "src/nats/b.ts": 'import { c } from "./c.ts";',
    "src/nats/c.ts": 'import type { X } from "./x.ts";\nexport { a } from "./a.ts";',
  };
  assert.deepEqual(findings(cycle), ["src/nats/c.ts:2 cycle"]);
  const message = checkImports(Object.entries(cycle).map(([path, text]) => ({ path, text })), MANIFESTS)[0]?.message;
  assert.equal(message, "files load each other: src/nats/a.ts -> src/nats/b.ts -> src/nats/c.ts -> src/nats/a.ts");
  assert.deepEqual(findings({ "src/nats/a.ts": 'import { a } from "./a.ts";' }), ["src/nats/a.ts:1 cycle"]);
  assert.deepEqual(findings({ ...cycle, "src/nats/c.ts": 'import type { A } from "./a.ts";' }), []);
  assert.deepEqual(findings({ ...cycle, "src/nats/c.ts": 'const a = await import("./a.ts");' }), []);
});

test("style 6: both manifests pin the same packages exactly", () => {
  assert.deepEqual(checkManifests(MANIFESTS), []);
  const { denoImports, packages } = MANIFESTS;
  const messages = (manifests: Manifests) =>
    checkManifests(manifests).map(({ path, message }) => `${path}: ${message}`);
  const depend = (dependencies: Record<string, string>) => ({ denoImports, packages: { ...packages, dependencies } });

  assert.deepEqual(messages(depend({ protobufjs: "8.8.0", "@noble/ciphers": "2.1.0" })), [
    'package.json: "protobufjs" is 8.8.0 here and 8.8.1 in deno.json',
  ]);
  assert.deepEqual(messages(depend({ protobufjs: "8.8.1" })), [
    'package.json: "@noble/ciphers" is in deno.json but not here',
  ]);
  assert.deepEqual(messages(depend({ ...packages.dependencies, ws: "8.0.0" })), [
    'deno.json: dependency "ws" of package.json is not here',
  ]);
  assert.deepEqual(messages({ denoImports, packages: { ...packages, devDependencies: { nats: "^1.4.0" } } }), [
    'package.json: "nats": "^1.4.0" is not exact',
  ]);
  for (const target of ["npm:protobufjs@^8.8.1", "npm:protobufjs", "jsr:@std/cli@1.0.0", "npm:protobufjs@8"]) {
    assert.match(
      messages({ denoImports: { ...denoImports, protobufjs: target }, packages })[0] ?? "",
      /not pinned/,
      target,
    );
  }
  assert.deepEqual(messages({ denoImports: { ...denoImports, pb: "npm:protobufjs@8.8.1" }, packages }), [
    'deno.json: import "pb" must have the name of its package, "protobufjs"',
  ]);
});
