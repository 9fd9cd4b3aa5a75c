/** A recorder of what the parser hands out, and a plain parser to hold it against. */
import assert from "node:assert/strict";
import { byteString } from "../../../src/base/bytes.ts";
import {
  type ExpectedSubject,
  type NatsOperations,
  NatsParser,
  PARSE_CONTROL_LINE,
  PARSE_MAX_PAYLOAD,
  PARSE_SILENT,
  PARSE_UNKNOWN_OPERATION,
  type ParseFailure,
  type ParserLimits,
} from "../../../src/wire/nats_parser.ts";

export const LIMITS: ParserLimits = { maxControlLine: 4096, maxPayload: 1_048_576 };

/** One operation as text. */
function publishText(subject: string, reply: string, headerSize: string, size: string, payload: string): string {
  return `PUB <${subject}> <${reply}> <${headerSize}> <${size}> <${payload}>`;
}

/** What is expected as the subject of the message of that number, whatever it will be; null: nothing is. */
export type Foresight = (index: number) => string | null;

class ExpectedText implements ExpectedSubject {
  constructor(readonly text: string) {}

  get length(): number {
    return this.text.length;
  }

  is(bytes: Uint8Array, start: number, end: number, view: DataView | null): boolean {
    assert.ok(start >= 0 && end <= bytes.length, "a range outside of the bytes");
    for (let i = start; view !== null && i < end; i++) {
      assert.equal(view.getUint8(i), bytes[i], "a view of other bytes");
    }
    return byteString(bytes, start, end) === this.text;
  }
}

/**
 * Foresight of the messages in `calls` (as {@link parsePlainly} gives them): the right subject, another one, one that the right
 * one begins with, one that begins with the right one, or none, as `pick` says.
 */
export function foresightOf(calls: readonly string[], pick: (index: number) => number): Foresight {
  const subjects = calls.map((call) => /^PUB <([^ ]*)> </.exec(call)?.[1]).filter((subject) => subject !== undefined);
  return (index) => {
    const right = subjects[index] ?? "behind.the.end";
    return [right, null, "another", right.slice(0, -1), `${right}.longer`, subjects[index - 1] ?? "first", right][
      pick(index) % 7
    ]!; // Below seven.
  };
}

/** Writes down every operation and checks what the parser promises about its fields. */
export class OperationRecorder implements NatsOperations {
  readonly calls: string[] = [];
  /** Messages by the paths they took. */
  sameLineCount = 0;
  sameReplyCount = 0;
  canonicalCount = 0;
  expectedCount = 0;
  readonly #foresight: Foresight | null;
  #publishCount = 0;
  #lastLine = "";
  #lastReply: string | null = null;
  #failed = false;

  constructor(foresight: Foresight | null = null) {
    this.#foresight = foresight;
  }

  /** Tells `parser` what to expect next; at the beginning for the test to call. */
  expectNext(parser: NatsParser): void {
    if (this.#foresight === null) return;
    const text = this.#foresight(this.#publishCount);
    parser.expected = text === null ? null : new ExpectedText(text);
  }

  #checkExpected(parser: NatsParser, subject: string): void {
    const { expected } = parser;
    const isExpected = parser.canonical && !parser.sameLine && expected instanceof ExpectedText &&
      expected.text === subject;
    assert.equal(parser.isExpected, isExpected, `${subject} is expected`);
    if (isExpected) this.expectedCount++;
    this.#publishCount++;
    this.expectNext(parser);
  }

  #add(call: string): void {
    if (this.#failed) throw new Error(`an operation after the failure: ${call}`);
    this.calls.push(call);
  }

