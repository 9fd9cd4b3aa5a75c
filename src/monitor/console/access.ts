/**
 * Who may read payloads and the log, and who may change something: whoever shows the token. It travels in a header only, so
 * it stands in no history, no access log and no referrer; it is compared in constant time, and guessing is slow.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { HttpRequest } from "../../runtime/types.ts";
import { ConsoleError } from "./answers.ts";
import type { ConsoleView } from "./view.ts";

/** Wrong tokens of one address within {@link WINDOW_MS}; after them it is not listened to until the window ends. */
export const WRONG_TOKENS_MAX = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered. A full table forgets the one that has been wrong longest ago. */
const ADDRESSES_MAX = 4096;

const HOW_TO_CONFIGURE =
  "no token is configured, so nobody can do this: set one in the configuration, console { token: ... } in the streaming " +
  "block, or in the environment, STANCHION_CONSOLE_TOKEN, and restart";

interface Attempts {
  readonly fromMs: number;
  wrong: number;
}

export class AccessControl {
  readonly #view: ConsoleView;
  /** In the order of their first wrong token. */
  readonly #attempts = new Map<string, Attempts>();

  constructor(view: ConsoleView) {
    this.#view = view;
  }

  /** True when `request` shows the token. Throws {@link ConsoleError} when its address has shown too many wrong ones. */
  isAuthorized(request: HttpRequest): boolean {
    return this.#shown(request) === "right";
  }

  /** Throws {@link ConsoleError} unless `request` shows the token. */
  mustBeAuthorized(request: HttpRequest): void {
    if (this.#view.access().token === "") throw new ConsoleError("NOT_CONFIGURED", HOW_TO_CONFIGURE);
    switch (this.#shown(request)) {
      case "right":
        return;
      case "wrong":
        throw new ConsoleError("TOKEN_WRONG", "this is not the token of this server");
      case "none":
        throw new ConsoleError("TOKEN_REQUIRED", `this needs the token of the console: "Authorization: Bearer TOKEN"`, {
          "WWW-Authenticate": `Bearer realm="console"`,
        });
    }
  }

  #shown(request: HttpRequest): "right" | "wrong" | "none" {
    const header = request.header("authorization");
    if (header === "") return "none";
    const { remoteAddress } = request;
    const attempts = this.#attemptsOf(remoteAddress);
    // Also the right one: else an answer would tell which of the guesses it was.
    if (attempts !== undefined && attempts.wrong >= WRONG_TOKENS_MAX) {
      const leftS = Math.max(1, Math.ceil((attempts.fromMs + WINDOW_MS - this.#view.nowMs()) / 1000));
      throw new ConsoleError("TOO_MANY_ATTEMPTS", `too many wrong tokens from this address: try again in ${leftS} s`, {
        "Retry-After": String(leftS),
      });
    }
    const { token } = this.#view.access();
    const match = /^bearer +([\x21-\x7e]+) *$/i.exec(header);
    if (token !== "" && match !== null && isSame(match[1]!, token)) return "right";
    // Without a token there is nothing to guess.
    if (token !== "") this.#count(remoteAddress, attempts);
    return "wrong";
  }

  #attemptsOf(address: string): Attempts | undefined {
    const attempts = this.#attempts.get(address);
    if (attempts === undefined || this.#view.nowMs() - attempts.fromMs < WINDOW_MS) return attempts;
    this.#attempts.delete(address);
    return undefined;
  }

  #count(address: string, attempts: Attempts | undefined): void {
    if (attempts !== undefined) {
      if (++attempts.wrong === WRONG_TOKENS_MAX) {
        this.#view.audit(
          `Console: ${WRONG_TOKENS_MAX} wrong tokens from ${address}, it is not listened to for a while`,
        );
      }
      return;
    }
    if (this.#attempts.size >= ADDRESSES_MAX) {
      for (const oldest of this.#attempts.keys()) {
        this.#attempts.delete(oldest);
        break;
      }
    }
    this.#attempts.set(address, { fromMs: this.#view.nowMs(), wrong: 1 });
    this.#view.audit(`Console: wrong token from ${address}`);
  }
}

/** Digests are compared, so that neither the time nor the length says anything about the token. */
function isSame(given: string, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text, "latin1").digest();
  return timingSafeEqual(digest(given), digest(token));
}
