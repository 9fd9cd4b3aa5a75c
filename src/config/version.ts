/**
 * Names and versions of the product, in one place (decisions.md 1, 2).
 */

/** Version of this product. */
export const VERSION = "0.1.0";

/** The release whose behaviour and file formats we match. */
export const REFERENCE_VERSION = "0.25.6";

/** The core server release whose protocol and INFO we match. */
export const NATS_VERSION = "2.9.24";

declare const STANCHION_COMMIT: unknown;

/** Commit of the build. `compile.sh` puts it in by defining `STANCHION_COMMIT`; from source it is unknown. */
export const COMMIT: string = typeof STANCHION_COMMIT === "string" ? STANCHION_COMMIT : "[not set]";

/** The name the program was started under decides what it is (decisions.md 1). */
export type ProgramRole = "stanchion" | "nats-streaming-server" | "nats-server";

/** Any other name, a renamed executable for example, is the product under its own name. */
export function programRole(programName: string): ProgramRole {
  const base = programName.replace(/\.exe$/i, "");
  return base === "nats-server" || base === "nats-streaming-server" ? base : "stanchion";
}

/**
 * The version that log, INFO and monitoring show for the streaming part. It begins with the reference's, because
 * tools compare it.
 */
export function streamingVersion(): string {
  return `${REFERENCE_VERSION}-stanchion.${VERSION}`;
}

/** The one line of `--version`, without line end. Package scripts cut it at blanks, so the shapes are fixed. */
export function versionText(programName: string): string {
  const role = programRole(programName);
  switch (role) {
    case "nats-server":
      return `nats-server: v${NATS_VERSION}`;
    case "nats-streaming-server":
      return `nats-streaming-server version ${streamingVersion()}, nats-server: v${NATS_VERSION}`;
    case "stanchion":
      return `stanchion version ${VERSION} (NATS Streaming ${REFERENCE_VERSION}, NATS ${NATS_VERSION})`;
  }
}
