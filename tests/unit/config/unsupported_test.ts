/**
 * Statement 88 of nats-server.md 16: what the server does not have is refused at start by its name, with what to do
 * (decision 9). Started without it, the server would keep subjects less apart than its operator believes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions, unsupportedFeatures } from "../../../src/config/options.ts";
import { accepted, optionsOf, refusal } from "./config_support.ts";

/** Feature, configuration, and a word of what to do. */
const ACCOUNT_FEATURES: readonly (readonly [name: string, config: string, advice: RegExp])[] = [
  ["exports", 'accounts { A { exports: [ { stream: "a.>" } ] } }', /-ns/],
  ["imports", 'accounts { A { imports: [ { stream: { account: B, subject: "a.>" } } ] }, B {} }', /-ns/],
  ["mappings", 'accounts { A { mappings: { "a": "b" } } }', /-ns/],
  ["maps", 'accounts { A { maps: { "a": "b" } } }', /-ns/],
  ["limits", "accounts { A { limits { max_connections: 3 } } }", /limits apply to the server/],
  ["jetstream", "accounts { A { jetstream: enabled } }", /nats-server/],
  ["mappings", 'mappings: { "a": "b" }', /final subject/],
  ["system_account", "system_account: SYS\naccounts { SYS {} }", /leave it out/],
  ["operator", 'operator: "op.jwt"', /-ns/],
  ["operators", 'operators: [ "op.jwt" ]', /-ns/],
  ["trusted_keys", 'trusted_keys: "OABC"', /-ns/],
  ["resolver", "resolver: MEMORY", /-ns/],
  ["account_resolver", "account_resolver: MEMORY", /-ns/],
  ["resolver_preload", "resolver_preload { A: jwt }", /-ns/],
  ["resolver_tls", "resolver_tls { }", /-ns/],
  ["resolver_pinned_accounts", "resolver_pinned_accounts: [ A ]", /-ns/],
  ["leafnodes", "leafnodes { port: 7422 }", /./],
  ["gateway", "gateway { name: A }", /-ns/],
  ["mqtt", "mqtt { port: 1883 }", /-ns/],
  ["jetstream", "jetstream: enabled", /nats-server/],
];

for (const [name, config, advice] of ACCOUNT_FEATURES) {
  test(`nats 16: 88. ${config.replaceAll("\n", " ")} is refused by its name`, () => {
    const lines = refusal(config).filter((line) => line !== "");
    assert.equal(lines.length, 1, lines.join("\n"));
    const [line = ""] = lines;
    const told = /^f\.conf:\d+:\d+: "(\w+)" is not available in this version of stanchion: (.+)$/.exec(line);
    assert.equal(told?.[1], name, line);
    assert.match(told?.[2] ?? "", advice);
  });
}

test("nats 16: 88. every feature that is asked for has its line", () => {
  const lines = refusal(
    'operator: "op.jwt"\nmappings: { "a": "b" }\naccounts { A { exports: [ { service: "x" } ] } }\n',
  );
  const names = lines.flatMap((line) => /"(\w+)" is not available/.exec(line)?.[1] ?? []);
  assert.deepEqual(names.sort(), ["exports", "mappings", "operator"]);
});

test("nats 16: 88. empty lists ask for nothing", () => {
  const { auth } =
    accepted("accounts { A { exports: [], imports: [], mappings: {}, limits {}, jetstream: false } }").options;
  assert.deepEqual(auth.accounts, ["A"]);
});

test("nats 7: a choice of cipher suites or curves is refused, because not every platform can keep to it", () => {
  const tls = (key: string) => `tls { cert_file: "cert.pem", key_file: "key.pem"${key} }\n`;
  assert.deepEqual(unsupportedFeatures(defaultOptions()), []);
  assert.deepEqual(unsupportedFeatures(optionsOf(tls(", connection_rate_limit: 10"))), []);
  for (
    const [key, name] of [
      [", cipher_suites: [ TLS_AES_128_GCM_SHA256 ]", "cipher_suites"],
      [", curve_preferences: [ X25519 ]", "curve_preferences"],
    ] as const
  ) {
    const [line = "", ...more] = unsupportedFeatures(optionsOf(tls(key)));
    assert.deepEqual(more, []);
    assert.match(line, new RegExp(`\\(${name}\\): not available in this version; leave it out$`));
  }
});

test("operations 2.5: lame duck times, and that one has to be shorter than the other", () => {
  const { nats } = optionsOf('lame_duck_duration: "1m"\nlame_duck_grace_period: "5s"\n');
  assert.deepEqual([nats.lameDuckDurationMs, nats.lameDuckGraceMs], [60_000, 5_000]);
  assert.equal(optionsOf('lame_duck_grace_period: "0s"').nats.lameDuckGraceMs, 10_000, "zero is not set");
  assert.deepEqual(refusal('lame_duck_duration: "30s"\nlame_duck_grace_period: "30s"'), [
    "lame duck grace period (30s) should be strictly lower than lame duck duration (30s)",
  ]);
});
