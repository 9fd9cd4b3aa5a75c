/**
 * The grammar of the configuration language (operations.md 2.2): from a text to a tree of values, with variables and
 * included files resolved. Pure: files and environment come through callbacks. Everything is bounded, so that a file
 * of unknown origin costs a bounded time and memory, and fails with a `ConfigError` only.
 */
import { isInt64 } from "../../base/size.ts";
import { ConfigError, type ConfigErrorCode } from "./errors.ts";
import { type Key, Lexer, type Scalar } from "./lexer.ts";
import { includedPath } from "./paths.ts";
import {
  type ConfigEntry,
  type ConfigList,
  type ConfigMap,
  type ConfigValue,
  type Place,
  valueAt,
  valueSize,
} from "./values.ts";

/** Text of a file, or the reason why there is none, in the system's words: `no such file or directory`. */
export type FileText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: string };

/** What a configuration may ask of the outside. */
export interface ConfigSources {
  readFile(path: string): FileText;
  env(name: string): string | undefined;
}

/** A parsed file. */
export interface ConfigTree {
  readonly root: ConfigMap;
  /** What the reference loses without a word, one `FILE:LINE:POS: reason` each. */
  readonly warnings: readonly string[];
}

/** Maps and lists inside each other. */
export const DEPTH_MAX = 100;
/** Files inside each other. */
export const INCLUDE_DEPTH_MAX = 20;
/** UTF-16 units of all files and variables together. */
export const TEXT_LENGTH_MAX = 16 * 1024 * 1024;
/** Included files and parsed variables together. */
export const PART_COUNT_MAX = 1000;
/** Values after all variables are put in: a few lines of lists of variables could stand for billions. */
export const VALUE_COUNT_MAX = 1_000_000;

/** A hash that need not be quoted (operations.md 2.2 rule 8). */
const BCRYPT_PREFIX = "2a$";

const UNIT_LETTERS = "kmgtpe";

/** Reads and parses a file. */
export function parseConfigFile(file: string, sources: ConfigSources): ConfigTree {
  const found = sources.readFile(file);
  if (!found.ok) throw new ConfigError("CONFIG_UNREADABLE", `open ${file}: ${found.reason}`, undefined);
  return parseConfigText(file, found.text, sources);
}

/** Parses a text. `file` names it in messages, and its directory is where included files are looked for. */
export function parseConfigText(file: string, text: string, sources: ConfigSources): ConfigTree {
  const work: Work = { sources, files: [file], variables: [], textLength: 0, partCount: 0, warnings: [] };
  countText(work, text, undefined);
  const root = new Parser(new Lexer(file, text), work).parse();
  return { root, warnings: work.warnings };
}

/** State of one run, shared by the parsers of all its files. */
interface Work {
  readonly sources: ConfigSources;
  /** Files being read, outermost first. */
  readonly files: string[];
  /** Variables of the environment being parsed. */
  readonly variables: string[];
  textLength: number;
  partCount: number;
  readonly warnings: string[];
}

function countText(work: Work, text: string, at: Place | undefined): void {
  work.textLength += text.length;
  if (work.textLength > TEXT_LENGTH_MAX) {
    throw new ConfigError("CONFIG_TOO_LARGE", `the configuration is longer than ${TEXT_LENGTH_MAX} characters`, at);
  }
}

function countPart(work: Work, at: Place): void {
  if (++work.partCount > PART_COUNT_MAX) {
    const reason = `more than ${PART_COUNT_MAX} included files and variables of the environment`;
    throw new ConfigError("CONFIG_TOO_LARGE", reason, at);
  }
}

/** A map while it is being read. */
interface Scope {
  readonly entries: Map<string, ConfigEntry>;
}

/** Parser of one text. */
class Parser {
  readonly #lexer: Lexer;
  readonly #work: Work;
  /** Maps being read, outermost first: variables are looked up in them from the innermost on. */
  readonly #scopes: Scope[] = [];
  #depth = 0;

  constructor(lexer: Lexer, work: Work) {
    this.#lexer = lexer;
    this.#work = work;
  }

