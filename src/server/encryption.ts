/**
 * Encryption as far as the composition goes: where its key comes from and which cipher stands for "none named" (stores.md
 * 8.1, 8.5).
 */
import { arch } from "node:process";
import type { EncryptionOptions } from "../config/options.ts";
import type { LogView } from "../log/types.ts";
import type { ProcessHost } from "../runtime/types.ts";
import type { CipherName } from "../store/crypt/sealed.ts";

/** The variable that beats the option. The reference's name. */
export const ENCRYPTION_KEY_VARIABLE = "NATS_STREAMING_ENCRYPTION_KEY";

/** What a file gets that names the variable, in place of its content. */
export const KEY_STAND_IN = "taken-from-the-environment";

/** Processors for which the reference takes AES by default; it knows nothing of the AES instructions of the others. */
const AES_PROCESSORS = ["x64", "ia32"];

/**
 * The key in force: the variable's if it is not empty, else `given`, which comes from the command line or a file. Empty:
 * there is none. The variable is removed either way, so that no program that is run from here gets it.
 */
export function takeEncryptionKey(
  process: Pick<ProcessHost, "env" | "unsetEnv">,
  given: string,
  encryption: EncryptionOptions,
  log: LogView,
): string {
  const key = process.env(ENCRYPTION_KEY_VARIABLE) ?? "";
  process.unsetEnv(ENCRYPTION_KEY_VARIABLE);
  if (key === "") return given;
  if (!encryption.enabled) {
    log.warn(
      `${ENCRYPTION_KEY_VARIABLE} is set, but messages are stored in clear: the variable alone switches nothing on. ` +
        "Give -encrypt, too, or unset it",
    );
  } else if (given !== "" && given !== key && given !== KEY_STAND_IN) {
    log.info(`The encryption key of ${ENCRYPTION_KEY_VARIABLE} is used, not the one of the command line or the file`);
  }
  return key;
}

/** The cipher that new messages are encrypted with. */
export function cipherOf({ cipher }: EncryptionOptions, processor: string = arch): CipherName {
  if (cipher === "") return AES_PROCESSORS.includes(processor) ? "AES" : "CHACHA";
  return cipher === "CHACHA" ? "CHACHA" : "AES";
}