  publish(parser: NatsParser): void {
    const { buffer } = parser;
    const text = (start: number, end: number) => byteString(buffer, start, end);
    const subject = text(parser.subjectStart, parser.subjectEnd);
    const reply = text(parser.replyStart, parser.replyEnd);
    const size = text(parser.sizeStart, parser.sizeEnd);
    const payload = text(parser.payloadStart, parser.payloadEnd);
    const headerSize = parser.headerSize < 0 ? "" : text(parser.headerSizeStart, parser.headerSizeEnd);
    if (parser.headerSize >= 0 && Number(headerSize) !== parser.headerSize) throw new Error("header size");
    if (Number(size) !== parser.payloadEnd - parser.payloadStart) throw new Error("payload size");
    if (text(parser.payloadEnd, parser.payloadEnd + 2) !== "\r\n") throw new Error("payload end");
    if (parser.canonical) {
      this.canonicalCount++;
      const tail = `${reply === "" ? "" : reply + " "}${size}\r\n${payload}\r\n`;
      if (text(parser.tailStart, parser.payloadEnd + 2) !== tail) throw new Error("the tail is not as MSG needs it");
    }
    const line = `${subject} ${reply} ${headerSize} ${size}`;
    if (parser.sameLine) {
      this.sameLineCount++;
      if (!parser.canonical) throw new Error("same line, but not canonical");
      if (line !== this.#lastLine) throw new Error(`not the same line: ${line}, but ${this.#lastLine}`);
    }
    if (parser.sameReply) {
      this.sameReplyCount++;
      if (reply !== this.#lastReply) throw new Error(`not the same reply: ${reply}, but ${this.#lastReply}`);
    } else if (parser.sameLine) throw new Error("same line, but not the same reply");
    this.#lastLine = line;
    this.#lastReply = reply;
    this.#checkExpected(parser, subject);
    this.#add(publishText(subject, reply, headerSize, size, payload));
  }
  connect(buffer: Uint8Array, start: number, end: number): void {
    this.#add(`CONNECT <${byteString(buffer, start, end)}>`);
  }
  subscribe(
    buffer: Uint8Array,
    subjectStart: number,
    subjectEnd: number,
    queueStart: number,
    queueEnd: number,
    sidStart: number,
    sidEnd: number,
  ): void {
    const text = (start: number, end: number) => byteString(buffer, start, end);
    this.#add(`SUB <${text(subjectStart, subjectEnd)}> <${text(queueStart, queueEnd)}> <${text(sidStart, sidEnd)}>`);
  }
  unsubscribe(buffer: Uint8Array, sidStart: number, sidEnd: number, max: number): void {
    this.#add(`UNSUB <${byteString(buffer, sidStart, sidEnd)}> ${max}`);
  }
  ping(): void {
    this.#add("PING");
  }
  pong(): void {
    this.#add("PONG");
  }
  info(buffer: Uint8Array, start: number, end: number): void {
    this.#add(`INFO <${byteString(buffer, start, end)}>`);
  }
  failed(failure: ParseFailure): void {
    this.#add(`FAILED ${failure}`);
    this.#failed = true;
  }
}

/** Feeds copies of the pieces, poisoned afterwards: what the parser still needs it must have copied. */
export function parsePieces(
  pieces: readonly Uint8Array[],
  limits: ParserLimits = LIMITS,
  headersAllowed = true,
  foresight: Foresight | null = null,
): { recorder: OperationRecorder; parser: NatsParser } {
  const recorder = new OperationRecorder(foresight);
  const parser = new NatsParser(recorder, limits);
  parser.headersAllowed = headersAllowed;
  recorder.expectNext(parser);
  for (const piece of pieces) {
    const copy = piece.slice();
    parser.feed(copy);
    copy.fill(0x5a);
  }
  return { recorder, parser };
}

const NAMES = ["PING", "PONG", "+OK", "CONNECT", "INFO", "PUB ", "HPUB ", "SUB ", "UNSUB ", "-ERR "];
const SIZE = /^[0-9]{1,9}$/;

function upper(text: string): string {
  return text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
}

/** The lexical rules of nats-server.md 3.1, said as plainly as possible: everything is there, one item after the other. */
export function parsePlainly(input: string, limits: ParserLimits = LIMITS, headersAllowed = true): string[] {
  const calls: string[] = [];
  const failed = (failure: ParseFailure) => [...calls, `FAILED ${failure}`];
  let rest = input;
  while (rest !== "") {
    const lineFeed = rest.indexOf("\n");
    const isWhole = lineFeed >= 0;
    const raw = isWhole ? rest.slice(0, lineFeed) : rest;
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    const ignoring = /^(PING|PONG|\+OK)/.exec(upper(line));
    if (ignoring !== null) {
      if (!isWhole) return calls;
      if (ignoring[1] !== "+OK") calls.push(ignoring[1]!); // The pattern has one group.
      rest = rest.slice(lineFeed + 1);
      continue;
    }
    const named = /^(?:(CONNECT|INFO)|(PUB|HPUB|SUB|UNSUB|-ERR)[ \t])/.exec(upper(line));
    if (named === null) {
      const beginning = upper(raw);
      if (!isWhole && NAMES.some((name) => name.startsWith(beginning))) return calls;
      return failed(PARSE_UNKNOWN_OPERATION);
    }
    const name = named[1] ?? named[2]!; // One of both groups took part.
    const text = line.slice(name.length).replace(/^[ \t]+/, "");
    if (text.length > limits.maxControlLine) return failed(PARSE_CONTROL_LINE);
    if (!isWhole) return calls;
    if (text.includes("\r")) return failed(PARSE_UNKNOWN_OPERATION);
    rest = rest.slice(lineFeed + 1);
    const argument = text.replace(/[ \t]+$/, "");
    const tokens = argument === "" ? [] : argument.split(/[ \t]+/);
    const count = tokens.length;
    switch (name) {
      case "CONNECT":
      case "INFO":
        calls.push(`${name} <${argument}>`);
        continue;
      case "-ERR":
        return failed(PARSE_SILENT);
      case "SUB":
        if (count !== 2 && count !== 3) return failed(PARSE_SILENT);
        calls.push(`SUB <${tokens[0]}> <${count === 3 ? tokens[1] : ""}> <${tokens[count - 1]}>`);
        continue;
      case "UNSUB":
        if (count !== 1 && count !== 2) return failed(PARSE_SILENT);
        calls.push(`UNSUB <${tokens[0]}> ${count === 2 && SIZE.test(tokens[1]!) ? Number(tokens[1]) : 0}`);
        continue;
    }
    const extra = name === "HPUB" ? 1 : 0;
    if (extra === 1 && !headersAllowed) return failed(PARSE_SILENT);
    if (count !== 2 + extra && count !== 3 + extra) return failed(PARSE_SILENT);
    const sizeText = tokens[count - 1]!; // There are two at least.
    const headerText = extra === 1 ? tokens[count - 2]! : "";
    if (!SIZE.test(sizeText) || (extra === 1 && !SIZE.test(headerText))) return failed(PARSE_SILENT);
    const size = Number(sizeText);
    if (Number(headerText) > size) return failed(PARSE_SILENT);
    if (size > limits.maxPayload) return failed(PARSE_MAX_PAYLOAD);
    const end = rest.slice(size, size + 2);
    if (end === "" || end === "\r") return calls;
    if (end !== "\r\n") return failed(PARSE_UNKNOWN_OPERATION);
    const reply = count === 3 + extra ? tokens[1]! : "";
    calls.push(publishText(tokens[0]!, reply, headerText, sizeText, rest.slice(0, size)));
    rest = rest.slice(size + 2);
  }
  return calls;
}
