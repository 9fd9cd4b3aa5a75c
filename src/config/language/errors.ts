/** The one error of the configuration language and its readers. Nothing else leaves them. */
import { type Place, placeText } from "./values.ts";

/** What is wrong. Stable; the wording may improve where it is not the reference's. */
export type ConfigErrorCode =
  | "CONFIG_UNREADABLE"
  | "CONFIG_SYNTAX"
  | "CONFIG_VARIABLE"
  | "CONFIG_INCLUDE"
  | "CONFIG_TOO_LARGE"
  | "CONFIG_TYPE"
  | "CONFIG_VALUE"
  | "CONFIG_UNKNOWN_KEY"
  | "CONFIG_NOT_AVAILABLE";

/** A configuration that cannot be used. `message` is the reason, in the reference's words where it has some. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(readonly code: ConfigErrorCode, message: string, readonly at: Place | undefined) {
    super(message);
  }

  /**
   * `FILE:LINE:POS: reason`, as operators know it from the reference. Not `line`: one engine gives every error an own
   * property of that name, which would hide it.
   */
  get operatorLine(): string {
    // "config is invalid (FILE:LINE:POS)" says it already.
    if (this.at === undefined || this.message.endsWith(`(${placeText(this.at)})`)) return this.message;
    return `${placeText(this.at)}: ${this.message}`;
  }
}
