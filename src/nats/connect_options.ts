/** The JSON of CONNECT (nats-server.md 3.4): keys in any case, the last of a duplicate wins, null keeps the default. */
import { NATS_ERROR } from "../wire/nats_text.ts";
import type { Closing } from "./close_reason.ts";

/** What a client said. Fields that were absent are undefined and leave the connection as it is. */
export interface ConnectOptions {
  verbose?: boolean;
  pedantic?: boolean;
  echo?: boolean;
  headers?: boolean;
  no_responders?: boolean;
  tls_required?: boolean;
  protocol?: number;
  auth_token?: string;
  user?: string;
  pass?: string;
  nkey?: string;
  sig?: string;
  jwt?: string;
  name?: string;
  lang?: string;
  version?: string;
  account?: string;
  new_account?: boolean;
}

const BOOLEANS = new Set([
  "verbose",
  "pedantic",
  "echo",
  "headers",
  "no_responders",
  "tls_required",
  "new_account",
]);
const STRINGS = new Set(["auth_token", "user", "pass", "nkey", "sig", "jwt", "name", "lang", "version", "account"]);

/** Undefined: not an object, or a key with a value of the wrong type. The connection is then closed without a text. */
export function parseConnect(json: string): ConnectOptions | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Hostile or broken input; the caller closes the connection and nothing is worth reporting.
    return undefined;
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) return undefined;
  const options: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(value)) {
    const given = (value as Readonly<Record<string, unknown>>)[key];
    const name = key.toLowerCase();
    if (given === null) continue;
    if (BOOLEANS.has(name)) {
      if (typeof given !== "boolean") return undefined;
    } else if (STRINGS.has(name)) {
      if (typeof given !== "string") return undefined;
    } else if (name === "protocol") {
      if (typeof given !== "number" || !Number.isInteger(given)) return undefined;
    } else {
      continue;
    }
    options[name] = given;
  }
  return options as ConnectOptions;
}

/** True for the JSON of an object, or null: what an INFO may hold. */
export function isObjectOrNull(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && !Array.isArray(value);
  } catch {
    // Not JSON at all; the caller closes the connection and nothing is worth reporting.
    return false;
  }
}

/** What a connection remembers of its CONNECTs. */
export interface ClientSettings {
  verbose: boolean;
  pedantic: boolean;
  echo: boolean;
  headers: boolean;
  noResponders: boolean;
  protocol: number;
  name: string;
  lang: string;
  version: string;
}

/** Fields that are present overwrite, absent ones keep their value (nats-server.md 2). */
export function applyConnect(settings: ClientSettings, options: ConnectOptions): void {
  settings.verbose = options.verbose ?? settings.verbose;
  settings.pedantic = options.pedantic ?? settings.pedantic;
  settings.echo = options.echo ?? settings.echo;
  settings.headers = options.headers ?? settings.headers;
  settings.noResponders = options.no_responders ?? settings.noResponders;
  settings.protocol = options.protocol ?? settings.protocol;
  settings.name = options.name ?? settings.name;
  settings.lang = options.lang ?? settings.lang;
  settings.version = options.version ?? settings.version;
}

/** Why a client that was let in has to go all the same; undefined = it stays. In the reference's order. */
export function connectRefusal(settings: ClientSettings, options: ConnectOptions): Closing | undefined {
  if ((options.account !== undefined && options.account !== "") || options.new_account === true) {
    return { reason: "Authentication Failure", text: NATS_ERROR.authorization };
  }
  if (settings.protocol !== 0 && settings.protocol !== 1) {
    return { reason: "Bad Client Protocol Version", text: NATS_ERROR.clientProtocol };
  }
  if (settings.noResponders && !settings.headers) {
    return { reason: "No Responders Requires Headers", text: NATS_ERROR.noRespondersHeaders };
  }
  return undefined;
}
