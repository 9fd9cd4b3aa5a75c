/**
 * The words of the configuration language (operations.md 2.2): blanks, comments, keys, and values that are one word or
 * one quoted text. It holds a position in one text and moves it forward only; what the words mean together is the
 * parser's part. Deviations from what one would expect of such a language are the reference's, and files in the field
 * rely on them.
 */
import { ConfigError } from "./errors.ts";
import type { Place } from "./values.ts";

/** A value of one word as it is written; the parser turns it into a value. */
export interface Scalar {
  readonly kind: "string" | "boolean" | "integer" | "float" | "date" | "variable";
  readonly text: string;
}

/** A key, or the directive that stands where a key could. */
export interface Key {
  readonly text: string;
  readonly at: Place;
  readonly isInclude: boolean;
}

const NEWLINE = 0x0a;
const BOOLEAN_WORD = /^(?:true|false|on|off|yes|no)$/i;
const SPACE = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Ends a bare word. The apostrophe does so too, but is consumed with it. */
function endsWord(char: string): boolean {
  return char === "" || char === "\n" || char === "\r" || char === " " || char === "\t" || char === "," ||
    char === ";" || char === "]" || char === "}";
}

/** Ends a number. The bracket of a list does not: `[1,2,3]` is an error of the reference, `[1, 2, 3 ]` is not. */
function endsNumber(char: string): boolean {
  return endsWord(char) && char !== "]";
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9" && char.length === 1;
}

function isKeySeparator(char: string): boolean {
  return char === "=" || char === ":";
}

/** Bytes of one UTF-16 unit in UTF-8. The second half of a pair is counted with the first. */
function utf8Length(unit: number): number {
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (unit >= 0xd800 && unit < 0xdc00) return 4;
  return unit >= 0xdc00 && unit < 0xe000 ? 0 : 3;
}

/** Reader of one text. */
export class Lexer {
  readonly file: string;
  readonly text: string;
  pos = 0;

  /** The last place computed: places are asked in ascending order, so that the whole costs one pass. */
  #placeOffset = 0;
  #placeLine = 1;
  #placeColumn = 0;

  constructor(file: string, text: string) {
    this.file = file;
    // Editors put a byte order mark in front; it would become a part of the first key.
    this.text = text.startsWith("\ufeff") ? text.slice(1) : text;
    // The reference takes a zero character for the end of the file in most places. Half a file must not be used.
    const zero = this.text.indexOf("\0");
    if (zero >= 0) this.fail("Unexpected EOF.", zero);
  }

  get atEnd(): boolean {
    return this.pos >= this.text.length;
  }

  /** The character at the position; empty at the end. */
  peek(): string {
    return this.text.charAt(this.pos);
  }

