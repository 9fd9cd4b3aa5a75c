/** Payloads and log lines: what became no more public by an open monitoring port than it was. */
import { displayText } from "../../base/bytes.ts";
import type { RecentLine, RecentQuery } from "../../log/recent.ts";
import type { Channel } from "../../streaming/channel.ts";
import type { BrowsedMessage, BrowseResult } from "../../streaming/browse.ts";
import { rfc3339 } from "../json.ts";
import { ConsoleError } from "./answers.ts";
import { numberOf } from "./lists.ts";
import type { ConsoleView } from "./view.ts";

const MESSAGES_DEFAULT = 25;
const MESSAGES_MAX = 100;
const LINES_DEFAULT = 200;
const LINES_MAX = 1000;
/** A disk that does not answer must not hold a request for ever. */
const READ_TIMEOUT_MS = 10_000;
const LEVELS = ["FTL", "ERR", "WRN", "INF", "DBG", "TRC"] as const;

/** `GET channels/NAME/messages` */
export async function messagePage(view: ConsoleView, channel: Channel, query: URLSearchParams): Promise<unknown> {
  const limit = numberOf(query, "limit", MESSAGES_DEFAULT, 1, MESSAGES_MAX);
  const direction = query.get("direction") ?? "forward";
  if (direction !== "forward" && direction !== "back") {
    throw new ConsoleError("BAD_REQUEST", `"direction" is "forward" or "back"`);
  }
  const isBackward = direction === "back";
  const standard = isBackward ? Number.MAX_SAFE_INTEGER : 1;
  const from = numberOf(query, "from", standard, 0, Number.MAX_SAFE_INTEGER);
  const result = await withinTime(view, view.browse({ channel, from, limit, isBackward }));
  switch (result.kind) {
    case "gone":
      throw new ConsoleError("NOT_FOUND", `there is no channel "${displayText(channel.name)}" any more`);
    case "busy":
      throw new ConsoleError("NOT_READY", "too many requests wait for the disk: try again");
    case "page":
      return { first_seq: result.first, last_seq: result.last, messages: result.messages.map(messageObject) };
  }
}

function withinTime(view: ConsoleView, reading: Promise<BrowseResult>): Promise<BrowseResult> {
  return new Promise((resolve, reject) => {
    const timer = view.after(
      READ_TIMEOUT_MS,
      () =>
        reject(new ConsoleError("STORE_FAILED", "the disk of the store does not answer: try again, and see the log")),
    );
    reading.then((result) => {
      timer.stop();
      resolve(result);
    }, reject);
  });
}

function messageObject({ sequence, stampHigh, stampLow, reply, sizeBytes, data, isUnreadable }: BrowsedMessage) {
  if (isUnreadable) {
    return { sequence, time: null, size: 0, reply: "", data_base64: "", truncated: false, unreadable: true };
  }
  return {
    sequence,
    time: rfc3339({ high: stampHigh, low: stampLow }, 0),
    size: sizeBytes,
    reply: displayText(reply),
    data_base64: base64(data),
    truncated: data.length < sizeBytes,
  };
}

/** In portions: a call may have only so many arguments. */
function base64(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return btoa(text);
}

/** `GET log` */
export function logLines(view: ConsoleView, query: URLSearchParams): unknown {
  const name = (query.get("level") ?? "").toUpperCase();
  const level: RecentQuery["level"] = LEVELS.find((one) => one === name);
  if (name !== "" && level === undefined) {
    throw new ConsoleError("BAD_REQUEST", `"level" is one of ${LEVELS.join(", ")}: lines that are at least as grave`);
  }
  const lines = view.recent.find({
    after: numberOf(query, "after", 0, 0, Number.MAX_SAFE_INTEGER),
    limit: numberOf(query, "limit", LINES_DEFAULT, 1, LINES_MAX),
    level,
    search: query.get("search") ?? "",
  });
  return { last_id: view.recent.lastId, lines: lines.map(lineObject) };
}

function lineObject({ id, stampHigh, stampLow, level, source, text }: RecentLine) {
  return { id, time: rfc3339({ high: stampHigh, low: stampLow }, 0), level, source, text };
}
