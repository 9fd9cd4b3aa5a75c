/** Log lines about clients that did what they may not (nats-server.md 6), and how those clients are called in them. */
import { byteStringOfText, displayText } from "../../base/bytes.ts";
import { quoted } from "../../wire/nats_text.ts";
import type { AuthUser, Credentials } from "./authenticator.ts";

/** Violations of one connection that are logged per second: a client can make as many as it sends. */
export const VIOLATION_LINES_MAX = 20;
const VIOLATION_WINDOW_MS = 1000;

/** Says when a violation of one connection may have its line. */
export class ViolationLog {
  #sinceMs = 0;
  #count = 0;

  admits(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= VIOLATION_WINDOW_MS) {
      this.#sinceMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count <= VIOLATION_LINES_MAX;
  }
}

/** `Publish Violation - User "a", Subject "b"`; `what` is a byte string. */
export function violationText(kind: "Publish" | "Subscription", user: AuthUser | null, what: string): string {
  return `${kind} Violation - ${userText(user)}, ${displayText(what)}`;
}

const USER_KINDS = { user: "User", token: "User", nkey: "Nkey" } as const;

/** Somebody who was let in, as log lines call him. */
export function userText(user: AuthUser | null): string {
  if (user === null || user.name === "") return 'User "N/A"';
  return `${USER_KINDS[user.kind]} ${quotedText(user.name)}`;
}

/** Somebody who was not let in. */
export function credentialsText({ nkey = "", user = "" }: Credentials): string {
  return nkey !== "" ? `Nkey ${quotedText(nkey)}` : `User ${quotedText(user)}`;
}

/** Text of a client's JSON in quotes, as a log line may show it. */
function quotedText(text: string): string {
  return displayText(quoted(byteStringOfText(text)));
}