  /** The top level: pairs until the end of the text. An opening brace is skipped, so that JSON is a valid file. */
  parse(): ConfigMap {
    const lexer = this.#lexer;
    const at = lexer.placeOf(0);
    const scope: Scope = { entries: new Map() };
    this.#scopes.push(scope);
    for (;;) {
      lexer.skipSpace();
      if (lexer.atEnd) break;
      if (lexer.peek() === "{") lexer.pos++;
      else if (!lexer.skipComment()) this.#topPair(scope);
    }
    return this.#finishMap(scope, at);
  }

  #topPair(scope: Scope): void {
    const lexer = this.#lexer;
    // The reference's text for a single slash.
    if (lexer.peek() === "/") lexer.fail("Unexpected EOF.", lexer.pos + 1);
    const key = lexer.readKey(false);
    if (key.isInclude) {
      this.#include(scope, key);
    } else {
      lexer.skipSpace();
      if (!lexer.skipKeySeparator() && lexer.atEnd) {
        // Closing braces too many are tolerated at the end.
        if (/^\}+$/.test(key.text)) return;
        const at = lexer.placeOf(lexer.text.length);
        const reason = `config is invalid (${at.file}:${at.line}:${at.column})`;
        throw new ConfigError("CONFIG_SYNTAX", reason, at);
      }
      lexer.skipBlanks();
      const value = this.#value(key.at);
      const isStrayBrace = /^\}+$/.test(key.text) && value?.kind === "string" && value.value === "";
      if (!isStrayBrace) this.#set(scope, key, value);
    }
    this.#topPairEnd();
  }

  #topPairEnd(): void {
    const lexer = this.#lexer;
    for (;;) {
      const char = lexer.peek();
      if (char === "" || lexer.skipComment()) return;
      switch (char) {
        case "\n":
        case "\r":
        case ";":
        case ",":
        case "}":
          lexer.pos++;
          return;
        case " ":
        case "\t":
        case "/":
          lexer.pos++;
          break;
        default:
          lexer.failAtChar("Expected a top-level value to end with a new line, comment or EOF, but got '%' instead.");
      }
    }
  }

  /** A value at the position; undefined for one that the reference loses. */
  #value(at: Place): ConfigValue | undefined {
    switch (this.#lexer.peek()) {
      case "{":
        return this.#nested(() => this.#map(at));
      case "[":
        return this.#nested(() => this.#list(at));
      default:
        return this.#scalar(this.#lexer.readScalar(), at);
    }
  }

  #nested(read: () => ConfigValue): ConfigValue {
    if (++this.#depth > DEPTH_MAX) {
      const at = this.#lexer.placeOf(this.#lexer.pos);
      throw new ConfigError("CONFIG_TOO_LARGE", `maps and lists are nested deeper than ${DEPTH_MAX}`, at);
    }
    const value = read();
    this.#depth--;
    return value;
  }

  #list(at: Place): ConfigList {
    const lexer = this.#lexer;
    const items: ConfigValue[] = [];
    let size = 1;
    lexer.pos++;
    for (;;) {
      lexer.skipSpace();
      if (lexer.skipComment()) continue;
      const char = lexer.peek();
      if (char === "]") break;
      if (char === "," || char === "/") lexer.fail("Unexpected array value terminator ','.", lexer.pos + 1);
      const item = this.#value(lexer.placeOf(lexer.pos));
      if (item !== undefined) {
        items.push(item);
        size += valueSize(item);
      }
      if (this.#listItemEnd()) break;
    }
    lexer.pos++;
    this.#checkSize(size, at);
    return { kind: "list", items, at, size };
  }

  /** True when the list ends too. */
  #listItemEnd(): boolean {
    const lexer = this.#lexer;
    for (;;) {
      lexer.skipBlanks();
      if (lexer.skipComment()) continue;
      switch (lexer.peek()) {
        case "]":
          return true;
        case ",":
        case "/":
        case "\n":
        case "\r":
          lexer.pos++;
          return false;
        default:
          lexer.failAtChar('Expected an array value terminator "," or an array terminator "]", but got \'%\' instead.');
      }
    }
  }

  #map(at: Place): ConfigMap {
    const lexer = this.#lexer;
    const scope: Scope = { entries: new Map() };
    this.#scopes.push(scope);
    lexer.pos++;
    for (;;) {
      lexer.skipSpace();
      if (lexer.skipComment()) continue;
      let char = lexer.peek();
      if (char === "/") {
        lexer.pos++;
        char = lexer.peek();
      }
      if (char === "") lexer.fail("Unexpected EOF processing map.");
      if (char === "]") lexer.fail("Unexpected array end ']' processing map.");
      if (char === "}") break;
      this.#mapPair(scope);
      if (this.#mapPairEnd()) break;
    }
    lexer.pos++;
    this.#scopes.pop();
    return this.#finishMap(scope, at);
  }

  #mapPair(scope: Scope): void {
    const lexer = this.#lexer;
    const key = lexer.readKey(true);
    if (key.isInclude) return this.#include(scope, key);
    lexer.skipSpace();
    lexer.skipKeySeparator();
    lexer.skipSpace();
    const char = lexer.peek();
    if (char === ",") lexer.fail('Unexpected map value terminator ",".', lexer.pos + 1);
    // The reference ends the map here and stores it under the key without a value, instead of under its own.
    if (char === "}") lexer.fail(`Expected a value for key "${key.text}", but got '}' instead.`, lexer.pos + 1);
    this.#set(scope, key, this.#value(key.at));
  }

  /** True when the map ends too. */
  #mapPairEnd(): boolean {
    const lexer = this.#lexer;
    for (;;) {
      lexer.skipBlanks();
      if (lexer.skipComment()) continue;
      switch (lexer.peek()) {
        case "}":
          return true;
        case ";":
        case ",":
        case "/":
        case "\n":
        case "\r":
          lexer.pos++;
          return false;
        default:
          lexer.failAtChar('Expected a map value terminator "," or a map terminator "}", but got \'%\' instead.');
      }
    }
  }

  #finishMap(scope: Scope, at: Place): ConfigMap {
    let size = 1;
    for (const entry of scope.entries.values()) size += valueSize(entry.value);
    this.#checkSize(size, at);
    return { kind: "map", entries: scope.entries, at, size };
  }

  #checkSize(size: number, at: Place): void {
    if (size <= VALUE_COUNT_MAX) return;
    throw new ConfigError("CONFIG_TOO_LARGE", `the configuration has more than ${VALUE_COUNT_MAX} values`, at);
  }

  /** Of a key that occurs twice the later one counts, and stands where the later one stands. */
  #set(scope: Scope, key: Key, value: ConfigValue | undefined): void {
    if (value === undefined) return;
    scope.entries.delete(key.text);
    scope.entries.set(key.text, { key: key.text, value, isVariable: false });
  }

  #include(scope: Scope, key: Key): void {
    const written = this.#lexer.readIncludePath();
    const path = includedPath(this.#lexer.file, written);
    const fail = (reason: string, code: ConfigErrorCode = "CONFIG_INCLUDE"): never => {
      throw new ConfigError(code, `error parsing include file '${written}', ${reason}`, key.at);
    };
    const { files, sources } = this.#work;
    if (files.includes(path)) fail(`${path} includes itself`);
    if (files.length > INCLUDE_DEPTH_MAX) fail(`files are nested deeper than ${INCLUDE_DEPTH_MAX}`);
    countPart(this.#work, key.at);
    const found = sources.readFile(path);
    if (!found.ok) return fail(`open ${path}: ${found.reason}`);
    countText(this.#work, found.text, key.at);

    files.push(path);
    let included: ConfigMap;
    try {
      // A parser of its own: the file sees its own keys and the environment only.
      included = new Parser(new Lexer(path, found.text), this.#work).parse();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return fail(error.message, error.code);
    } finally {
      files.pop();
    }
    for (const entry of included.entries.values()) {
      scope.entries.delete(entry.key);
      scope.entries.set(entry.key, entry);
    }
  }

  #scalar(scalar: Scalar, at: Place): ConfigValue | undefined {
    const { kind, text } = scalar;
    switch (kind) {
      case "string":
        return { kind, value: text, at };
      case "boolean":
        return { kind, value: /^(?:true|yes|on)$/i.test(text), at };
      case "integer":
        return this.#integer(text, at);
      case "float":
        return { kind, value: Number(text), at };
      case "date": {
        const unixMs = Date.parse(text);
        // The engine takes the thirtieth of February for the first or second of March.
        if (!Number.isNaN(unixMs) && new Date(unixMs).toISOString().slice(0, 19) === text.slice(0, 19)) {
          return { kind, unixMs, at };
        }
        throw new ConfigError("CONFIG_SYNTAX", `expected Zulu formatted DateTime, but got '${text}'`, at);
      }
      case "variable":
        return this.#variable(text, at);
    }
  }

  #integer(text: string, at: Place): ConfigValue | undefined {
    const [, digits = "", unit = ""] = /^(-?[0-9]+)(.*)$/.exec(text) ?? [];
    const factor = unitFactor(unit.toLowerCase());
    if (factor === undefined) {
      this.#work.warnings.push(
        `${at.file}:${at.line}:${at.column}: value '${text}' has an unknown unit and is ignored; use k, kb, m, mb, ...`,
      );
      return undefined;
    }
    // 2^63 has 19 digits; refusing here keeps the conversion small whatever the text. The reference lets the product
    // with the unit wrap around; a limit nobody wrote must not come into force.
    const isShort = digits.replace(/^(-?)0+(?=.)/, "$1").length <= 20;
    const value = isShort ? BigInt(digits) * factor : 0n;
    if (isShort && isInt64(value)) return { kind: "integer", value, at };
    throw new ConfigError("CONFIG_SYNTAX", `integer '${text}' is out of the range`, at);
  }

  #variable(name: string, at: Place): ConfigValue {
    if (name.startsWith(BCRYPT_PREFIX)) return { kind: "string", value: `$${name}`, at };
    for (const scope of this.#scopes.toReversed()) {
      const entry = scope.entries.get(name);
      if (entry === undefined) continue;
      scope.entries.set(name, { ...entry, isVariable: true });
      return valueAt(entry.value, at);
    }
    const text = this.#work.sources.env(name);
    const value = text === undefined ? undefined : this.#parseVariable(name, text, at);
    if (value !== undefined) return valueAt(value, at);
    const reason = `variable reference for '${name}' on line ${this.#line()} can not be found`;
    throw new ConfigError("CONFIG_VARIABLE", reason, at);
  }

  /** The line being read. A value may stand on a later line than its key, which is what `at` names. */
  #line(): number {
    return this.#lexer.placeOf(this.#lexer.pos).line;
  }

  /** The text of an environment variable is a value of the language: it may be a number, a list, a map. */
  #parseVariable(name: string, text: string, at: Place): ConfigValue | undefined {
    const fail = (reason: string): never => {
      const reference = `variable reference for '${name}' on line ${this.#line()} could not be parsed`;
      throw new ConfigError("CONFIG_VARIABLE", `${reference}: ${reason}`, at);
    };
    const { variables } = this.#work;
    if (variables.includes(name)) fail("it refers to itself");
    if (variables.length >= INCLUDE_DEPTH_MAX) fail(`variables are nested deeper than ${INCLUDE_DEPTH_MAX}`);
    countPart(this.#work, at);
    countText(this.#work, text, at);
    variables.push(name);
    try {
      const map = new Parser(new Lexer(`$${name}`, `pk=${text}`), this.#work).parse();
      return map.entries.get("pk")?.value;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return fail(error.message);
    } finally {
      variables.pop();
    }
  }
}

/** `k` = 1000, `kb` `ki` `kib` = 1024, and so on; undefined for what is no unit. */
function unitFactor(unit: string): bigint | undefined {
  if (unit === "") return 1n;
  const power = UNIT_LETTERS.indexOf(unit.charAt(0)) + 1;
  if (power === 0) return undefined;
  const rest = unit.slice(1);
  if (rest === "") return 1000n ** BigInt(power);
  return rest === "b" || rest === "i" || rest === "ib" ? 1024n ** BigInt(power) : undefined;
}
