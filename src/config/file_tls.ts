/** The `tls {}` block of a listener (operations.md 6.1). Texts are the reference's. */
import { quote } from "../base/quote.ts";
import { ConfigError } from "./language/errors.ts";
import type { ConfigSources } from "./language/parser.ts";
import type { ConfigMap, ConfigValue } from "./language/values.ts";
import { asInteger, asMap, asString, durationMs, type FileReport, readBlock, refuseValue } from "./file_values.ts";
import type { TlsOptions } from "./option_types.ts";

/** Time for a handshake when nothing else is said. */
export const TLS_TIMEOUT_MS = 2_000;

/** Wait for a client that begins with TLS, before INFO is sent in clear (`handshake_first: auto`). */
const HANDSHAKE_FIRST_AUTO_MS = 50;

/** All cipher suites a file may name, whether the runtime has them or not. */
export const CIPHER_SUITES: readonly string[] = Object.freeze([
  "TLS_RSA_WITH_RC4_128_SHA",
  "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
  "TLS_RSA_WITH_AES_128_CBC_SHA",
  "TLS_RSA_WITH_AES_128_CBC_SHA256",
  "TLS_RSA_WITH_AES_256_CBC_SHA",
  "TLS_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
  "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
  "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
  "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
  "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
  "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
  "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
]);

/** All curves a file may name. */
export const CURVES: readonly string[] = Object.freeze(["X25519", "CurveP256", "CurveP384", "CurveP521"]);

type TlsDraft = { -readonly [K in keyof TlsOptions]: TlsOptions[K] };

/** TLS with nothing asked for. */
export function draftTls(): TlsDraft {
  return {
    certFile: "",
    keyFile: "",
    caFile: "",
    verify: false,
    verifyAndMap: false,
    timeoutMs: TLS_TIMEOUT_MS,
    handshakeFirst: false,
    allowNonTls: false,
    pinnedCerts: [],
    minVersion: "TLSv1.2",
    cipherSuites: [],
    curvePreferences: [],
    connectionRateLimit: 0,
  };
}

/** The reason why the files cannot be used, or undefined. They are opened here to tell it before anything starts. */
export function checkTlsFiles(tls: TlsOptions, sources: ConfigSources): string | undefined {
  if (tls.keyFile === "" && tls.certFile !== "") return "missing 'key_file' in TLS configuration";
  if (tls.certFile === "") return "missing 'cert_file' in TLS configuration";
  for (const file of [tls.certFile, tls.keyFile]) {
    const found = sources.readFile(file);
    if (!found.ok) return `error parsing X509 certificate/key pair: open ${file}: ${found.reason}`;
  }
  if (tls.caFile === "") return undefined;
  const found = sources.readFile(tls.caFile);
  return found.ok ? undefined : `open ${tls.caFile}: ${found.reason}`;
}

/** Reads a block. Undefined when it has errors, which are in the report. */
export function readTls(report: FileReport, value: ConfigValue, sources: ConfigSources): TlsOptions | undefined {
  const tls = draftTls();
  const errorCount = report.errors.length;
  readTlsKeys(report, asMap(value), tls);
  if (report.errors.length > errorCount) return undefined;
  const reason = checkTlsFiles(tls, sources);
  return reason === undefined ? tls : refuseValue(value, reason);
}

