/**
 * Reads as much TypeScript as the import check needs: tokens without comments, and the imports they form. A parser
 * proper would be a dependency for a question that tokens answer.
 */

/** A token and where it stands; comments and blanks give none. */
export interface Token {
  readonly kind: "word" | "text" | "template" | "sign";
  /** The word, the text between the quotes, or the sign. Templates keep nothing. */
  readonly text: string;
  readonly line: number;
}

/** One import, re-export or import(). */
export interface ImportEdge {
  /** What stands between the quotes; undefined if import() is given anything else than a plain text. */
  readonly specifier: string | undefined;
  readonly line: number;
  /** All of it vanishes when types are stripped. */
  readonly isTypeOnly: boolean;
  /** import(): evaluated when it is reached, not when the file loads. */
  readonly isDynamic: boolean;
}

/** After these words a slash begins a pattern, not a division. */
const WORDS_BEFORE_PATTERN = new Set(
  "return typeof case in of delete void throw new else do instanceof yield await".split(" "),
);
const WORD_START = /[\p{ID_Start}$_]/u;
const WORD = /[\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /[\d.][\w.]*/y;
const PATTERN = /\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+\/[a-z]*/y;

/** Splits a source file into tokens. Never throws: on text that is no TypeScript the tokens are merely of no use. */
export function scanTokens(source: string): Token[] {
  const tokens: Token[] = [];
  // One entry per open template hole: how many braces are open inside it.
  const holes: number[] = [];
  let line = 1;
  let at = 0;

  const push = (kind: Token["kind"], text: string): void => void tokens.push({ kind, text, line });
  const countLines = (text: string): void => {
    for (const char of text) if (char === "\n") line++;
  };
  const match = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0] ?? "";
  };
  /** Reads template text up to its end or the next hole; `at` stands behind the backtick or the closing brace. */
  const readTemplate = (): void => {
    while (at < source.length) {
      const char = source[at];
      if (char === "\\") {
        if (source[at + 1] === "\n") line++;
        at += 2;
      } else if (char === "`") {
        at++;
        return;
      } else if (char === "$" && source[at + 1] === "{") {
        at += 2;
        holes.push(0);
        return;
      } else {
        if (char === "\n") line++;
        at++;
      }
    }
  };

  if (source.startsWith("#!")) at = Math.max(0, source.indexOf("\n"));
  while (at < source.length) {
    const char = source[at] as string;
    if (char === "\n") {
      line++;
      at++;
    } else if (char === " " || char === "\t" || char === "\r" || char === "\ufeff") {
      at++;
    } else if (char === "/" && source[at + 1] === "/") {
      const end = source.indexOf("\n", at);
      at = end < 0 ? source.length : end;
    } else if (char === "/" && source[at + 1] === "*") {
      const end = source.indexOf("*/", at + 2);
      const next = end < 0 ? source.length : end + 2;
      countLines(source.slice(at, next));
      at = next;
    } else if (char === '"' || char === "'") {
      const start = ++at;
      while (at < source.length && source[at] !== char && source[at] !== "\n") at += source[at] === "\\" ? 2 : 1;
      const text = source.slice(start, at);
      push("text", text);
      // A backslash at the end of a line continues the text on the next.
      countLines(text);
      if (source[at] === char) at++;
    } else if (char === "`") {
      push("template", "");
      at++;
      readTemplate();
    } else if (char === "}" && holes.at(-1) === 0) {
      holes.pop();
      at++;
      readTemplate();
      // What follows is behind a value, so a slash divides.
      push("template", "");
    } else if (char === "/" && mayBeginPattern(tokens.at(-1)) && match(PATTERN) !== "") {
      at += match(PATTERN).length;
      push("template", "");
    } else if (/\d/.test(char)) {
      at += match(NUMBER).length;
      push("template", "");
    } else if (WORD_START.test(char)) {
      const word = match(WORD);
      push("word", word);
      at += Math.max(word.length, 1);
    } else {
      if (holes.length > 0 && (char === "{" || char === "}")) {
        holes[holes.length - 1] = (holes.at(-1) as number) + (char === "{" ? 1 : -1);
      }
      push("sign", char);
      at++;
    }
  }
  return tokens;
}