  /** Line and position of an offset. */
  placeOf(offset: number): Place {
    if (offset < this.#placeOffset) {
      this.#placeOffset = 0;
      this.#placeLine = 1;
      this.#placeColumn = 0;
    }
    for (; this.#placeOffset < offset; this.#placeOffset++) {
      const unit = this.text.charCodeAt(this.#placeOffset);
      if (unit === NEWLINE) {
        this.#placeLine++;
        this.#placeColumn = 1;
      } else {
        this.#placeColumn += utf8Length(unit);
      }
    }
    return { file: this.file, line: this.#placeLine, column: this.#placeColumn };
  }

  /** Refuses the text. The line is the one the reference names: that behind the last character it has read. */
  fail(reason: string, offset = this.pos): never {
    const at = this.placeOf(Math.min(offset, this.text.length));
    throw new ConfigError("CONFIG_SYNTAX", `Parse error on line ${at.line}: '${reason}'`, at);
  }

  /** Refuses the character at the position. `%` in the text stands for it. */
  failAtChar(reason: string): never {
    const code = this.text.codePointAt(this.pos);
    const char = code === undefined ? "EOF" : code === NEWLINE ? "\\n" : String.fromCodePoint(code);
    this.fail(reason.replace("%", () => char), this.pos + 1);
  }

  /** Skips blanks and line ends. */
  skipSpace(): void {
    while (!this.atEnd && SPACE.test(this.peek())) this.pos++;
  }

  /** Skips blanks that do not end a line. */
  skipBlanks(): void {
    for (let char = this.peek(); char === " " || char === "\t"; char = this.peek()) this.pos++;
  }

  /** Skips a comment up to, not including, the end of its line. False when none begins here. */
  skipComment(): boolean {
    const char = this.peek();
    if (char !== "#" && !(char === "/" && this.text.charAt(this.pos + 1) === "/")) return false;
    for (let next = this.peek(); next !== "" && next !== "\n" && next !== "\r"; next = this.peek()) this.pos++;
    return true;
  }

  /** Skips one `=` or `:`. */
  skipKeySeparator(): boolean {
    if (!isKeySeparator(this.peek())) return false;
    this.pos++;
    return true;
  }

  /** Reads a key. `inMap` only chooses between the texts of the reference. */
  readKey(inMap: boolean): Key {
    const first = this.peek();
    if (isKeySeparator(first)) this.fail(`Unexpected key separator '${first}'${inMap ? "." : ""}`);
    if (first === '"' || first === "'") {
      this.pos++;
      const begin = this.pos;
      const end = this.text.indexOf(first, begin);
      if (end < 0) {
        const quotes = first === '"' ? "double quoted" : "quoted";
        this.fail(inMap ? `Unexpected EOF processing ${quotes} map key.` : "Unexpected EOF.", this.text.length);
      }
      this.pos = end + 1;
      return { text: this.text.slice(begin, end), at: this.placeOf(begin), isInclude: false };
    }
    const begin = this.pos;
    // The first character belongs to the key whatever it is: a stray closing brace becomes a key of its own.
    this.pos++;
    while (!this.atEnd && !isKeySeparator(this.peek()) && !SPACE.test(this.peek())) this.pos++;
    if (this.atEnd && inMap) this.fail("Unexpected EOF processing map.");
    const text = this.text.slice(begin, this.pos);
    const isInclude = !this.atEnd && !isKeySeparator(this.peek()) && text.toLowerCase() === "include";
    return { text, at: this.placeOf(begin), isInclude };
  }

  /** Reads the path behind `include`. */
  readIncludePath(): string {
    this.skipBlanks();
    const first = this.peek();
    const refused = ({
      "[": "start of an array",
      "{": "start of a map",
      "(": "start of a block",
      "-": "start of a number",
      "\\": "escape sequence",
      "\n": "new line",
      "\r": "new line",
    } as Record<string, string | undefined>)[first];
    if (refused !== undefined) this.fail(`Expected include value but found ${refused}`, this.pos + 1);
    if (isDigit(first)) this.fail("Expected include value but found start of a number", this.pos + 1);
    if (first === "'" || first === '"') {
      const begin = this.pos + 1;
      const end = this.text.indexOf(first, begin);
      if (end < 0) this.fail("Unexpected EOF in quoted include", this.text.length);
      this.pos = end + 1;
      return this.text.slice(begin, end);
    }
    const begin = this.pos;
    for (;; this.pos++) {
      const char = this.peek();
      if (char === "'") return this.text.slice(begin, this.pos++);
      if (endsWord(char) && char !== "," && char !== "]") return this.text.slice(begin, this.pos);
    }
  }

  /** Reads a value that is neither a map nor a list. */
  readScalar(): Scalar {
    const first = this.peek();
    switch (first) {
      case "'":
        return this.#literal();
      case '"':
        this.pos++;
        return { kind: "string", text: this.#escaped('"') };
      case "(":
        return this.#block();
      case "-":
        return this.#negativeNumber();
      case ".":
        this.fail("Floats must start with a digit", this.pos + 1);
        break;
      case "\n":
      case "\r":
        this.fail("Expected value but found new line", this.pos + 1);
    }
    return isDigit(first) ? this.#number() : this.#word(this.pos);
  }

  #literal(): Scalar {
    const begin = this.pos + 1;
    const end = this.text.indexOf("'", begin);
    if (end < 0) this.fail("Unexpected EOF.", this.text.length);
    this.pos = end + 1;
    return { kind: "string", text: this.text.slice(begin, end) };
  }

  /** Text up to a `)` alone on its line, with the line ends beside the parentheses. */
  #block(): Scalar {
    const begin = this.pos + 1;
    for (let end = this.text.indexOf("\n)", begin); end >= 0; end = this.text.indexOf("\n)", end + 1)) {
      const after = this.text.charAt(end + 2);
      if (after !== "" && after !== "\n") continue;
      this.pos = end + 2;
      return { kind: "string", text: this.text.slice(begin, end + 1) };
    }
    return this.fail("Unexpected EOF processing block.", this.text.length);
  }

  /** A bare word; characters from `begin` to the position belong to it already. */
  #word(begin: number): Scalar {
    for (;; this.pos++) {
      const char = this.peek();
      if (char === "\\") return { kind: "string", text: this.text.slice(begin, this.pos) + this.#escaped("") };
      if (char === "'") return { kind: "string", text: this.text.slice(begin, this.pos++) };
      if (!endsWord(char)) continue;
      const text = this.text.slice(begin, this.pos);
      if (BOOLEAN_WORD.test(text)) return { kind: "boolean", text };
      if (text.startsWith("$")) return { kind: "variable", text: text.slice(1) };
      return { kind: "string", text };
    }
  }

  /** Text with escapes, up to `quote` or, when that is empty, to the end of a bare word. */
  #escaped(quote: string): string {
    let out = "";
    let begin = this.pos;
    // `\xHH` gives a byte; bytes that follow each other may be one character.
    const bytes: number[] = [];
    const take = (end: number) => {
      if (end > begin && bytes.length > 0) out += new TextDecoder().decode(new Uint8Array(bytes.splice(0)));
      out += this.text.slice(begin, end);
    };
    for (;;) {
      const char = this.peek();
      if (quote === "" ? endsWord(char) || char === "'" : char === quote || char === "") break;
      if (char !== "\\") {
        this.pos++;
        continue;
      }
      take(this.pos);
      this.pos++;
      const value = this.#escape();
      if (typeof value === "number") {
        bytes.push(value);
      } else {
        if (bytes.length > 0) out += new TextDecoder().decode(new Uint8Array(bytes.splice(0)));
        out += value;
      }
      begin = this.pos;
    }
    if (quote !== "" && this.atEnd) this.fail("Unexpected EOF.");
    take(this.pos);
    if (bytes.length > 0) out += new TextDecoder().decode(new Uint8Array(bytes));
    if (this.peek() === "'" || quote !== "") this.pos++;
    return out;
  }

