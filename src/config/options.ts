/**
 * From arguments to one frozen `Options`. Pure: nothing is read, opened or printed here; `main` does that with the
 * answer. The order of steps is the reference's (operations.md 1.2), because it decides which of two errors is told.
 */
import { assert } from "../base/assert.ts";
import { formatDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import { parseSize } from "../base/size.ts";
import { type FlagSetting, type FlagValue, parseBool, parseFlags } from "./flags.ts";
import { validateLimits } from "./limits.ts";
import { LATER, type OptionField, type OptionRow, optionsFor } from "./option_table.ts";
import { draftOptions, freezeOptions, type Options, type OptionsDraft } from "./option_types.ts";

export { resolveChannelLimits } from "./limits.ts";
export type { ResolvedChannelLimits, ResolvedEntry, ResolvedLimits } from "./limits.ts";
export { DEFAULT_LIMITS, defaultOptions } from "./option_types.ts";
export type {
  ChannelLimitsEntry,
  HeartbeatOptions,
  LimitOptions,
  LogOptions,
  NatsOptions,
  Options,
} from "./option_types.ts";

/** What a command line asks for. */
export type ParsedCommandLine =
  | { readonly kind: "run"; readonly options: Options }
  | { readonly kind: "version" }
  | { readonly kind: "help" }
  | { readonly kind: "helpTls" }
  | CommandLineError;

/** A command line that cannot be followed. */
export interface CommandLineError {
  readonly kind: "error";
  /** Lines for stderr, the reason first. */
  readonly messages: readonly string[];
  /** 2: flags not understood or not available (decisions.md 6). 1: understood, but the server cannot start so. */
  readonly exitCode: 1 | 2;
  /**
   * The reference tells this reason in a log line, `[FTL] STREAM: Failed to start: REASON`, and scripts look for it
   * there. Only the first message is for that line.
   */
  readonly startFailure: boolean;
}

type Step<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: CommandLineError };

function failure(exitCode: 1 | 2, ...messages: string[]): CommandLineError {
  return { kind: "error", messages, exitCode, startFailure: false };
}

function startFailure(reason: string): CommandLineError {
  return { kind: "error", messages: [reason], exitCode: 1, startFailure: true };
}

/** Reads the arguments that follow the program's name. */
export function parseCommandLine(args: readonly string[], programName: string): ParsedCommandLine {
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
    return strayWord(word, args[args.length - flags.positional.length - 1], flags.settings, usage);
  }

  const refused = last.filter((setting) => setting.row.status !== "available");
  if (refused.length > 0) return failure(2, ...refused.map(notAvailable), usage);

  const applied = applySettings(draft, last);
  if (applied !== undefined) return applied;
  normalize(draft);
  const reason = validate(draft);
  return reason === undefined ? { kind: "run", options: freezeOptions(draft) } : startFailure(reason);
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
  argumentBefore: string | undefined,
  settings: readonly FlagSetting[],
  usage: string,
): CommandLineError {
  const reason = `unrecognized command: ${quote(word)}`;
  const before = settings.at(-1);
  // `-SD true` is what people write who come from other parsers; `-SD=true` is what works.
  const followsBoolean = before?.row.type === "bool" && argumentBefore?.replace(/^--?/, "") === before.name;
  if (!followsBoolean || parseBool(word) === undefined) return failure(1, reason, usage);
  return failure(1, reason, `The value of a boolean flag needs an equals sign: -${before.name}=${word}`);
}

function notAvailable(setting: FlagSetting): string {
  const { status } = setting.row;
  assert(status !== "available", "only refused flags come here");
  return `flag -${setting.name} is not available in this version of stanchion: ${LATER[status]}`;
}

/** Plain fields first, flags that set several fields after them: `-D -DV=false` leaves debug off (1.2 step 6). */
function applySettings(draft: OptionsDraft, settings: readonly FlagSetting[]): CommandLineError | undefined {
  for (const setting of settings) {
    const { field } = setting.row;
    if (field === undefined) continue;
    const value = fieldValue(setting);
    if (!value.ok) return value.error;
    setField(draft, field, value.value);
  }
  for (const setting of settings) {
    switch (setting.row.effect) {
      case "coreDebugTrace":
        draft.log.debug = setting.value === true;
        draft.log.trace = setting.value === true;
        break;
      case "streamingDebugTrace":
        draft.log.streamingDebug = setting.value === true;
        draft.log.streamingTrace = setting.value === true;
        break;
      case "store": {
        const refused = checkStore(String(setting.value));
        if (refused !== undefined) return refused;
        break;
      }
    }
  }
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

function checkStore(text: string): CommandLineError | undefined {
  const store = text.toUpperCase();
  switch (store) {
    case "MEMORY":
      return undefined;
    case "FILE":
    case "SQL":
      return failure(
        2,
        `store type ${store} is not available in this version of stanchion: ` +
          "use -store MEMORY, which keeps messages only while the server runs",
      );
    default:
      return startFailure(`unsupported store type: ${store}`);
  }
}

/** Sets a field by its path. The table's test proves that path and type exist; the asserts keep it so. */
function setField(draft: OptionsDraft, field: OptionField, value: FlagValue): void {
  const steps = field.split(".");
  const name = steps.pop() ?? "";
  let part: object = draft;
  for (const step of steps) {
    const inner: unknown = Reflect.get(part, step);
    assert(typeof inner === "object" && inner !== null, `option field ${field} has no place`);
    part = inner;
  }
  assert(typeof Reflect.get(part, name) === typeof value, `option field ${field} has another type`);
  Reflect.set(part, name, value);
}

/** Values that mean the same as another value become that value, so that nobody else has to know. */
function normalize(draft: OptionsDraft): void {
  if (draft.host === "") draft.host = "0.0.0.0";
  // The reference takes 0 for "not set".
  if (draft.port === 0) draft.port = 4222;
  draft.ioBatchSize = Math.max(1, draft.ioBatchSize);
  draft.ioSleepTimeUs = Math.max(0, draft.ioSleepTimeUs);
  draft.log.sizeLimitBytes = Math.max(0, draft.log.sizeLimitBytes);
  draft.log.maxTracedMessageBytes = Math.max(0, draft.log.maxTracedMessageBytes);
}

/** The reason why the server cannot start with these options, or undefined. */
function validate(draft: OptionsDraft): string | undefined {
  const limits = validateLimits(draft.limits);
  if (limits !== undefined) return limits;
  if (!isSubjectPart(draft.clusterId)) {
    return "could not subscribe to discover subject: nats: invalid subject " +
      `(cluster ID ${quote(draft.clusterId)} is empty, or has blanks or empty parts)`;
  }
  for (const [name, port] of [["port", draft.port], ["http_port", draft.httpPort]] as const) {
    if (port < -1 || port > 65_535) return `${name} ${port} is outside of 1 to 65535 (-1 picks a free one)`;
  }
  const { intervalMs, timeoutMs, failCount } = draft.heartbeat;
  for (const [name, ms] of [["hb_interval", intervalMs], ["hb_timeout", timeoutMs]] as const) {
    if (ms <= 0) return `${name} must be positive (${formatDuration(ms)})`;
  }
  if (failCount < 0) return `hb_fail_count cannot be negative (${failCount})`;
  return undefined;
}

/** The cluster ID becomes tokens of protocol subjects. */
function isSubjectPart(text: string): boolean {
  return !/\s/.test(text) && text.split(".").every((token) => token !== "");
}
