/**
 * From arguments and configuration files to one frozen `Options`. Pure: files are read through a callback, nothing is
 * opened or printed here; `main` does that with the answer. The order of steps is the reference's (operations.md 1.2), because it decides which of two errors is told.
 */
import { assert } from "../base/assert.ts";
import { quote } from "../base/quote.ts";
import { parseSize } from "../base/size.ts";
import { commandHint } from "./commands.ts";
import { applyConfigFiles, type FilesOutcome } from "./file_options.ts";
import { checkTlsFiles, draftTls } from "./file_tls.ts";
import type { ConfigNote } from "./file_values.ts";
import { type FlagSetting, type FlagValue, parseBool, parseFlags } from "./flags.ts";
import type { ConfigSources, FileText } from "./language/parser.ts";
import { placeText } from "./language/values.ts";
import { IDLE, isIdle, isLater, LATER, type OptionField, type OptionRow, optionsFor } from "./option_table.ts";
import {
  defaultOptions,
  draftOptions,
  freezeOptions,
  type LogOptions,
  type Options,
  type OptionsDraft,
  type TlsOptions,
} from "./option_types.ts";
import { getField, setField } from "./set_field.ts";
import { validate, validateMonitor } from "./validate.ts";

export { resolveChannelLimits } from "./limits.ts";
export type { ResolvedChannelLimits, ResolvedEntry, ResolvedLimits } from "./limits.ts";
export { DEFAULT_LIMITS, defaultOptions } from "./option_types.ts";
export type {
  AuthOptions,
  ChannelLimitsEntry,
  ConfigFileOptions,
  ConnectionType,
  ConsoleOptions,
  EncryptionOptions,
  FileOptions,
  HeartbeatOptions,
  LimitOptions,
  LoginOptions,
  LogOptions,
  NatsOptions,
  NkeyOptions,
  Options,
  PermissionOptions,
  SubjectPermission,
  TlsOptions,
  UserOptions,
  WebSocketOptions,
} from "./option_types.ts";
export type { ConfigNote } from "./file_values.ts";
export type { ConfigSources, FileText } from "./language/parser.ts";

/** What a command line asks for. */
export type ParsedCommandLine =
  | {
    /** checked: `-t`, nothing is started. */
    readonly kind: "run" | "checked";
    readonly options: Options;
    /** Lines for stderr. */
    readonly warnings: readonly string[];
    /** Lines for the log. */
    readonly notes: readonly ConfigNote[];
    /** Of the command line or else the file; empty = none. Beside the options, so that nobody shows it with them. */
    readonly encryptionKey: string;
  }
  | { readonly kind: "version" }
  | { readonly kind: "help" }
  | { readonly kind: "helpTls" }
  /** `-sl`: no server is started; one that runs is told something. */
  | { readonly kind: "signal"; readonly signal: string }
  | CommandLineError;

/** A command line that cannot be followed. */
export interface CommandLineError {
  readonly kind: "error";
  /** Lines for stderr, the reason first. */
  readonly messages: readonly string[];
  /** 2: flags not understood or not available (decisions.md 6). 1: understood, but the server cannot start so. */
  readonly exitCode: 1 | 2;
  /**
   * The reference tells this reason in a log line, and scripts look for it there: `[FTL] STREAM: Failed to start: REASON`
   * for "streaming", `[FTL] REASON` for "core". Only the first message is for that line.
   */
  readonly startFailure: "streaming" | "core" | false;
  /** Where that line goes. */
  readonly log: LogOptions;
}

type Step<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: CommandLineError };

function failure(exitCode: 1 | 2, ...messages: string[]): CommandLineError {
  return { kind: "error", messages, exitCode, startFailure: false, log: defaultOptions().log };
}

function startFailure(reason: string): CommandLineError {
  return { ...failure(1, reason), startFailure: "streaming" };
}

function coreFailure(reason: string): CommandLineError {
  return { ...failure(1, reason), startFailure: "core" };
}

/** The variable with the console's token; it beats the file, as the encryption key's does. */
export const CONSOLE_TOKEN_VARIABLE = "STANCHION_CONSOLE_TOKEN";

/** For programs that read no files. */
const NO_SOURCES: ConfigSources = Object.freeze({
  readFile: (): FileText => ({ ok: false, reason: "no files can be read here" }),
  env: () => undefined,
});

