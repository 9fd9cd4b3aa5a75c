/**
 * Actions of operators: a JSON object in, one line in the log, what was done out. A member that is not known is refused: a
 * misspelt `up_to` must not become "all of them".
 */
import { byteStringOfText } from "../../base/bytes.ts";
import { quote } from "../../base/quote.ts";
import type { HttpAnswer, HttpRequest } from "../../runtime/types.ts";
import type { AdminOutcome, AdminRequest, AdminTarget, RewindPosition } from "../../streaming/admin.ts";
import type { Channel } from "../../streaming/channel.ts";
import { ConsoleError, errorAnswer, jsonAnswer } from "./answers.ts";
import { channelOfText, resolveName } from "./names.ts";
import { parseTime } from "./time.ts";
import type { ConsoleView } from "./view.ts";

/** The header that no page of another site can send without being asked (there is no CORS here). */
const REQUESTED_WITH = "stanchion";
/** After it the answer says that the outcome is not known. */
const ACTION_TIMEOUT_MS = 30_000;
/** Longest text in a request: channel names have at most 255 bytes in a store on disk. */
const TEXT_CHARACTERS_MAX = 1024;

type Members = Readonly<Record<string, unknown>>;
type Build = (view: ConsoleView, members: Members) => AdminRequest;

const TARGET = ["channel", "durable_name", "client_id", "queue_name"];

/** By name: the members it knows, and how it becomes a request to the core. */
const ACTIONS: ReadonlyMap<string, { readonly known: readonly string[]; readonly build: Build }> = new Map([
  ["delete-channel", {
    known: ["channel", "force"],
    build: (view: ConsoleView, members: Members) => ({
      kind: "deleteChannel",
      channel: channelIn(view, members).name,
      force: flagIn(members, "force"),
    } as const),
  }],
  ["purge", {
    known: ["channel", "up_to"],
    build: (view: ConsoleView, members: Members) => ({
      kind: "purge",
      channel: channelIn(view, members).name,
      upTo: members["up_to"] === undefined ? undefined : sequenceIn(members, "up_to"),
    } as const),
  }],
  ["delete-durable", {
    known: [...TARGET, "force"],
    build: (view: ConsoleView, members: Members) => ({
      kind: "deleteDurable",
      ...targetIn(view, members),
      force: flagIn(members, "force"),
    } as const),
  }],
  ["pause", {
    known: TARGET,
    build: (view: ConsoleView, members: Members) => ({ kind: "pause", ...targetIn(view, members) } as const),
  }],
  ["resume", {
    known: TARGET,
    build: (view: ConsoleView, members: Members) => ({ kind: "resume", ...targetIn(view, members) } as const),
  }],
  ["rewind", {
    known: [...TARGET, "to"],
    build: (view: ConsoleView, members: Members) => ({
      kind: "rewind",
      ...targetIn(view, members),
      to: positionIn(members),
    } as const),
  }],
]);

/** Names of the actions. */
export const ACTION_NAMES: readonly string[] = [...ACTIONS.keys()];

/**
 * `POST actions/NAME`, from somebody who has shown the token. Throws {@link ConsoleError} for a request that is none; from
 * there on whatever happens leaves one line in the log before it is answered.
 */
export async function act(view: ConsoleView, name: string, request: HttpRequest): Promise<HttpAnswer> {
  const action = ACTIONS.get(name);
  if (action === undefined) {
    throw new ConsoleError("NOT_FOUND", `there is no action of that name, only ${ACTION_NAMES.join(", ")}`);
  }
  if (request.header("x-requested-with") !== REQUESTED_WITH) {
    throw new ConsoleError("BAD_REQUEST", `an action needs the header "X-Requested-With: ${REQUESTED_WITH}"`);
  }
  const members = membersOf(request.body);
  const who = describe(members);
  const audit = (result: string) => view.audit(`Console: ${name}${who} by ${request.remoteAddress}: ${result}`);
  try {
    for (const member of Object.keys(members)) {
      if (action.known.includes(member)) continue;
      throw new ConsoleError(
        "BAD_REQUEST",
        `${name} does not know ${quote(member.slice(0, 64))}, only ${action.known.join(", ")}`,
      );
    }
    const outcome = await withinTime(view, view.administer(action.build(view, members)));
    if (!outcome.ok) throw new ConsoleError(outcome.code, outcome.message);
    audit("done");
    return jsonAnswer(200, { ok: true, action: name, ...outcome.facts });
  } catch (error) {
    if (!(error instanceof ConsoleError)) throw error;
    audit(`failed: ${error.message}`);
    return errorAnswer(error);
  }
}

