/** Parameters of the core pages, read as Go reads them, with its error texts (operations.md 5.1). */

/** A parameter that cannot be read. `message` is the whole answer, status 400. */
export class QueryError extends Error {
  override readonly name = "QueryError";
  readonly code = "QUERY_INVALID";
}

const TRUE_WORDS = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE_WORDS = ["0", "f", "F", "FALSE", "false", "False"];
const INT_LIMIT = 1n << 63n;
const UINT_LIMIT = 1n << 64n;

/** Absent or empty: false. Throws {@link QueryError}. */
export function boolParameter(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "";
  if (text === "" || FALSE_WORDS.includes(text)) return false;
  if (TRUE_WORDS.includes(text)) return true;
  throw unreadable("boolean", name, "ParseBool", text, "invalid syntax");
}

/** Absent or empty: 0. Values beyond 2^53 lose digits, which no limit or offset needs. Throws {@link QueryError}. */
export function intParameter(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  if (text === "") return 0;
  if (!/^[+-]?[0-9]+$/.test(text)) throw unreadable("int", name, "Atoi", text, "invalid syntax");
  const value = BigInt(text.replace(/^\+/, ""));
  if (value >= INT_LIMIT || value < -INT_LIMIT) throw unreadable("int", name, "Atoi", text, "value out of range");
  return Number(value);
}

/** Absent or empty: 0. Throws {@link QueryError}. */
export function uint64Parameter(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  if (text === "") return 0;
  if (!/^[0-9]+$/.test(text)) throw unreadable("uint64", name, "ParseUint", text, "invalid syntax");
  const value = BigInt(text);
  if (value >= UINT_LIMIT) throw unreadable("uint64", name, "ParseUint", text, "value out of range");
  return Number(value);
}

/** `subs` of connections and routes: a boolean, or the word `detail` in any letter case. */
export function subscriptionsParameter(query: URLSearchParams): "none" | "list" | "detail" {
  if ((query.get("subs") ?? "").toLowerCase() === "detail") return "detail";
  return boolParameter(query, "subs") ? "list" : "none";
}

function unreadable(kind: string, name: string, parser: string, text: string, reason: string): QueryError {
  return new QueryError(
    `Error decoding ${kind} for '${name}': strconv.${parser}: parsing ${goQuoted(text)}: ${reason}`,
  );
}

/** Go's quoting, as far as a query can make a difference. */
function goQuoted(text: string): string {
  return JSON.stringify(text).replace(/\\u([0-9a-f]{4})/g, (escape, digits: string) => {
    const unit = parseInt(digits, 16);
    return unit < 0x80 ? `\\x${digits.slice(2)}` : escape;
  });
}

/** Pages of a list. */
export interface Paging {
  readonly offset: number;
  readonly limit: number;
}

/** Entries of a page when nobody says how many. */
export const LIMIT_DEFAULT = 1024;

/** Of the core pages. Throws {@link QueryError}. */
export function corePaging(query: URLSearchParams): Paging {
  const offset = Math.max(0, intParameter(query, "offset"));
  const limit = intParameter(query, "limit");
  return { offset, limit: limit <= 0 ? LIMIT_DEFAULT : limit };
}

/** Of the streaming pages: what is no number, or too large a one, counts as not given. */
export function streamingPaging(query: URLSearchParams): Paging {
  const number = (name: string): number => {
    const text = query.get(name) ?? "";
    return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : 0;
  };
  const limit = number("limit");
  return { offset: Math.max(0, number("offset")), limit: limit <= 0 ? LIMIT_DEFAULT : limit };
}