  /** What stands behind a backslash: a byte, or text. */
  #escape(): number | string {
    switch (this.peek()) {
      case "x": {
        const digits = this.text.slice(this.pos + 1, this.pos + 3);
        if (/[\r\n]/.test(digits)) {
          this.fail("Expected two hexadecimal digits after '\\x', but hit end of line", this.pos + 2);
        }
        if (!/^[0-9a-fA-F]{2}$/.test(digits)) {
          this.fail(`Expected two hexadecimal digits after '\\x', but got '${digits}'`, this.pos + 3);
        }
        this.pos += 3;
        return parseInt(digits, 16);
      }
      case "t":
        this.pos++;
        return "\t";
      case "n":
        this.pos++;
        return "\n";
      case "r":
        this.pos++;
        return "\r";
      case '"':
        this.pos++;
        return '"';
      case "\\":
        this.pos++;
        return "\\";
      default:
        return this.failAtChar(
          "Invalid escape character '%'. Only the following escape characters are allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
        );
    }
  }

  #digits(): void {
    while (isDigit(this.peek())) this.pos++;
  }

  /** Integer, float, date, address, or a word that merely begins with a digit. */
  #number(): Scalar {
    const begin = this.pos;
    this.#digits();
    const char = this.peek();
    if (char === "-") {
      if (this.pos - begin !== 4) this.fail("All ISO8601 dates must be in full Zulu form.", this.pos + 1);
      return this.#date(begin);
    }
    if (char === ".") return this.#float(begin);
    if (/[kmgtpe]/i.test(char)) return this.#suffixed(begin);
    if (endsNumber(char)) return { kind: "integer", text: this.text.slice(begin, this.pos) };
    // The character belongs to the word, whatever it is; that is how a bracket behind a digit is swallowed.
    this.pos++;
    return this.#word(begin);
  }

  #negativeNumber(): Scalar {
    const begin = this.pos;
    this.pos++;
    if (this.peek() === ".") this.fail("Floats must start with a digit, not '.'.", this.pos + 1);
    if (!isDigit(this.peek())) this.failAtChar("Expected a digit but got '%'.");
    this.#digits();
    if (this.peek() === ".") return this.#float(begin);
    if (/[kmgtpe]/i.test(this.peek())) return this.#suffixed(begin);
    return { kind: "integer", text: this.text.slice(begin, this.pos) };
  }

  /** A number with a unit, or a word that only begins like one: `5m` is a number, `5ms` is not. */
  #suffixed(begin: number): Scalar {
    this.pos++;
    while (/[bi]/i.test(this.peek())) this.pos++;
    const char = this.peek();
    if (endsNumber(char) || isDigit(char)) return { kind: "integer", text: this.text.slice(begin, this.pos) };
    return this.#word(begin);
  }

  #float(begin: number): Scalar {
    this.pos++;
    if (!isDigit(this.peek())) this.failAtChar("Floats must have a digit after the '.', but got '%' instead.");
    this.#digits();
    if (this.peek() !== ".") return { kind: "float", text: this.text.slice(begin, this.pos) };
    // A second point: an address, perhaps with a port.
    while (/[0-9.:-]/.test(this.peek())) this.pos++;
    return { kind: "string", text: this.text.slice(begin, this.pos) };
  }

  /** The position is at the dash behind the year. */
  #date(begin: number): Scalar {
    this.pos++;
    for (const expected of "00-00T00:00:00Z") {
      if (expected === "0" && !isDigit(this.peek())) {
        this.failAtChar("Expected digit in ISO8601 datetime, but found '%' instead.");
      }
      if (expected !== "0" && this.peek() !== expected) {
        this.failAtChar(`Expected '${expected}' in ISO8601 datetime, but found '%' instead.`);
      }
      this.pos++;
    }
    return { kind: "date", text: this.text.slice(begin, this.pos) };
  }
}