function withinTime(view: ConsoleView, acting: Promise<AdminOutcome>): Promise<AdminOutcome> {
  return new Promise((resolve, reject) => {
    const timer = view.after(ACTION_TIMEOUT_MS, () =>
      resolve({
        ok: false,
        code: "STORE_FAILED",
        message: "the disk of the store does not answer; whether it was done is seen when it does",
      }));
    acting.then((outcome) => {
      timer.stop();
      resolve(outcome);
    }, reject);
  });
}

/** ` channel="x" durable="y"`: what the request names, for the log. */
function describe(members: Members): string {
  let text = "";
  for (
    const [name, label] of [["channel", "channel"], ["durable_name", "durable"], ["client_id", "client"], [
      "queue_name",
      "queue",
    ]] as const
  ) {
    const value = members[name];
    if (typeof value === "string" && value !== "") text += ` ${label}=${quote(value.slice(0, 256))}`;
  }
  return text;
}

// Reading ----------------------------------------------------------------------------------------------------------------

function membersOf(body: string): Members {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ConsoleError("BAD_REQUEST", "the body is no JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConsoleError("BAD_REQUEST", `the body must be a JSON object, such as {"channel": "orders"}`);
  }
  return value as Members;
}

function textIn(members: Members, name: string): string {
  const value = members[name];
  if (value === undefined || value === null) return "";
  if (typeof value !== "string" || value.length > TEXT_CHARACTERS_MAX) {
    throw new ConsoleError("BAD_REQUEST", `"${name}" must be a text of at most ${TEXT_CHARACTERS_MAX} characters`);
  }
  return value;
}

function flagIn(members: Members, name: string): boolean {
  const value = members[name];
  if (value === undefined) return false;
  if (typeof value !== "boolean") throw new ConsoleError("BAD_REQUEST", `"${name}" must be true or false`);
  return value;
}

function sequenceIn(members: Members, name: string): number {
  const value = members[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) {
    throw new ConsoleError("BAD_REQUEST", `"${name}" must be a sequence: a whole number from 1 on`);
  }
  return value;
}

function channelIn(view: ConsoleView, members: Members): Channel {
  const text = textIn(members, "channel");
  if (text === "") throw new ConsoleError("BAD_REQUEST", `"channel" is missing`);
  return channelOfText(view.core, text);
}

function targetIn(view: ConsoleView, members: Members): { readonly channel: string; readonly target: AdminTarget } {
  const channel = channelIn(view, members);
  const durables = [...channel.durables.values()].map(({ record }) => record.durableName);
  const groups = [...channel.groups.keys()];
  const queue = byteStringOfText(textIn(members, "queue_name"));
  const durable = byteStringOfText(textIn(members, "durable_name"));
  // A durable group is known by both names at once.
  const group = queue === "" ? "" : resolveName(durable === "" ? queue : `${durable}:${queue}`, groups);
  const at = durable === "" ? -1 : group.indexOf(":");
  return {
    channel: channel.name,
    target: {
      durableName: queue === "" ? resolveName(durable, new Set(durables)) : at < 0 ? durable : group.slice(0, at),
      clientId: byteStringOfText(textIn(members, "client_id")),
      queueGroup: group.slice(at + 1),
    },
  };
}

function positionIn(members: Members): RewindPosition {
  const to = members["to"];
  if (to === "first" || to === "last") return { kind: to };
  if (typeof to === "object" && to !== null && !Array.isArray(to)) {
    const { sequence, time, ...others } = to as Members;
    if (Object.keys(others).length === 0 && (sequence === undefined) !== (time === undefined)) {
      if (time === undefined) return { kind: "sequence", sequence: sequenceIn({ sequence }, "sequence") };
      const stamp = typeof time === "string" ? parseTime(time) : undefined;
      if (stamp !== undefined) return { kind: "time", stampHigh: stamp.high, stampLow: stamp.low };
      throw new ConsoleError("BAD_REQUEST", `"time" must be a time after 1970 in RFC 3339: "2026-01-31T12:00:00Z"`);
    }
  }
  throw new ConsoleError("BAD_REQUEST", `"to" must be "first", "last", {"sequence": N} or {"time": "..."}`);
}
