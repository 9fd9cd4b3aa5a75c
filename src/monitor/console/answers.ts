/** Answers of the console's API: JSON, not to be kept, and not for other sites (no CORS header). */
import type { HttpAnswer } from "../../runtime/types.ts";

/** Stable codes of errors, and their status. */
export const CONSOLE_STATUS = Object.freeze({
  BAD_REQUEST: 400,
  TOKEN_REQUIRED: 401,
  TOKEN_WRONG: 403,
  NOT_CONFIGURED: 403,
  NOT_FOUND: 404,
  METHOD: 405,
  CONFLICT: 409,
  TOO_MANY_ATTEMPTS: 429,
  NOT_READY: 503,
  STORE_FAILED: 503,
});

export type ConsoleErrorCode = keyof typeof CONSOLE_STATUS;

/** A request that is not served. `message` says what to do. */
export class ConsoleError extends Error {
  override readonly name = "ConsoleError";
  constructor(
    readonly code: ConsoleErrorCode,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** For every answer below `/console`: it is never guessed to be something else, never framed, never kept by others. */
export const CONSOLE_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
});

/** A JSON answer. */
export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return {
    status,
    headers: { ...CONSOLE_HEADERS, "Content-Type": "application/json", ...headers },
    body: `${JSON.stringify(value)}\n`,
  };
}

/** The answer to a request that is not served. */
export function errorAnswer({ code, message, headers }: ConsoleError): HttpAnswer {
  return jsonAnswer(CONSOLE_STATUS[code], { error: { code, message } }, headers);
}
