/** The file that lists the ports in use (operations.md 4.3), for test suites and scripts that let the system choose them. */
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { LogView } from "../log/types.ts";
import { type Files, RuntimeError } from "../runtime/types.ts";

/** A port and who is behind it. */
export interface OpenPort {
  readonly kind: "nats" | "monitoring" | "websocket";
  /** `nats`, `tls`, `http`, `https`, `ws`, `wss`. */
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

/** Addresses of this machine. A seam: they differ from machine to machine. */
export type AddressLister = () => readonly string[];

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}

/** URLs by kind; a port on all addresses has one for each. The order of the kinds is the reference's. */
export function portsText(ports: readonly OpenPort[], addresses: AddressLister = ownAddresses): string {
  const lists: Record<string, string[]> = {};
  for (const kind of ["nats", "monitoring", "websocket"] as const) {
    for (const { scheme, host, port } of ports.filter((candidate) => candidate.kind === kind)) {
      for (const address of addressesOf(host, addresses)) {
        (lists[kind] ??= []).push(`${scheme}://${address.includes(":") ? `[${address}]` : address}:${port}`);
      }
    }
  }
  return JSON.stringify(lists);
}

function addressesOf(host: string, addresses: AddressLister): readonly string[] {
  if (host === "0.0.0.0") return addresses().filter((address) => !address.includes(":"));
  return host === "::" ? addresses() : [host];
}

/** The file of one process. It never stops a server: what goes wrong is told. */
export class PortsFile {
  readonly #files: Pick<Files, "writeText" | "remove">;
  readonly #log: LogView;
  readonly #name: string;
  #path: string | undefined;

  constructor(
    files: Pick<Files, "writeText" | "remove">,
    log: LogView,
    process: { readonly programName: string; readonly pid: number },
  ) {
    this.#files = files;
    this.#log = log;
    this.#name = `${process.programName}_${process.pid}.ports`;
  }

  /** Writes the file into `directory`, removing the one of another directory; an empty one means none. */
  write(directory: string, ports: readonly OpenPort[]): void {
    const path = directory === "" ? undefined : join(directory, this.#name);
    if (this.#path !== path) this.remove();
    if (path === undefined) return;
    try {
      this.#files.writeText(path, portsText(ports));
      this.#path = path;
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      this.#log.error(`Error writing ports file (${path}): ${error.message}`);
    }
  }

  remove(): void {
    const path = this.#path;
    this.#path = undefined;
    if (path === undefined) return;
    try {
      this.#files.remove(path);
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      // Somebody has tidied up before us.
      if (error.code !== "NOT_FOUND") this.#log.error(`Error removing ports file (${path}): ${error.message}`);
    }
  }
}
