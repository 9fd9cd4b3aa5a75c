/**
 * The names in a client certificate, for users that are found by them (nats-server.md 6.4): e-mail, DNS and URI
 * alternative names, and the subject. Read from the DER: `X509Certificate.subject` is escaped on one runtime and not on
 * the other, and its one text of all alternative names cannot be taken apart safely. The signature was verified before.
 *
 * ```
 * Certificate    = SEQUENCE { TBSCertificate, ... }
 * TBSCertificate = SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, key, ..., [3] extensions }
 * Name           = SEQUENCE OF SET OF SEQUENCE { type OID, value string }
 * ```
 */

/** One part of a distinguished name. A type without short name is written as its dotted number. */
export interface NamePart {
  readonly type: string;
  readonly value: string;
}

/** Parts of one relative name (mostly one), in the order they stand in. */
export type RelativeName = readonly NamePart[];

/** What a certificate says about its owner. */
export interface CertificateNames {
  readonly emails: readonly string[];
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  /** In the order of the certificate: country first, mostly. */
  readonly subject: readonly RelativeName[];
}

const TAG_OCTET_STRING = 0x04;
const TAG_OBJECT_ID = 0x06;
const TAG_UTF8_STRING = 0x0c;
const TAG_BMP_STRING = 0x1e;
const TAG_SEQUENCE = 0x30;
const TAG_SET = 0x31;
const TAG_EMAIL = 0x81;
const TAG_DNS = 0x82;
const TAG_URI = 0x86;
const TAG_VERSION = 0xa0;
const TAG_EXTENSIONS = 0xa3;
const OID_SUBJECT_ALT_NAME = "2.5.29.17";

/** Short names that RFC 2253 and the reference use. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.5": "SERIALNUMBER",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "STREET",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.17": "POSTALCODE",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
};

interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Undefined when the bytes are no certificate. */
export function readCertificateNames(der: Uint8Array): CertificateNames | undefined {
  const emails: string[] = [];
  const dnsNames: string[] = [];
  const uris: string[] = [];
  const certificate = elementAt(der, 0, der.length);
  if (certificate?.tag !== TAG_SEQUENCE) return undefined;
  const body = elementAt(der, certificate.start, certificate.end);
  if (body?.tag !== TAG_SEQUENCE) return undefined;
  let fields = childrenOf(der, body);
  if (fields?.[0]?.tag === TAG_VERSION) fields = fields.slice(1);
  // serial, algorithm, issuer, validity, subject
  const subjectField = fields?.[4];
  if (fields === undefined || subjectField === undefined) return undefined;
  const subject = readName(der, subjectField);
  if (subject === undefined) return undefined;
  const names = alternativeNames(der, fields.find((field) => field.tag === TAG_EXTENSIONS));
  if (names === undefined) return undefined;
  for (const name of names) {
    const list = name.tag === TAG_EMAIL ? emails : name.tag === TAG_DNS ? dnsNames : name.tag === TAG_URI ? uris : null;
    list?.push(latin1(der, name));
  }
  return { emails, dnsNames, uris, subject };
}

function alternativeNames(der: Uint8Array, wrapper: Element | undefined): Element[] | undefined {
  if (wrapper === undefined) return [];
  const list = elementAt(der, wrapper.start, wrapper.end);
  const extensions = list === undefined ? undefined : childrenOf(der, list);
  if (extensions === undefined) return undefined;
  for (const extension of extensions) {
    const parts = childrenOf(der, extension);
    const id = parts?.[0];
    const value = parts?.[parts.length - 1];
    if (id === undefined || value === undefined || id.tag !== TAG_OBJECT_ID) return undefined;
    if (objectId(der, id) !== OID_SUBJECT_ALT_NAME) continue;
    if (value.tag !== TAG_OCTET_STRING) return undefined;
    const names = elementAt(der, value.start, value.end);
    return names === undefined ? undefined : childrenOf(der, names);
  }
  return [];
}

function readName(der: Uint8Array, name: Element): RelativeName[] | undefined {
  const relativeNames: RelativeName[] = [];
  const sets = name.tag === TAG_SEQUENCE ? childrenOf(der, name) : undefined;
  if (sets === undefined) return undefined;
  for (const set of sets) {
    const parts = set.tag === TAG_SET ? childrenOf(der, set) : undefined;
    if (parts === undefined) return undefined;
    const relativeName: NamePart[] = [];
    for (const part of parts) {
      const [id, value] = childrenOf(der, part) ?? [];
      if (id?.tag !== TAG_OBJECT_ID || value === undefined) return undefined;
      const type = objectId(der, id);
      relativeName.push({ type: TYPE_NAMES[type] ?? type, value: textOf(der, value) });
    }
    relativeNames.push(relativeName);
  }
  return relativeNames;
}

