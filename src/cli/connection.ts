/** From options and environment to a connected client. */
import { Nuid } from "../base/nuid.ts";
import { quote } from "../base/quote.ts";
import { bytesOf, byteStringOfText } from "../base/bytes.ts";
import { DISCOVER_PREFIX_DEFAULT, isChannelNameValid, isClientIdValid } from "../wire/stan_subjects.ts";
import type { Arguments } from "./arguments.ts";
import { readFileText } from "./files.ts";
import { type CliHost, CommandError, UsageError } from "./host.ts";
import { type NatsAddress, NatsClient, type NatsOptions } from "./nats_client.ts";
import { parseNkeySeed } from "./nkey_seed.ts";
import { StanClient } from "./stan_client.ts";

const PORT_DEFAULT = 4222;
const URL_DEFAULT = `nats://127.0.0.1:${PORT_DEFAULT}`;
const TIMEOUT_MS_DEFAULT = 5000;
export const ACK_TIMEOUT_MS_DEFAULT = 30_000;

/** Where servers are, and the user that an address may name. */
export interface ServerUrls {
  readonly addresses: readonly NatsAddress[];
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
}

/** Reads `nats://user:password@host:port, tls://other`. Throws {@link UsageError}. */
export function parseServerUrls(text: string): ServerUrls {
  let login: Omit<ServerUrls, "addresses"> = {};
  const addresses = text.split(",").map((part) => part.trim()).filter((part) => part !== "").map((part) => {
    const withScheme = /^[a-z]+:\/\//i.test(part) ? part : `nats://${part}`;
    const match = /^(nats|tls):\/\/(?:([^@/]*)@)?(\[[0-9a-f:.]+\]|[^/:@\s]+)(?::(\d{1,5}))?\/?$/i.exec(withScheme);
    const port = Number(match?.[4] ?? PORT_DEFAULT);
    if (match === null || port < 1 || port > 65_535) {
      throw new UsageError(`-server should be nats://HOST:PORT or tls://HOST:PORT, got ${quote(withoutLogin(part))}`);
    }
    if (match[2] !== undefined) login = loginOf(match[2]);
    const host = (match[3] ?? "").replace(/^\[(.*)\]$/, "$1");
    return { host, port, isTls: match[1]?.toLowerCase() === "tls" };
  });
  if (addresses.length === 0) throw new UsageError("-server is empty");
  return { addresses, ...login };
}

/** A message must not show a password. */
function withoutLogin(url: string): string {
  return url.replace(/^([a-z]+:\/\/)?[^@]*@/i, "$1...@");
}

function loginOf(text: string): Omit<ServerUrls, "addresses"> {
  const colon = text.indexOf(":");
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch (error) {
      if (!(error instanceof URIError)) throw error;
      return part;
    }
  };
  if (colon < 0) return { token: decode(text) };
  return { user: decode(text.slice(0, colon)), password: decode(text.slice(colon + 1)) };
}

/** A value of the environment; undefined when it is empty. */
function envOf(host: Pick<CliHost, "env">, name: string): string | undefined {
  const value = host.env(name) ?? "";
  return value === "" ? undefined : value;
}

/** A secret from a file, else from the environment. A line end behind it is the editor's. */
export function secretOf(args: Arguments, host: CliHost, option: string, variable: string): string | undefined {
  const path = args.text(option);
  if (path === undefined) return envOf(host, variable);
  const secret = readFileText(path).replace(/\r?\n$/, "");
  if (secret === "") throw new CommandError("CLI_FILE", `${path} is empty: it should hold what -${option} stands for`);
  return secret;
}

/** The options of a command that connects to the NATS port. Throws for what cannot be. */
export function natsOptionsOf(args: Arguments, host: CliHost, name: string): NatsOptions {
  const urls = parseServerUrls(args.text("server") ?? envOf(host, "STANCHION_URL") ?? URL_DEFAULT);
  const user = args.text("user") ?? urls.user;
  const password = secretOf(args, host, "password-file", "STANCHION_PASSWORD") ?? urls.password;
  const seedPath = args.text("nkey");
  const nkey = seedPath === undefined ? undefined : parseNkeySeed(readFileText(seedPath));
  if (seedPath !== undefined && nkey === undefined) {
    throw new CommandError(
      "CLI_FILE",
      `${seedPath} holds no seed of an NKey user: a line of 58 letters that begins with SU`,
    );
  }
  const [ca, cert, key] = ["ca", "cert", "key"].map((option) => {
    const path = args.text(option);
    return path === undefined ? undefined : readFileText(path);
  });
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("-cert and -key belong together: give both");
  const hasTls = ca !== undefined || cert !== undefined;
  return {
    addresses: urls.addresses,
    name,
    timeoutMs: args.durationMs("timeout", TIMEOUT_MS_DEFAULT),
    user,
    password: user === undefined ? undefined : password,
    token: secretOf(args, host, "auth-token-file", "STANCHION_AUTH_TOKEN") ?? urls.token,
    nkey,
    tls: hasTls
      ? {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      }
      : undefined,
  };
}

/** The cluster ID that is meant. */
export function clusterOf(args: Arguments, host: CliHost): string {
  return args.text("cluster") ?? envOf(host, "STANCHION_CLUSTER") ?? "test-cluster";
}

/** Where clients of the server connect. */
export function discoverPrefixOf(args: Arguments): string {
  return args.text("discover") ?? DISCOVER_PREFIX_DEFAULT;
}

/** Connects and registers; `clientId` goes before that of the command line. */
export async function connectStan(args: Arguments, host: CliHost, clientId?: string): Promise<StanClient> {
  const names = new Nuid(host.random);
  const id = clientId ?? args.text("client-id") ?? `stanchion-${names.next()}`;
  if (!isClientIdValid(id)) {
    throw new UsageError(`-client-id should consist of letters, digits, "_" and "-", got ${quote(id)}`);
  }
  const options = natsOptionsOf(args, host, id);
  const unique = () => names.next();
  const nats = await NatsClient.connect(options, unique);
  try {
    return await StanClient.connect(nats, {
      clusterId: clusterOf(args, host),
      clientId: id,
      discoverPrefix: discoverPrefixOf(args),
      timeoutMs: options.timeoutMs,
      ackTimeoutMs: args.durationMs("ack-timeout", ACK_TIMEOUT_MS_DEFAULT),
      nowMs: () => host.clock.monotonicMs(),
      unique,
    });
  } catch (error) {
    await nats.close();
    throw error;
  }
}

/** Checks the name of a channel: what the server would refuse, and what could not travel on a subject. */
export function channelOf(name: string | undefined): string {
  if (name === undefined || name === "") throw new UsageError("CHANNEL is missing");
  const bytes = bytesOf(byteStringOfText(name));
  if (!isChannelNameValid(bytes, 0, bytes.length) || /\s/.test(name)) {
    throw new UsageError(
      `${quote(name)} cannot be a channel: no blanks, "*", ">" or "/", and no "." at an end or doubled`,
    );
  }
  return name;
}
