/**
 * Durations as operators write and read them: the grammar and the print form of Go, because command lines, config
 * files, the banner and monitoring answers of existing installations use it (operations.md 1.1, 3.3).
 *
 * Inside the program a duration is a number of milliseconds with a fraction. A millisecond count below 2^33 (99 days)
 * still tells single nanoseconds apart; above that the last digits of a sub-microsecond part may be lost, whole
 * milliseconds never are.
 */

/** Outcome of {@link parseDuration}. `error` is the text Go gives, which config errors quote. */
export type DurationParse = { readonly ok: true; readonly ms: number } | { readonly ok: false; readonly error: string };

const NS_PER_MS = 1_000_000n;
/** 2^63: the first magnitude that a signed 64-bit count of nanoseconds cannot hold. */
const NS_LIMIT = 1n << 63n;

/** Nanoseconds of a unit, or 0 for a text that is none. Both micro signs occur in the field. */
function unitNs(unit: string): bigint {
  switch (unit) {
    case "ns":
      return 1n;
    case "us":
    case "\u00b5s":
    case "\u03bcs":
      return 1_000n;
    case "ms":
      return NS_PER_MS;
    case "s":
      return 1_000_000_000n;
    case "m":
      return 60_000_000_000n;
    case "h":
      return 3_600_000_000_000n;
    default:
      return 0n;
  }
}

/** The quoting of Go's time package: bytes outside of printable ASCII become `\xNN`. */
function quoteForError(text: string): string {
  let out = '"';
  for (const byte of new TextEncoder().encode(text)) {
    if (byte === 0x22 || byte === 0x5c) out += "\\" + String.fromCharCode(byte);
    else if (byte < 0x20 || byte >= 0x80) out += "\\x" + byte.toString(16).padStart(2, "0");
    else out += String.fromCharCode(byte);
  }
  return out + '"';
}

/**
 * Reads `1h30m`, `1.5s`, `-100ms`, `0`. Refuses what Go refuses: no unit (`10`), unknown units (`1d`), blanks, and
 * what does not fit into 64 bits of nanoseconds (about 292 years).
 */
export function parseDuration(text: string): DurationParse {
  const invalid: DurationParse = { ok: false, error: `time: invalid duration ${quoteForError(text)}` };
  let rest = text;
  const negative = rest.startsWith("-");
  if (negative || rest.startsWith("+")) rest = rest.slice(1);
  if (rest === "0") return { ok: true, ms: 0 };
  if (rest === "") return invalid;

  let totalNs = 0n;
  while (rest !== "") {
    const number = /^([0-9]*)(?:\.([0-9]*))?/.exec(rest);
    const whole = number?.[1] ?? "";
    const fraction = number?.[2] ?? "";
    if (number === null || (whole === "" && fraction === "")) return invalid;
    // 2^63 has 19 digits. The check keeps a text of a million digits from becoming a huge integer first.
    const significant = whole.replace(/^0+/, "");
    if (significant.length > 19) return invalid;
    rest = rest.slice(number[0].length);

    const unitText = /^[^.0-9]*/.exec(rest)?.[0] ?? "";
    if (unitText === "") return { ok: false, error: `time: missing unit in duration ${quoteForError(text)}` };
    const unit = unitNs(unitText);
    if (unit === 0n) {
      const quotedUnit = quoteForError(unitText);
      return { ok: false, error: `time: unknown unit ${quotedUnit} in duration ${quoteForError(text)}` };
    }
    rest = rest.slice(unitText.length);

    totalNs += BigInt(significant === "" ? "0" : significant) * unit;
    if (fraction !== "") {
      // More than 18 digits cannot change a nanosecond of an hour.
      const digits = fraction.slice(0, 18);
      totalNs += (BigInt(digits) * unit) / 10n ** BigInt(digits.length);
    }
    if (totalNs > NS_LIMIT) return invalid;
  }
  // Only the negative side of a signed 64-bit number reaches 2^63.
  if (totalNs === NS_LIMIT && !negative) return invalid;
  const ms = Number(totalNs / NS_PER_MS) + Number(totalNs % NS_PER_MS) / 1e6;
  return { ok: true, ms: negative && ms !== 0 ? -ms : ms };
}

/** Writes `value / 10^digits` without trailing zeros. */
function withFraction(value: bigint, digits: number): string {
  const scale = 10n ** BigInt(digits);
  const fraction = (value % scale).toString().padStart(digits, "0").replace(/0+$/, "");
  const whole = (value / scale).toString();
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

/** Nanoseconds, exact for whole milliseconds. For values that leave the program as 64-bit nanoseconds. */
export function durationToNs(ms: number): bigint {
  const whole = Math.trunc(ms);
  return BigInt(whole) * NS_PER_MS + BigInt(Math.round((ms - whole) * 1e6));
}

/** Prints as Go does: `24h0m0s`, `1h30m0s`, `1.5s`, `100ms`, `0s`. */
export function formatDuration(ms: number): string {
  const ns = durationToNs(ms);
  if (ns === 0n) return "0s";
  if (ns < 0n) return "-" + formatNs(-ns);
  return formatNs(ns);
}

function formatNs(ns: bigint): string {
  if (ns < 1_000n) return `${ns}ns`;
  if (ns < NS_PER_MS) return `${withFraction(ns, 3)}\u00b5s`;
  if (ns < 1_000_000_000n) return `${withFraction(ns, 6)}ms`;
  const minutes = ns / 60_000_000_000n;
  const seconds = `${withFraction(ns % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return seconds;
  if (minutes < 60n) return `${minutes}m${seconds}`;
  return `${minutes / 60n}h${minutes % 60n}m${seconds}`;
}
