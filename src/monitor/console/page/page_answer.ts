/**
 * The page: one answer that needs no other. This module holds its text and is loaded when somebody asks for it the first
 * time, so that a server that nobody looks at does not carry it.
 */
import type { HttpAnswer } from "../../../runtime/types.ts";
import { PAGE, SCRIPT_HASH, STYLE_HASH } from "./assets.ts";

/**
 * Nothing but what stands in the page runs or is asked for, and no text can become an element: the script has no way to
 * parse HTML (trusted types without a policy).
 */
const POLICY = [
  "default-src 'none'",
  `script-src ${SCRIPT_HASH}`,
  `style-src ${STYLE_HASH}`,
  "img-src data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** The answer to `path`; undefined: there is no such page. */
export function pageAnswer(path: string): HttpAnswer | undefined {
  switch (path) {
    case "/console":
      return {
        status: 200,
        headers: { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY },
        body: PAGE,
      };
    case "/console/":
      // The addresses in the page are relative to where it stands, also behind a proxy that moved it.
      return { status: 308, headers: { Location: "../console" }, body: "" };
    default:
      return undefined;
  }
}