function mayBeginPattern(previous: Token | undefined): boolean {
  if (previous === undefined) return true;
  if (previous.kind === "word") return WORDS_BEFORE_PATTERN.has(previous.text);
  return previous.kind === "sign" && previous.text !== ")" && previous.text !== "]" && previous.text !== "}";
}

/** All imports of a file: import and export statements with a source, and import(). */
export function findImports(tokens: readonly Token[]): ImportEdge[] {
  const edges: ImportEdge[] = [];
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as Token;
    if (token.kind !== "word" || (token.text !== "import" && token.text !== "export")) continue;
    // A property of that name: x.import, { import: 1 }.
    const next = tokens[index + 1];
    if (isSign(tokens[index - 1], ".") || next === undefined || isSign(next, ":")) continue;

    const { line } = token;
    if (token.text === "import" && isSign(next, "(")) {
      const argument = tokens[index + 2];
      const after = tokens[index + 3];
      const isPlain = argument?.kind === "text" && (isSign(after, ")") || isSign(after, ","));
      edges.push({ specifier: isPlain ? argument.text : undefined, line, isTypeOnly: false, isDynamic: true });
    } else if (token.text === "import" && next.kind === "text") {
      edges.push({ specifier: next.text, line, isTypeOnly: false, isDynamic: false });
    } else {
      const clause = readClause(tokens, index);
      if (clause !== undefined) edges.push({ ...clause, line, isDynamic: false });
    }
  }
  return edges;
}

/** Reads `type? names from "x"` behind import or export; undefined if it is no such clause (an export of our own). */
function readClause(
  tokens: readonly Token[],
  start: number,
): { specifier: string; isTypeOnly: boolean } | undefined {
  let at = start + 1;
  let isTypeOnly = false;
  if (isWord(tokens[at], "type")) {
    // `import type from "x"` imports a value named "type".
    const isName = isWord(tokens[at + 1], "from") && tokens[at + 2]?.kind === "text";
    if (!isName) {
      isTypeOnly = true;
      at++;
    }
  }
  // Every name has its own "type": nothing is loaded, though the statement itself is not marked.
  let isEachType = true;
  let hasNames = false;
  for (; at < tokens.length; at++) {
    const token = tokens[at] as Token;
    if (isSign(token, "{")) {
      for (at++; at < tokens.length && !isSign(tokens[at], "}"); at++) {
        hasNames = true;
        if (!isTypeMarked(tokens, at)) isEachType = false;
        while (at + 1 < tokens.length && !isSign(tokens[at + 1], ",") && !isSign(tokens[at + 1], "}")) at++;
        if (isSign(tokens[at + 1], ",")) at++;
      }
    } else if (isWord(token, "from") && tokens[at + 1]?.kind === "text") {
      return { specifier: (tokens[at + 1] as Token).text, isTypeOnly: isTypeOnly || (hasNames && isEachType) };
    } else if (isSign(token, "*") || isSign(token, ",")) {
      if (isSign(token, "*")) isEachType = false;
    } else if (token.kind === "word") {
      // A default name, or the name behind "* as". Anything longer is a declaration.
      if (isSign(tokens[at + 1], "=")) return undefined;
      if (!isWord(token, "as")) isEachType = false;
      if (!isClauseWord(tokens, at)) return undefined;
    } else {
      return undefined;
    }
  }
  return undefined;
}

/** `type A` and `type as as B`, but not a value named "type": `type`, `type as A`. */
function isTypeMarked(tokens: readonly Token[], at: number): boolean {
  if (!isWord(tokens[at], "type")) return false;
  const next = tokens[at + 1];
  if (next?.kind === "text") return true;
  if (next?.kind !== "word") return false;
  return next.text !== "as" || isWord(tokens[at + 2], "as");
}

/** In a clause, a word is followed by a comma, by "from" or, behind a star, by "as" and a name. */
function isClauseWord(tokens: readonly Token[], at: number): boolean {
  const next = tokens[at + 1];
  return isSign(next, ",") || isWord(next, "from") || isWord(tokens[at], "as") ||
    (isWord(next, "as") && isSign(tokens[at - 1], "*"));
}

function isSign(token: Token | undefined, text: string): boolean {
  return token?.kind === "sign" && token.text === text;
}

function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === "word" && token.text === text;
}
