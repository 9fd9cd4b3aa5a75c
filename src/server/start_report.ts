/**
 * What an operator should know about the options before something happens: those that can lose messages, open a door, or
 * change nothing. Pure. A server that was told nothing has nothing to report, so that its log is the reference's.
 */
import { formatDuration } from "../base/duration.ts";
import { formatSize } from "../base/size.ts";
import type { ConfigNote, Options } from "../config/options.ts";
import { DEFAULT_LIMITS } from "../config/options.ts";

const IO_BATCH_SIZE_DEFAULT = 1024;
const AUTO_SYNC_DEFAULT_MS = 60_000;
/** A token that can be guessed at ten attempts a minute and address is none. */
const TOKEN_LENGTH_MIN = 16;

/** Lines for the log, warnings first. */
export function startReport(options: Options): readonly ConfigNote[] {
  const notes = [
    ...monitorNotes(options),
    ...(options.coreOnly ? [] : [...storeNotes(options), ...limitNotes(options), ...ioNotes(options)]),
  ];
  return notes.toSorted((a, b) => Number(a.level === "info") - Number(b.level === "info"));
}

function warning(text: string): ConfigNote {
  return { level: "warning", text };
}

function info(text: string): ConfigNote {
  return { level: "info", text };
}

function* storeNotes({ store, file, encryption }: Options): Iterable<ConfigNote> {
  if (store === "MEMORY") {
    if (file.dir !== "") {
      yield warning(
        `The store is MEMORY: nothing is written to ${file.dir}, and all messages are gone when the server stops. ` +
          "To keep them, give -store FILE",
      );
    }
    if (encryption.enabled) yield info("The store is MEMORY: encryption protects nothing that outlives the process");
    return;
  }
  if (!file.sync) {
    const within = file.autoSyncMs > 0
      ? `those of the last ${formatDuration(file.autoSyncMs)}`
      : "any number of them, because file_auto_sync is off, too";
    yield warning(`file_sync is off: a power cut loses messages that were acknowledged, ${within}`);
  } else if (file.autoSyncMs <= 0) {
    yield warning(
      "file_auto_sync is off: after a power cut, messages that were acknowledged by subscribers may be delivered again, " +
        "however old they are",
    );
  } else if (file.autoSyncMs > AUTO_SYNC_DEFAULT_MS) {
    yield info(
      `file_auto_sync is ${
        formatDuration(file.autoSyncMs)
      }: a power cut may deliver again what subscribers acknowledged ` +
        "in that time",
    );
  }
  if (!file.crc) yield warning("file_crc is off: a message that the disk has damaged is delivered as it is");
  if (file.truncateBadEnd) {
    yield warning(
      "file_truncate_bad_eof changes nothing: what a crash cut short is healed at every start. Leave it out, " +
        "because a second start in a row with it is refused",
    );
  }
}

/** Limits that are ours to tell: those that somebody set. What they remove, publishers were told is stored. */
function* limitNotes({ limits, file, store }: Options): Iterable<ConfigNote> {
  const parts: string[] = [];
  const { maxMessages, maxBytes, maxAgeMs, maxInactivityMs } = limits;
  if (maxMessages !== 0 && maxMessages !== DEFAULT_LIMITS.maxMessages) parts.push(`beyond ${maxMessages} messages`);
  if (maxBytes !== 0 && maxBytes !== DEFAULT_LIMITS.maxBytes) parts.push(`beyond ${formatSize(maxBytes)}`);
  if (maxAgeMs !== 0) parts.push(`older than ${formatDuration(maxAgeMs)}`);
  if (parts.length > 0) {
    const kept = store === "FILE" && file.sliceArchiveScript !== "" ? ", the archive script gets their slices" : "";
    yield info(`Limits remove messages from each channel, also unread ones: ${parts.join(", ")}${kept}`);
  }
  if (maxInactivityMs !== 0) {
    yield info(
      `max_inactivity removes a channel with all its messages when it has no subscription and no new message for ` +
        formatDuration(maxInactivityMs),
    );
  }
}

function* ioNotes({ ioBatchSize, ioSleepTimeUs }: Options): Iterable<ConfigNote> {
  if (ioBatchSize === IO_BATCH_SIZE_DEFAULT && ioSleepTimeUs === 0) return;
  yield warning("io_batch_size and io_sleep_time have no effect: a batch is what one turn of the event loop brings");
}

function* monitorNotes(options: Options): Iterable<ConfigNote> {
  const { httpPort, httpsPort, console: { enabled, token, browse }, coreOnly } = options;
  if (httpPort === 0 && httpsPort === 0) {
    if (token !== "" && !coreOnly) {
      yield info("A console token is set, but there is no console: it needs a monitoring port (-m or -ms)");
    }
    return;
  }
  const host = options.httpHost === "" ? options.host : options.httpHost;
  const isPublic = !isLoopback(host);
  if (isPublic) {
    yield info(
      `The monitoring port is open to everybody who reaches ${host}: it shows clients, channels and addresses, and asks ` +
        'for no password. With http: "127.0.0.1:PORT" only this machine reaches it',
    );
  }
  if (coreOnly || !enabled) return;
  if (browse && isPublic) {
    yield warning(
      "console { browse: true } shows all messages to everybody who reaches the monitoring port, without a token",
    );
  }
  if (token !== "" && isPublic && httpsPort === 0) {
    yield warning(
      "The console token crosses the network in clear: use HTTPS (-ms), or let only this machine reach the port",
    );
  }
  if (token !== "" && token.length < TOKEN_LENGTH_MIN) {
    yield warning(`The console token is shorter than ${TOKEN_LENGTH_MIN} characters: it can be guessed`);
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
