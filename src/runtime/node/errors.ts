/**
 * Turns what the platform throws into {@link RuntimeError}. System error codes are the same on every runtime, so the
 * table stands here once; wording says what was tried and, where it is known, what to do next.
 */
import { RuntimeError, type RuntimeErrorCode } from "../types.ts";

const CODES: Readonly<Record<string, RuntimeErrorCode>> = {
  EADDRINUSE: "ADDRESS_IN_USE",
  EADDRNOTAVAIL: "ADDRESS_NOT_AVAILABLE",
  EACCES: "PERMISSION_DENIED",
  EPERM: "PERMISSION_DENIED",
  ECONNREFUSED: "CONNECTION_REFUSED",
  ETIMEDOUT: "TIMED_OUT",
  ENOTFOUND: "HOST_NOT_FOUND",
  EAI_AGAIN: "HOST_NOT_FOUND",
  EAI_NODATA: "HOST_NOT_FOUND",
  EAI_NONAME: "HOST_NOT_FOUND",
  ENOENT: "NOT_FOUND",
  EEXIST: "ALREADY_EXISTS",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  ECONNRESET: "CLOSED",
  EPIPE: "CLOSED",
};

/** The code an operating system error carries, `undefined` when it has none. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The stable code for something the platform threw. */
export function runtimeCode(error: unknown): RuntimeErrorCode {
  if (error instanceof RuntimeError) return error.code;
  const code = systemCode(error);
  return (code === undefined ? undefined : CODES[code]) ?? "OTHER";
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Wraps `error`; `tried` begins the message: `Cannot read "a.conf"`. */
export function toRuntimeError(error: unknown, tried: string): RuntimeError {
  return new RuntimeError(runtimeCode(error), `${tried}: ${reasonOf(error)}`, { cause: error });
}

/** `host:port`, with brackets where IPv6 needs them. */
export function addressText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The error of a listener that could not be opened. */
export function toListenError(error: unknown, host: string, port: number): RuntimeError {
  const tried = `Cannot listen on ${addressText(host, port)}`;
  const options = { cause: error };
  // A listener has no use for the difference between a name that does not resolve and an address that is not ours.
  const found = runtimeCode(error);
  const code = found === "HOST_NOT_FOUND" || isNotOurs(error, host) ? "ADDRESS_NOT_AVAILABLE" : found;
  switch (code) {
    case "ADDRESS_IN_USE":
      return new RuntimeError(
        code,
        `${tried}: the address is in use by another program. Stop that program or choose another port`,
        options,
      );
    case "ADDRESS_NOT_AVAILABLE":
      return new RuntimeError(
        code,
        `${tried}: this machine has no such address. Use one of its own, or 0.0.0.0 for all`,
        options,
      );
    case "PERMISSION_DENIED":
      return new RuntimeError(
        code,
        `${tried}: no permission. Ports below 1024 need privileges; choose a higher port or grant them`,
        options,
      );
    default:
      return toRuntimeError(error, tried);
  }
}

/**
 * Seen at a listener: one runtime throws an error without any code for a name that does not resolve, the other says
 * EINVAL for an address that is not ours.
 */
function isNotOurs(error: unknown, host: string): boolean {
  const code = systemCode(error);
  return code === "EINVAL" || (code === undefined && /[a-z]/i.test(host) && !host.includes(":"));
}

/** The error of a dial that failed. */
export function toConnectError(error: unknown, host: string, port: number): RuntimeError {
  const tried = `Cannot connect to ${addressText(host, port)}`;
  switch (runtimeCode(error)) {
    case "CONNECTION_REFUSED":
      return new RuntimeError("CONNECTION_REFUSED", `${tried}: nobody listens there`, { cause: error });
    case "HOST_NOT_FOUND":
      return new RuntimeError("HOST_NOT_FOUND", `${tried}: the host name does not resolve`, { cause: error });
    default:
      return toRuntimeError(error, tried);
  }
}

/** The error of a dial that took too long. */
export function connectTimedOut(host: string, port: number, timeoutMs: number): RuntimeError {
  return new RuntimeError(
    "TIMED_OUT",
    `Cannot connect to ${addressText(host, port)}: no answer within ${timeoutMs} ms`,
  );
}

/** What `closed` is told about a connection that broke; `undefined` stays `undefined`. */
export function toClosedError(error: unknown, host: string, port: number): RuntimeError | undefined {
  if (error === undefined || error === null) return undefined;
  if (error instanceof RuntimeError) return error;
  return toRuntimeError(error, `Connection with ${addressText(host, port)} broke`);
}

/** What `startTls` rejects with. */
export function tlsRefused(error: unknown, host: string, port: number): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const code = systemCode(error);
  return new RuntimeError(
    "TLS_REFUSED",
    `TLS handshake with ${addressText(host, port)} failed: ${reasonOf(error)}${code === undefined ? "" : ` (${code})`}`,
    { cause: error },
  );
}