/**
 * Reads the arguments that follow the program's name, and the files they name, through `sources`. The command line
 * wins over the files (decisions.md 7).
 */
export function parseCommandLine(
  args: readonly string[],
  programName: string,
  sources: ConfigSources = NO_SOURCES,
): ParsedCommandLine {
  const draft = draftOptions(programName);
  const usage = `Run "${programName} --help" to see the options.`;
  const flags = parseFlags(optionsFor(draft.coreOnly), args);
  if (!flags.ok) return failure(2, flags.error, usage);

  const last = lastOfEachRow(flags.settings);
  const word = flags.positional[0];
  if (asksFor(last, "version")) return { kind: "version" };
  if (asksFor(last, "help")) return { kind: "help" };
  if (asksFor(last, "helpTls")) return { kind: "helpTls" };
  if (word !== undefined) {
    if (word.toLowerCase() === "version") return { kind: "version" };
    if (word.toLowerCase() === "help") return { kind: "help" };
    const near = word === args[0] ? commandHint(word, programName) : "";
    return strayWord(word, near, args[args.length - flags.positional.length - 1], flags.settings, usage);
  }

  const signal = textOf(last, "signal") ?? "";
  if (signal !== "") return { kind: "signal", signal };

  const refused = last.filter((setting) => isLater(setting.row.status));
  if (refused.length > 0) return failure(2, ...refused.map(notAvailable), usage);

  draft.configFiles = {
    nats: textOf(last, "config") ?? "",
    streaming: textOf(last, "streamingConfig") ?? "",
  };
  const onlyCheck = asksFor(last, "checkConfig");
  if (onlyCheck && draft.configFiles.nats === "" && draft.configFiles.streaming === "") {
    return failure(1, "must specify [-c, --config] option to check configuration file syntax");
  }
  const files = applyConfigFiles(draft, sources);
  if (files.errors.length > 0) return failure(1, ...files.errors);
  const applied = applySettings(draft, last, files, sources);
  // Whoever only checks looks at stderr.
  const told = (error: CommandLineError) => onlyCheck ? error : { ...error, log: freezeOptions(draft).log };
  if (!applied.ok) return told(applied.error);
  const tokenNotes = applyConsoleToken(draft, files, sources);
  normalize(draft, files.hasAuthTimeout);
  const reason = validate(draft, files.hasUserList);
  if (reason !== undefined) return told(startFailure(reason));
  const monitorReason = validateMonitor(draft);
  if (monitorReason !== undefined) return told(coreFailure(monitorReason));
  return {
    kind: onlyCheck ? "checked" : "run",
    options: freezeOptions(draft),
    warnings: files.warnings,
    notes: [...files.notes, ...applied.value, ...tokenNotes],
    encryptionKey: textOf(last, "encryptionKey") ?? files.encryptionKey?.text ?? "",
  };
}

/**
 * What the options ask for and the server does not do yet, one line each. A server that started all the same would be
 * open where its operator believes it closed, so `main` refuses.
 */
export function unsupportedFeatures(options: Options): readonly string[] {
  const { tls, websocket } = options;
  const isOpen = websocket !== undefined && websocket.port !== 0;
  const features: readonly (readonly [boolean, string])[] = [
    [isOpen && websocket.jwtCookie !== "", "jwt_cookie of the WebSocket port, which needs JWTs"],
    [isOpen && (websocket.tls?.cipherSuites.length ?? 0) > 0, "a choice of TLS cipher suites for WebSockets"],
    [isOpen && (websocket.tls?.curvePreferences.length ?? 0) > 0, "a choice of TLS curves for WebSockets"],
    [isOpen && (websocket.tls?.connectionRateLimit ?? 0) > 0, "a limit on the rate of TLS connections for WebSockets"],
    [(tls?.cipherSuites.length ?? 0) > 0, "a choice of TLS cipher suites (cipher_suites)"],
    [(tls?.curvePreferences.length ?? 0) > 0, "a choice of TLS curves (curve_preferences)"],
  ];
  return features.filter(([isAsked]) => isAsked).map(([, name]) =>
    `${name}: not available in this version; leave it out`
  );
}

