/** What the core pages show: the NATS server and what stands around it. */
import type { Options } from "../config/options.ts";
import type { NatsServer } from "../nats/nats_server.ts";
import type { Router } from "../nats/router.ts";
import type { OwnConnections } from "./own_connections.ts";
import type { MonitorTime } from "./time.ts";

/** Figures of this process. */
export interface ProcessView {
  /** Of one core: 200 = two of them are busy. */
  readonly cpuPercent: number;
  cpuSeconds(): number;
  residentBytes(): number;
  heapBytes(): number;
  readonly coreCount: number;
  /** 0 where the system does not tell. */
  openFiles(): number;
  openFilesMax(): number;
}

/** The core half. */
export interface NatsView {
  readonly server: NatsServer;
  /** Those in force. */
  readonly options: () => Options;
  readonly time: MonitorTime;
  readonly process: ProcessView;
  /** Undefined when only the core NATS server runs. */
  readonly own: OwnConnections | undefined;
  readonly runtimeVersion: string;
  /** Subject of a certificate in DER as RFC 2253 writes it: platforms differ in what they escape. */
  readonly certificateSubject: (der: Uint8Array) => string;
  /** Ports that are bound; 0 = none. */
  readonly httpPort: () => number;
  readonly httpsPort: () => number;
  /** When the options in force were read, monotonic. */
  readonly optionsReadMs: () => number;
}

/** The account that exists always, and the one of the server itself. */
export const GLOBAL_ACCOUNT = "$G";
export const SYSTEM_ACCOUNT = "$SYS";

/** All accounts with their routers, that of the system last; it has none before it is first used. */
export function accountsOf(server: NatsServer): Map<string, Router | undefined> {
  const accounts = new Map<string, Router | undefined>();
  for (const [name, router] of server.accounts.entries()) if (name !== SYSTEM_ACCOUNT) accounts.set(name, router);
  let system: Router | undefined;
  for (const [name, router] of server.accounts.entries()) if (name === SYSTEM_ACCOUNT) system = router;
  return accounts.set(SYSTEM_ACCOUNT, system);
}
