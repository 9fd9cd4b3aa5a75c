/** The JSON of CONNECT (nats-server.md 3.4): keys in any case, the last of a duplicate wins, null keeps the default. */

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
  for (const [key, given] of Object.entries(value)) {
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
