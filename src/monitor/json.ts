/** JSON as the reference's monitoring prints it (operations.md 5.1): two blanks, one field per line, Go's escapes. */

export function goJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(
    /[<>&\u2028\u2029]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** RFC 3339 with nanoseconds, trailing zeros cut, in the zone that is `zoneOffsetMinutes` east of UTC. */
export function rfc3339(stamp: { high: number; low: number }, zoneOffsetMinutes: number): string {
  const ns = (BigInt(stamp.high) << 32n) | BigInt(stamp.low);
  const unixMs = Number(ns / 1_000_000n);
  const local = new Date(unixMs + zoneOffsetMinutes * 60_000).toISOString().slice(0, 19);
  const fraction = String(ns % 1_000_000_000n).padStart(9, "0").replace(/0+$/, "");
  return local + (fraction === "" ? "" : `.${fraction}`) + zoneText(zoneOffsetMinutes);
}

function zoneText(minutes: number): string {
  if (minutes === 0) return "Z";
  const size = Math.abs(minutes);
  const hours = String(Math.floor(size / 60)).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${hours}:${String(size % 60).padStart(2, "0")}`;
}

/** `9s`, `1m9s`, `1h0m9s`, `1d0h0m9s`, `1y0d0h0m9s`. */
export function uptimeText(durationMs: number): string {
  let seconds = Math.floor(durationMs / 1000);
  const units: [string, number][] = [["y", 365 * 86_400], ["d", 86_400], ["h", 3600], ["m", 60]];
  let text = "";
  for (const [name, size] of units) {
    const count = Math.floor(seconds / size);
    if (count > 0 || text !== "") text += `${count}${name}`;
    seconds -= count * size;
  }
  return `${text}${seconds}s`;
}
