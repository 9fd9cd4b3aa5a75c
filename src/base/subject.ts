/**
 * Rules of NATS subjects (nats-server.md 4.1). Subjects are byte strings. A token is what stands between dots; `*` is
 * one token, `>` is the rest; both only when they are the whole token.
 */

/** No empty token. What may be published on (wildcard characters are then ordinary). */
export function hasOnlyFullTokens(subject: string): boolean {
  const length = subject.length;
  if (length === 0 || subject.charCodeAt(0) === 46 || subject.charCodeAt(length - 1) === 46) return false;
  return !subject.includes("..");
}

/** Valid for a subscription: no empty token, `>` only as the last token. */
export function isSubscriptionSubject(subject: string): boolean {
  if (!hasOnlyFullTokens(subject)) return false;
  let at = subject.indexOf(">");
  while (at !== -1) {
    const startsToken = at === 0 || subject.charCodeAt(at - 1) === 46;
    if (startsToken && subject.charCodeAt(at + 1) === 46) return false;
    at = subject.indexOf(">", at + 1);
  }
  return true;
}

/** True when a token is `*` or the last one is `>`. */
export function hasWildcard(subject: string): boolean {
  if (!subject.includes("*") && !subject.includes(">")) return false;
  for (const token of subject.split(".")) if (token === "*" || token === ">") return true;
  return false;
}

export function tokenCount(subject: string): number {
  let count = 1;
  for (let i = 0; i < subject.length; i++) if (subject.charCodeAt(i) === 46) count++;
  return count;
}

/** Does `pattern` (with wildcards) match the literal `subject`? The plain definition, for permissions and as an oracle. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const want = pattern.split(".");
  const have = subject.split(".");
  for (let i = 0; i < want.length; i++) {
    const token = want[i];
    if (token === ">" && i === want.length - 1) return have.length > i;
    if (i >= have.length) return false;
    if (token !== "*" && token !== have[i]) return false;
  }
  return want.length === have.length;
}
