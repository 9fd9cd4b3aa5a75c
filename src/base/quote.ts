/**
 * Double quotes around text of unknown origin, for error messages and log lines. The form is Go's `%q`, because the
 * reference's messages are compared (operations.md 1.5).
 */

const NAMED_ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x07, "\\a"],
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0b, "\\v"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);

function escapeOf(unit: number): string | undefined {
  if (unit === 0x7f || unit < 0x20) return "\\x" + unit.toString(16).padStart(2, "0");
  // C1 controls and the line separators move a terminal's cursor or split a line in some viewers.
  if ((unit > 0x7f && unit < 0xa0) || unit === 0x2028 || unit === 0x2029) {
    return "\\u" + unit.toString(16).padStart(4, "0");
  }
  return undefined;
}

/** `text` in double quotes, control characters, quotes and backslashes escaped. */
export function quote(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    out += NAMED_ESCAPES.get(unit) ?? escapeOf(unit) ?? text.charAt(i);
  }
  return out + '"';
}

/**
 * `text` with control characters (except the tab) escaped, without quotes: one log call stays one line, and names
 * chosen by clients can neither forge lines nor steer a terminal. Clean text, the usual case, is returned as it is.
 */
export function oneLine(text: string): string {
  let i = 0;
  while (i < text.length && !isUnsafe(text.charCodeAt(i))) i++;
  if (i === text.length) return text;
  let out = text.slice(0, i);
  for (; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    out += isUnsafe(unit) ? NAMED_ESCAPES.get(unit) ?? escapeOf(unit) ?? "" : text.charAt(i);
  }
  return out;
}

function isUnsafe(unit: number): boolean {
  return (unit < 0x20 && unit !== 0x09) || (unit >= 0x7f && unit < 0xa0) || unit === 0x2028 || unit === 0x2029;
}