/** The element that begins at `at` and ends at `limit` at the latest. Lengths of at most three bytes: 16 MB. */
function elementAt(der: Uint8Array, at: number, limit: number): Element | undefined {
  const tag = der[at];
  let size = der[at + 1];
  if (tag === undefined || size === undefined || at + 2 > limit) return undefined;
  let start = at + 2;
  if (size >= 0x80) {
    const count = size & 0x7f;
    if (count === 0 || count > 3 || start + count > limit) return undefined;
    size = 0;
    for (let i = 0; i < count; i++) size = size * 256 + der[start + i]!; // Below the limit.
    start += count;
  }
  return start + size > limit ? undefined : { tag, start, end: start + size };
}

function childrenOf(der: Uint8Array, parent: Element): Element[] | undefined {
  const children: Element[] = [];
  for (let at = parent.start; at < parent.end;) {
    const child = elementAt(der, at, parent.end);
    if (child === undefined) return undefined;
    children.push(child);
    at = child.end;
  }
  return children;
}

function objectId(der: Uint8Array, element: Element): string {
  const numbers: number[] = [];
  let value = 0;
  for (let at = element.start; at < element.end; at++) {
    const byte = der[at]!; // Inside of the element.
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (numbers.length === 0) {
      const first = Math.min(2, Math.floor(value / 40));
      numbers.push(first, value - first * 40);
    } else numbers.push(value);
    value = 0;
  }
  return numbers.join(".");
}

function textOf(der: Uint8Array, element: Element): string {
  if (element.tag === TAG_UTF8_STRING) return new TextDecoder().decode(der.subarray(element.start, element.end));
  if (element.tag !== TAG_BMP_STRING) return latin1(der, element);
  let text = "";
  for (let at = element.start; at + 1 < element.end; at += 2) {
    text += String.fromCharCode((der[at]! << 8) | der[at + 1]!); // Inside of the element.
  }
  return text;
}

function latin1(der: Uint8Array, element: Element): string {
  let text = "";
  for (let at = element.start; at < element.end; at++) text += String.fromCharCode(der[at]!); // Inside of the element.
  return text;
}

/** The subject as RFC 2253 writes it: last part first. */
export function subjectText(subject: readonly RelativeName[]): string {
  const parts = subject.map((name) => name.map((part) => `${part.type}=${escaped(part.value)}`).join("+"));
  return parts.reverse().join(",");
}

function escaped(value: string): string {
  let text = "";
  for (let i = 0; i < value.length; i++) {
    const character = value[i]!; // Below the length.
    const needs = ',+"\\<>;'.includes(character) || (i === 0 && (character === " " || character === "#")) ||
      (i === value.length - 1 && character === " ");
    text += needs ? "\\" + character : character;
  }
  return text;
}

/**
 * A user name as a distinguished name, or undefined when it is none. Understands `\,` and `\2C`, blanks around the signs,
 * and `+` between parts of one relative name.
 */
export function parseDistinguishedName(text: string): RelativeName[] | undefined {
  const names: RelativeName[] = [];
  let name: NamePart[] = [];
  let at = 0;
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  while (true) {
    const equals = text.indexOf("=", at);
    if (equals < 0) return undefined;
    const type = text.slice(at, equals).trim().toUpperCase();
    if (!/^[A-Z][A-Z0-9-]*$|^\d+(\.\d+)*$/.test(type)) return undefined;
    at = equals + 1;
    while (text[at] === " ") at++;
    bytes.length = 0;
    let kept = 0;
    for (; at < text.length && text[at] !== "," && text[at] !== "+"; at++) {
      if (text[at] !== "\\") {
        const character = String.fromCodePoint(text.codePointAt(at)!); // Below the length.
        for (const byte of encoder.encode(character)) bytes.push(byte);
        at += character.length - 1;
        if (character !== " ") kept = bytes.length;
        continue;
      }
      const pair = text.slice(at + 1, at + 3);
      if (/^[0-9A-Fa-f]{2}$/.test(pair)) {
        bytes.push(parseInt(pair, 16));
        at += 2;
      } else {
        const next = text.charCodeAt(at + 1);
        if (!(next < 128)) return undefined;
        bytes.push(next);
        at++;
      }
      kept = bytes.length;
    }
    // Blanks at the end count only when they are escaped.
    name.push({ type, value: new TextDecoder().decode(Uint8Array.from(bytes.slice(0, kept))) });
    if (text[at] !== "+") {
      names.push(name);
      name = [];
    }
    if (at >= text.length) return names;
    at++;
  }
}

/** Equal names, whatever the order of their parts. Values compare exactly, types in any case. */
export function isSameName(a: readonly RelativeName[], b: readonly RelativeName[]): boolean {
  return a.length === b.length && sortedText(a) === sortedText(b);
}

function sortedText(name: readonly RelativeName[]): string {
  return JSON.stringify(
    name.map((parts) => JSON.stringify(parts.map((part) => [TYPE_NAMES[part.type] ?? part.type, part.value]).sort()))
      .sort(),
  );
}