/** The setting that counts for each row, in the order of the command line. */
function lastOfEachRow(settings: readonly FlagSetting[]): readonly FlagSetting[] {
  const last = new Map<OptionRow, FlagSetting>();
  for (const setting of settings) {
    last.delete(setting.row);
    last.set(setting.row, setting);
  }
  return [...last.values()];
}

function asksFor(settings: readonly FlagSetting[], effect: OptionRow["effect"]): boolean {
  return settings.some((setting) => setting.row.effect === effect && setting.value === true);
}

function strayWord(
  word: string,
  near: string,
  argumentBefore: string | undefined,
  settings: readonly FlagSetting[],
  usage: string,
): CommandLineError {
  const reason = `unrecognized command: ${quote(word)}${near}`;
  const before = settings.at(-1);
  // `-SD true` is what people write who come from other parsers; `-SD=true` is what works.
  const followsBoolean = before?.row.type === "bool" && argumentBefore?.replace(/^--?/, "") === before.name;
  if (!followsBoolean || parseBool(word) === undefined) return failure(1, reason, usage);
  return failure(1, reason, `The value of a boolean flag needs an equals sign: -${before.name}=${word}`);
}

function notAvailable(setting: FlagSetting): string {
  const { status } = setting.row;
  assert(isLater(status), "only refused flags come here");
  return `flag -${setting.name} is not available in this version of stanchion: ${LATER[status]}`;
}

/** The text of a flag that does more than set a field; undefined = not given. */
function textOf(settings: readonly FlagSetting[], effect: OptionRow["effect"]): string | undefined {
  const setting = settings.find((candidate) => candidate.row.effect === effect);
  return setting === undefined ? undefined : String(setting.value);
}

/** The value of a boolean flag that does more than set a field; undefined = not given. */
function flagOf(settings: readonly FlagSetting[], effect: OptionRow["effect"]): boolean | undefined {
  const setting = settings.find((candidate) => candidate.row.effect === effect);
  return setting === undefined ? undefined : setting.value === true;
}

/** What the command line overrides in the files. */
type Notes = ConfigNote[];

/**
 * Plain fields first, flags that set several fields after them: `-D -DV=false` leaves debug off (1.2 step 6). Gives
 * a note for every value of a file that is overridden.
 */
function applySettings(
  draft: OptionsDraft,
  settings: readonly FlagSetting[],
  files: FilesOutcome,
  sources: ConfigSources,
): Step<readonly ConfigNote[]> {
  const notes: Notes = [];
  const override = (flag: string, field: OptionField, value: FlagValue): void => {
    const at = files.setAt.get(field);
    const old = getField(draft, field);
    if (at !== undefined && old !== value) {
      noteOverride(notes, `-${flag} ${shown(value)}`, `${shown(old)} of ${placeText(at)}`);
    }
    setField(draft, field, value);
  };
  for (const setting of settings) {
    const { field } = setting.row;
    if (field === undefined) continue;
    const value = fieldValue(setting);
    if (!value.ok) return value;
    override(setting.name, field, value.value);
  }
  for (const { row, name, value } of settings) {
    if (isIdle(row.status)) {
      // What is the case anyway may be asked for.
      if (String(value) !== row.default) {
        notes.push({ level: "warning", text: `-${name} has no effect: ${IDLE[row.status]}` });
      }
    } else if (row.effect === "coreTrace") {
      override(name, "log.trace", value === true);
    } else if (row.effect === "coreDebugTrace") {
      override(name, "log.debug", value === true);
      override(name, "log.trace", value === true);
    } else if (row.effect === "streamingDebugTrace") {
      override(name, "log.streamingDebug", value === true);
      override(name, "log.streamingTrace", value === true);
    }
  }
  applyEncryptionKey(draft, textOf(settings, "encryptionKey"), files, notes);
  const error = applyStore(draft, textOf(settings, "store"), files, notes) ??
    applyLogin(draft, settings, files, notes) ??
    applyTls(draft, settings, sources, notes);
  return error === undefined ? { ok: true, value: notes } : { ok: false, error };
}

function noteOverride(notes: Notes, flag: string, what: string): void {
  notes.push({ level: "info", text: `${flag} on the command line overrides ${what}` });
}

/** The file that the NATS half came from. */
function natsFile({ configFiles }: OptionsDraft): string {
  return configFiles.nats === "" ? configFiles.streaming : configFiles.nats;
}

