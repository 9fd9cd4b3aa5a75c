/** TLS of the client port from the files that the options name, checked before anything is opened. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { TlsOptions } from "../config/options.ts";
import type { NatsTlsOptions } from "../nats/tls_entry.ts";
import { type Files, RuntimeError } from "../runtime/types.ts";

/** A certificate, key or authority file that cannot be used. `message` says which and what to do. */
export class TlsFileError extends Error {
  override readonly name = "TlsFileError";
}

/** Reads and checks the files. Throws {@link TlsFileError}. */
export function readTlsFiles(options: TlsOptions, files: Files): NatsTlsOptions {
  const certificate = read(files, options.certFile, "certificate");
  const key = read(files, options.keyFile, "private key");
  const authorities = options.caFile === "" ? undefined : read(files, options.caFile, "certificate authority");
  let matches: boolean;
  try {
    matches = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TlsFileError(
      `error parsing X509 certificate/key pair ${options.certFile}, ${options.keyFile}: ${reason}. Both must be PEM files`,
      { cause: error },
    );
  }
  if (!matches) {
    throw new TlsFileError(
      `error parsing X509 certificate/key pair: the key in ${options.keyFile} does not belong to the certificate in ` +
        `${options.certFile}. Name the key that the certificate was made for`,
    );
  }
  const verifyClient = options.verify || options.verifyAndMap;
  return Object.freeze({
    server: Object.freeze({
      certificate,
      key,
      ...(authorities === undefined ? {} : { authorities }),
      verifyClient,
      minVersion: options.minVersion,
    }),
    timeoutMs: options.timeoutMs,
    handshakeFirst: options.handshakeFirst,
    allowNonTls: options.allowNonTls,
    pinnedCerts: options.pinnedCerts,
    connectionRateLimit: options.connectionRateLimit,
  });
}

function read(files: Files, path: string, what: string): string {
  try {
    return files.readText(path);
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw new TlsFileError(`cannot read the TLS ${what} ${path}: ${error.message}`, { cause: error });
  }
}
