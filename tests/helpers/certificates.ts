/**
 * X.509 certificates made on the spot (ECDSA P-256, SHA-256), so that no test depends on an `openssl` program or on files
 * that expire. Only what a TLS handshake looks at is encoded: names, validity, key, basic constraints, alternative names.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate with its private key, both as PEM text and the certificate as DER too. */
export interface TestCertificate {
  readonly certificate: string;
  readonly der: Uint8Array;
  readonly key: string;
  readonly commonName: string;
}

/** What a certificate says; without `issuer` it signs itself. */
export interface TestCertificateOptions {
  readonly commonName: string;
  readonly organization?: string;
  readonly issuer?: TestCertificate;
  readonly isAuthority?: boolean;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly emails?: readonly string[];
}

const TAG_BOOLEAN = 0x01;
const TAG_INTEGER = 0x02;
const TAG_BIT_STRING = 0x03;
const TAG_OCTET_STRING = 0x04;
const TAG_OBJECT_ID = 0x06;
const TAG_UTF8_STRING = 0x0c;
const TAG_UTC_TIME = 0x17;
const TAG_SEQUENCE = 0x30;
const TAG_SET = 0x31;
const TAG_CONTEXT = 0x80;
const TAG_CONTEXT_CONSTRUCTED = 0xa0;

const GENERAL_NAME_EMAIL = 1;
const GENERAL_NAME_DNS = 2;
const GENERAL_NAME_IP = 7;

const DAY_MS = 86_400_000;

function element(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const size = body.length;
  if (size < 0x80) return Buffer.concat([Uint8Array.of(tag, size), body]);
  if (size < 0x100) return Buffer.concat([Uint8Array.of(tag, 0x81, size), body]);
  return Buffer.concat([Uint8Array.of(tag, 0x82, size >> 8, size & 0xff), body]);
}

const sequence = (...parts: Uint8Array[]): Uint8Array => element(TAG_SEQUENCE, ...parts);

function objectId(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return element(TAG_OBJECT_ID, Uint8Array.from(bytes));
}

function text(tag: number, value: string): Uint8Array {
  return element(tag, new TextEncoder().encode(value));
}

function distinguishedName(options: { commonName: string; organization?: string | undefined }): Uint8Array {
  const attribute = (id: string, value: string) =>
    element(TAG_SET, sequence(objectId(id), text(TAG_UTF8_STRING, value)));
  const parts = [attribute("2.5.4.3", options.commonName)];
  if (options.organization !== undefined) parts.unshift(attribute("2.5.4.10", options.organization));
  return sequence(...parts);
}

function utcTime(unixMs: number): Uint8Array {
  return text(TAG_UTC_TIME, new Date(unixMs).toISOString().replace(/[-:T]|\.\d+/g, "").slice(2));
}

function extension(id: string, isCritical: boolean, value: Uint8Array): Uint8Array {
  const critical = isCritical ? [element(TAG_BOOLEAN, Uint8Array.of(0xff))] : [];
  return sequence(objectId(id), ...critical, element(TAG_OCTET_STRING, value));
}

function pem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** The subject name of a certificate, cut out of its DER so that issuer and subject agree byte for byte. */
function subjectOf(certificate: TestCertificate): Uint8Array {
  const der = certificate.der;
  const bodyOf = (at: number): { start: number; end: number } => {
    const short = der[at + 1] ?? 0;
    if (short < 0x80) return { start: at + 2, end: at + 2 + short };
    const sizeBytes = short & 0x7f;
    let size = 0;
    for (let i = 0; i < sizeBytes; i++) size = size * 256 + (der[at + 2 + i] ?? 0);
    return { start: at + 2 + sizeBytes, end: at + 2 + sizeBytes + size };
  };
  // Certificate > TBSCertificate > version, serial, algorithm, issuer, validity, subject.
  let at = bodyOf(bodyOf(0).start).start;
  for (let skipped = 0; skipped < 5; skipped++) at = bodyOf(at).end;
  return der.subarray(at, bodyOf(at).end);
}

/** Makes a key pair and a certificate that is valid from yesterday until in ten days. */
export function makeCertificate(options: TestCertificateOptions): TestCertificate {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKey = pair.publicKey.export({ type: "spki", format: "der" });
  const signer: KeyObject = options.issuer === undefined ? pair.privateKey : createPrivateKey(options.issuer.key);
  const algorithm = sequence(objectId("1.2.840.10045.4.3.2"));
  const serial = randomBytes(9);
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f);
  const subject = distinguishedName({ commonName: options.commonName, organization: options.organization });
  const nowMs = Date.now();

  const extensions = [];
  if (options.isAuthority) {
    extensions.push(extension("2.5.29.19", true, sequence(element(TAG_BOOLEAN, Uint8Array.of(0xff)))));
  }
  const names = [
    ...(options.dnsNames ?? []).map((name) => text(TAG_CONTEXT | GENERAL_NAME_DNS, name)),
    ...(options.emails ?? []).map((name) => text(TAG_CONTEXT | GENERAL_NAME_EMAIL, name)),
    ...(options.ipAddresses ?? []).map((ip) =>
      element(TAG_CONTEXT | GENERAL_NAME_IP, Uint8Array.from(ip.split(".").map(Number)))
    ),
  ];
  if (names.length > 0) extensions.push(extension("2.5.29.17", false, sequence(...names)));

  const toBeSigned = sequence(
    element(TAG_CONTEXT_CONSTRUCTED | 0, element(TAG_INTEGER, Uint8Array.of(2))),
    element(TAG_INTEGER, serial),
    algorithm,
    options.issuer === undefined ? subject : subjectOf(options.issuer),
    sequence(utcTime(nowMs - DAY_MS), utcTime(nowMs + 10 * DAY_MS)),
    subject,
    publicKey,
    ...(extensions.length > 0 ? [element(TAG_CONTEXT_CONSTRUCTED | 3, sequence(...extensions))] : []),
  );
  const signature = sign("sha256", toBeSigned, signer);
  const der = sequence(toBeSigned, algorithm, element(TAG_BIT_STRING, Uint8Array.of(0), signature));
  return {
    certificate: pem("CERTIFICATE", der),
    der: new Uint8Array(der),
    key: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    commonName: options.commonName,
  };
}