function shown(value: unknown): string {
  return typeof value === "string" ? quote(value) : String(value);
}

/** The store of the file counts unless a flag names one, so it is judged here. */
function applyStore(
  draft: OptionsDraft,
  flag: string | undefined,
  files: FilesOutcome,
  notes: Notes,
): CommandLineError | undefined {
  const { store } = files;
  if (flag !== undefined && store !== undefined && store.type !== flag.toUpperCase()) {
    noteOverride(notes, `-store ${flag}`, `${store.type} of ${placeText(store.at)}`);
  }
  const type = (flag ?? store?.type ?? draft.store).toUpperCase();
  switch (type) {
    case "MEMORY":
    case "FILE":
      draft.store = type;
      return undefined;
    case "SQL":
      return failure(
        2,
        "store type SQL is not available in this version of stanchion: use -store FILE with -dir, which keeps messages on disk",
      );
    default:
      return startFailure(`unsupported store type: ${type}`);
  }
}

/** A key switches encryption on, even if `encrypt` says no (stores.md 8.1). What it is goes into no text. */
function applyEncryptionKey(draft: OptionsDraft, flag: string | undefined, files: FilesOutcome, notes: Notes): void {
  const { encryptionKey } = files;
  if (flag !== undefined && encryptionKey !== undefined && flag !== encryptionKey.text) {
    noteOverride(notes, "-encryption_key", `the one of ${placeText(encryptionKey.at)}`);
  }
  const key = flag ?? encryptionKey?.text ?? "";
  if (key !== "") draft.encryption.enabled = true;
  if (flag === undefined || flag === "") return;
  notes.push(
    visible(
      "-encryption_key",
      "Give the key in the environment variable NATS_STREAMING_ENCRYPTION_KEY, together with -encrypt",
    ),
  );
}

/** A secret on the command line; what it is goes into no text. */
function visible(flag: string, advice: string): ConfigNote {
  const text =
    `${flag} on the command line can be read by everybody who may list the processes of this machine. ${advice}`;
  return { level: "warning", text };
}

/** The token goes into no text. */
function applyConsoleToken(draft: OptionsDraft, files: FilesOutcome, sources: ConfigSources): Notes {
  const token = sources.env(CONSOLE_TOKEN_VARIABLE) ?? "";
  if (token === "" || draft.coreOnly) return [];
  const at = files.setAt.get("console.token");
  const isOverride = at !== undefined && draft.console.token !== token;
  draft.console.token = token;
  if (!isOverride) return [];
  return [{
    level: "info",
    text: `The console token of ${CONSOLE_TOKEN_VARIABLE} is used, not the one of ${placeText(at)}`,
  }];
}

/** `-user`, `-pass`, `-auth`: the single user or token of the server; with a list of users, only who we log in as. */
function applyLogin(
  draft: OptionsDraft,
  settings: readonly FlagSetting[],
  files: FilesOutcome,
  notes: Notes,
): CommandLineError | undefined {
  const user = textOf(settings, "user") ?? "";
  const password = textOf(settings, "password") ?? "";
  const token = textOf(settings, "token") ?? "";
  const hasUser = user !== "" || password !== "";
  if (hasUser && token !== "") return failure(1, "Cannot have a user/pass and token");
  if (!hasUser && token === "") return undefined;
  const advice = "Put it into the authorization block of a configuration file";
  if (password !== "") notes.push(visible("-pass", advice));
  if (token !== "") notes.push(visible("-auth", advice));
  if (files.hasUserList) {
    draft.login = { ...draft.login, user, password, token };
    return undefined;
  }
  const [single] = draft.auth.users;
  if (hasUser) {
    const name = user === "" ? single?.user ?? "" : user;
    // The reference ignores such a password and lets everybody in.
    if (name === "") return failure(1, "-pass needs a user: give -user too");
    if (single !== undefined || draft.auth.token !== "") {
      noteOverride(notes, "-user or -pass", `the authorization block of ${natsFile(draft)}`);
    }
    const secret = textOf(settings, "password") === undefined ? single?.password ?? "" : password;
    draft.auth = { ...draft.auth, users: [{ user: name, password: secret }], token: "" };
    return undefined;
  }
  if (single !== undefined || (draft.auth.token !== "" && draft.auth.token !== token)) {
    noteOverride(notes, "-auth", `the authorization block of ${natsFile(draft)}`);
  }
  draft.auth = { ...draft.auth, users: [], token };
  return undefined;
}