function readTlsKeys(report: FileReport, map: ConfigMap, tls: TlsDraft): void {
  const fileName = (value: ConfigValue, key: string): string =>
    value.kind === "string" ? value.value : expected(value, key, "filename");
  const flag = (value: ConfigValue, key: string): boolean =>
    value.kind === "boolean" ? value.value : expected(value, key, "a boolean");

  readBlock(report, map, {
    cert_file: (value, key) => tls.certFile = fileName(value, key),
    key_file: (value, key) => tls.keyFile = fileName(value, key),
    ca_file: (value, key) => tls.caFile = fileName(value, key),
    // Only outgoing connections skip a check by it; a listener makes none.
    insecure: (value, key) => void flag(value, key),
    verify: (value, key) => tls.verify = flag(value, key) || tls.verifyAndMap,
    verify_and_map: (value, key) => {
      tls.verifyAndMap = flag(value, key);
      if (tls.verifyAndMap) tls.verify = true;
    },
    verify_cert_and_check_known_urls: (value, key) => {
      if (flag(value, key)) refuseValue(value, "verify_cert_and_check_known_urls not supported in this context");
    },
    cipher_suites: (value) => tls.cipherSuites = names(value, "cipher_suites", CIPHER_SUITES, "cipher"),
    curve_preferences: (value) => tls.curvePreferences = names(value, "curve_preferences", CURVES, "curve preference"),
    timeout: (value) => {
      if (value.kind === "string") {
        tls.timeoutMs = durationMs(value, value.value, "error parsing tls config, 'timeout' ");
      } else if (value.kind === "integer") {
        tls.timeoutMs = asInteger(value) * 1000;
      } else if (value.kind === "float") {
        tls.timeoutMs = value.value * 1000;
      } else {
        refuseValue(value, "error parsing tls config, 'timeout' wrong type");
      }
      // The reference takes zero for "not set".
      if (tls.timeoutMs <= 0) tls.timeoutMs = TLS_TIMEOUT_MS;
    },
    connection_rate_limit: (value) => {
      if (value.kind !== "integer") refuseValue(value, "error parsing tls config, 'connection_rate_limit' wrong type");
      tls.connectionRateLimit = Math.max(0, asInteger(value));
    },
    pinned_certs: (value) => tls.pinnedCerts = pinnedCerts(value),
    handshake_first: (value) => tls.handshakeFirst = handshakeFirst(value),
    min_version: (value) => tls.minVersion = minVersion(value),
    "cert_store cert_match cert_match_by": (value, key) => {
      refuseValue(value, `'${key}' belongs to the certificate store of Windows; name PEM files instead`);
    },
    ocsp_peer: (value) => {
      if (value.kind !== "boolean" || value.value) {
        refuseValue(value, "'ocsp_peer' is not available in this version of stanchion; leave it out");
      }
    },
  }, (value, key) => {
    const reason = `error parsing tls config, unknown field [${quote(key)}]`;
    throw new ConfigError("CONFIG_UNKNOWN_KEY", reason, value.at);
  });
}

function expected(value: ConfigValue, key: string, what: string): never {
  const reason = `error parsing tls config, expected '${key.toLowerCase()}' to be ${what}`;
  throw new ConfigError("CONFIG_TYPE", reason, value.at);
}

function names(value: ConfigValue, key: string, known: readonly string[], what: string): readonly string[] {
  if (value.kind !== "list") return expected(value, key, "a list");
  if (value.items.length === 0) refuseValue(value, `error parsing tls config, '${key}' cannot be empty`);
  return value.items.map((item) => {
    const name = asString(item);
    return known.includes(name) ? name : refuseValue(item, `unrecognized ${what} ${name}`);
  });
}

function pinnedCerts(value: ConfigValue): readonly string[] {
  const what = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo";
  if (value.kind !== "list") return expected(value, "pinned_certs", `a list of ${what}`);
  return value.items.map((item) => {
    const pin = asString(item).toLowerCase();
    if (/^[0-9a-f]{64}$/.test(pin)) return pin;
    return refuseValue(item, `error parsing tls config, 'pinned_certs' key ${pin} does not look like ${what}`);
  });
}

function handshakeFirst(value: ConfigValue): boolean | number {
  if (value.kind === "boolean") return value.value;
  if (value.kind !== "string") return expected(value, "handshake_first", "a boolean, 'auto' or a duration");
  const text = value.value.toLowerCase();
  if (text === "auto" || text === "auto_fallback") return HANDSHAKE_FIRST_AUTO_MS;
  if (text === "true" || text === "on") return true;
  if (text === "false" || text === "off") return false;
  const ms = durationMs(value, value.value, "error parsing tls config, 'handshake_first' ");
  return ms > 0 ? ms : refuseValue(value, "error parsing tls config, 'handshake_first' needs to be positive");
}

function minVersion(value: ConfigValue): TlsOptions["minVersion"] {
  const text = value.kind === "float" || value.kind === "string" ? String(value.value) : "";
  if (text === "1.2") return "TLSv1.2";
  if (text === "1.3") return "TLSv1.3";
  return refuseValue(value, 'error parsing tls config: unsupported version, \'min_version\' must be "1.2" or "1.3"');
}
