/** Figures, times and payloads as people read them. Pure. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `1,234,567`, exact. */
export function count(value: number): string {
  return whole.format(value);
}

/** At most four characters or so: `12.3K`. For tiles and axes. */
export function short(value: number): string {
  return Math.abs(value) < 10_000 ? count(value) : compact.format(value);
}

/** A rate per second: small ones with a decimal, so that one message in two seconds is not nothing. */
export function rate(value: number): string {
  return value > 0 && value < 10 ? String(Math.round(value * 10) / 10) : short(Math.round(value));
}

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

/** In steps of 1024, as the options of the server have it. */
export function bytes(value: number): string {
  let rest = value;
  let unit = 0;
  while (rest >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit++;
  }
  const digits = unit === 0 || rest >= 100 ? 0 : 1;
  return `${unit === 0 ? count(Math.round(rest)) : rest.toFixed(digits)} ${UNITS[unit]}`;
}

/** The two largest units: `3 d 4 h`, `12 s`. */
export function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts.slice(first, first + 2).filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`).join(
    " ",
  );
}

/** How a payload can be shown. */
export const PAYLOAD_FORMS = ["auto", "text", "json", "hex"] as const;
export type PayloadForm = typeof PAYLOAD_FORMS[number];

/** A payload as it is shown. */
export interface ShownPayload {
  readonly form: "text" | "json" | "hex";
  readonly text: string;
  /** Why it is not in the form that was asked for; empty when it is. */
  readonly note: string;
}

/** Shows `data` in `form`, or in one that can show it. */
export function showPayload(data: Uint8Array, form: PayloadForm): ShownPayload {
  if (form === "hex") return { form, text: hexDump(data), note: "" };
  const text = textOf(data);
  if (form === "text") {
    // Asked for: with replacement characters where it is no text.
    const note = text === undefined ? "This is no UTF-8: \ufffd stands for what is no character." : "";
    return { form, text: text ?? new TextDecoder().decode(data), note };
  }
  const json = text === undefined ? undefined : prettyJson(text);
  if (json !== undefined && (form === "json" || /^\s*[[{]/.test(json))) return { form: "json", text: json, note: "" };
  const note = form === "json" ? "This is no JSON." : "";
  // deno-lint-ignore no-control-regex -- these are what makes a text unreadable.
  if (text !== undefined && !/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text)) return { form: "text", text, note };
  return { form: "hex", text: hexDump(data), note };
}

/** Undefined: no UTF-8. */
function textOf(data: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * JSON, one member a line; undefined: it is none. The tokens stay as they were sent: through `JSON.parse` and back, an id
 * of 64 bits would become another one, and of two members of one name only the last would be seen.
 */
export function prettyJson(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? [];
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      depth++;
      out += next === "}" || next === "]" ? token : token + line();
    } else if (token === "}" || token === "]") {
      depth--;
      const before = tokens[index - 1];
      out += before === "{" || before === "[" ? token : line() + token;
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += token;
  });
  return out;
}

const BYTES_A_LINE = 16;

/** Offset, bytes, and what of them can be printed. */
export function hexDump(data: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < data.length; at += BYTES_A_LINE) {
    const part = [...data.subarray(at, at + BYTES_A_LINE)];
    const hex = part.map((byte, index) => (index === 8 ? " " : "") + byte.toString(16).padStart(2, "0")).join(" ");
    const shown = part.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(BYTES_A_LINE * 3)}  ${shown}`);
  }
  return lines.join("\n");
}

/** The bytes behind base64. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