/** `-tls…`: any of them replaces the TLS of the file as a whole (operations.md 6.1). */
function applyTls(
  draft: OptionsDraft,
  settings: readonly FlagSetting[],
  sources: ConfigSources,
  notes: Notes,
): CommandLineError | undefined {
  const isOn = flagOf(settings, "tls");
  const certFile = textOf(settings, "tlsCert");
  const keyFile = textOf(settings, "tlsKey");
  const caFile = textOf(settings, "tlsCa");
  const verify = flagOf(settings, "tlsVerify");
  const isGiven = certFile !== undefined || keyFile !== undefined || caFile !== undefined || verify !== undefined;
  if (isOn === undefined && !isGiven) return undefined;
  if (draft.tls !== undefined) noteOverride(notes, "-tls…", `the tls block of ${natsFile(draft)}`);
  if (isOn === false) {
    draft.tls = undefined;
    return undefined;
  }
  if ((certFile ?? "") === "") return failure(1, "TLS Server certificate must be present and valid");
  if ((keyFile ?? "") === "") return failure(1, "TLS Server private key must be present and valid");
  const tls: TlsOptions = {
    ...draftTls(),
    certFile: certFile ?? "",
    keyFile: keyFile ?? "",
    caFile: caFile ?? "",
    verify: verify === true,
  };
  const reason = checkTlsFiles(tls, sources);
  if (reason !== undefined) return failure(1, reason);
  draft.tls = tls;
  return undefined;
}

function fieldValue(setting: FlagSetting): Step<FlagValue> {
  if (setting.row.type !== "size") return { ok: true, value: setting.value };
  const text = String(setting.value);
  const size = parseSize(text);
  if (size.ok) return { ok: true, value: size.bytes };
  const reason = `${setting.name} should be a size, got '${text}'`;
  return { ok: false, error: failure(1, reason, `The value is ${size.error}.`) };
}

/** Values that mean the same as another value become that value, so that nobody else has to know. */
function normalize(draft: OptionsDraft, hasAuthTimeout: boolean): void {
  if (draft.host === "") draft.host = "0.0.0.0";
  // The reference takes 0 for "not set".
  if (draft.port === 0) draft.port = 4222;
  draft.httpBasePath = basePath(draft.httpBasePath);
  draft.encryption.cipher = draft.encryption.cipher.toUpperCase();
  draft.ioBatchSize = Math.max(1, draft.ioBatchSize);
  draft.ioSleepTimeUs = Math.max(0, draft.ioSleepTimeUs);
  draft.log.sizeLimitBytes = Math.max(0, draft.log.sizeLimitBytes);
  draft.log.maxTracedMessageBytes = Math.max(0, draft.log.maxTracedMessageBytes);
  const { nats, tls } = draft;
  const defaults = draftOptions(draft.programName).nats;
  for (const name of ZERO_IS_DEFAULT) if (nats[name] === 0) nats[name] = defaults[name];
  if (nats.maxConnections < 0) nats.maxConnections = Number.MAX_SAFE_INTEGER;
  nats.maxSubscriptions = Math.max(0, nats.maxSubscriptions);
  // The handshake comes before CONNECT and takes its own time.
  if (!hasAuthTimeout && tls !== undefined) draft.auth.timeoutMs = tls.timeoutMs + AUTH_AFTER_TLS_MS;
  nats.authTimeoutMs = draft.auth.timeoutMs;
}

/** The form that paths are compared with: the reference joins the parts and cleans what comes out. */
function basePath(text: string): string {
  const parts: string[] = [];
  for (const part of text.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

const AUTH_AFTER_TLS_MS = 1_000;

/** The reference takes 0 for "not set" in these options of a file. */
const ZERO_IS_DEFAULT = Object.freeze(
  [
    "maxConnections",
    "maxPayload",
    "maxPendingBytes",
    "maxControlLine",
    "pingIntervalMs",
    "pingMax",
    "writeDeadlineMs",
    "lameDuckGraceMs",
  ] as const,
);
