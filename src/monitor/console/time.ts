/** Times in requests. */

const PATTERN = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Nanoseconds since 1970 of an RFC 3339 time, in two halves; undefined: it is none, or none that can be stored. */
export function parseTime(text: string): { high: number; low: number } | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", sign, zoneHour = "0", zoneMinute = "0"] = match;
  const unixMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const read = new Date(unixMs);
  // 31 April is no day, and 24:00 no time.
  const isReal = read.getUTCMonth() === Number(month) - 1 && read.getUTCDate() === Number(day) &&
    read.getUTCHours() === Number(hour) && Number(minute) < 60 && Number(second) < 60 && Number(year) >= 1970 &&
    Number(zoneHour) < 24 && Number(zoneMinute) < 60;
  if (!isReal) return undefined;
  const zoneMs = (Number(zoneHour) * 60 + Number(zoneMinute)) * 60_000 * (sign === "-" ? -1 : 1);
  const ns = BigInt(unixMs - zoneMs) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
  if (ns < 0n) return undefined;
  return { high: Number(ns >> 32n), low: Number(ns & 0xffff_ffffn) };
}
