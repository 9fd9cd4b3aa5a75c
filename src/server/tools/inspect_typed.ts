/** What clients.dat and subs.dat hold: the ranges of good records, the bytes that are none, and the state they give. */
import { SequenceSet } from "../../base/sequence_set.ts";
import { CLIENT_RECORD, RECORD_HEADER_BYTES, SUBSCRIPTION_RECORD, VERSION_BYTES } from "../../store/file/format.ts";
import { asideName, LOST_VERSION, LOST_VERSION_MENDED } from "../../store/file/recover.ts";
import { type BadRange, type RecordRules, scanRecords } from "../../store/file/scan.ts";
import type { SubscriptionRecord } from "../../store/types.ts";
import {
  decodeClientDelete,
  decodeClientInfo,
  decodeSubState,
  decodeSubStateDelete,
  decodeSubStateUpdate,
} from "../../wire/stan_server.ts";
import { type FileVersion, type InspectContext, sourceOf, versionOf } from "./inspect_slice.ts";
import { finding, type StoreFinding } from "./store_finding.ts";

/** A range of whole, good records. */
export interface GoodRange {
  readonly start: number;
  end: number;
}

export interface TypedInspection {
  readonly path: string;
  readonly sizeBytes: number;
  readonly version: FileVersion | "missing";
  readonly good: readonly GoodRange[];
  readonly bad: readonly BadRange[];
  readonly recordCount: number;
}

/** A subscription as the records leave it. */
export interface InspectedSubscription {
  readonly record: SubscriptionRecord;
  readonly pending: SequenceSet;
}

export interface SubscriptionsInspection extends TypedInspection {
  readonly subscriptions: ReadonlyMap<number, InspectedSubscription>;
  /** Highest id of all records, also of deleted subscriptions: it is not given again. */
  readonly idMax: number;
}

function inspect(
  context: InspectContext,
  path: string,
  types: readonly number[],
  replay: (type: number, bytes: Uint8Array, start: number, end: number) => boolean,
): TypedInspection {
  const { disk, crc } = context;
  const good: GoodRange[] = [];
  if (disk.stat(path) === undefined) return { path, sizeBytes: 0, version: "missing", good, bad: [], recordCount: 0 };
  const file = disk.open(path, "read");
  try {
    const source = sourceOf(file, context);
    const version = versionOf(source);
    let recordCount = 0;
    const rules: RecordRules = {
      typed: true,
      checkCrc: true,
      accept: (type, bytes, start, end) => types.includes(type) && replay(type, bytes, start, end),
      mayBegin: (type) => types.includes(type),
    };
    const { bad } = version === "none"
      ? { bad: [] }
      : scanRecords(source, VERSION_BYTES, rules, crc, (position, _type, _bytes, start, end) => {
        recordCount++;
        const recordEnd = position + RECORD_HEADER_BYTES + end - start;
        const range = good.at(-1);
        if (range?.end === position) range.end = recordEnd;
        else good.push({ start: position, end: recordEnd });
      });
    return { path, sizeBytes: source.size, version, good, bad, recordCount };
  } finally {
    file.close();
  }
}

/** Reads clients.dat. */
export function inspectClients(context: InspectContext, path: string): TypedInspection {
  return inspect(
    context,
    path,
    Object.values(CLIENT_RECORD),
    (type, bytes, start, end) =>
      (type === CLIENT_RECORD.add ? decodeClientInfo(bytes, start, end) : decodeClientDelete(bytes, start, end)) !==
        undefined,
  );
}

/** Reads subs.dat of a channel (stores.md 4.6). */
export function inspectSubscriptions(context: InspectContext, path: string): SubscriptionsInspection {
  const subscriptions = new Map<number, InspectedSubscription>();
  let idMax = 0;
  const typed = inspect(context, path, Object.values(SUBSCRIPTION_RECORD), (type, bytes, start, end) => {
    switch (type) {
      case SUBSCRIPTION_RECORD.create:
      case SUBSCRIPTION_RECORD.update: {
        const record = decodeSubState(bytes, start, end);
        if (record === undefined) return false;
        const known = type === SUBSCRIPTION_RECORD.update ? subscriptions.get(record.id) : undefined;
        if (known !== undefined) record.lastSent = Math.max(record.lastSent, known.record.lastSent);
        subscriptions.set(record.id, { record, pending: known?.pending ?? new SequenceSet() });
        idMax = Math.max(idMax, record.id);
        return true;
      }
      case SUBSCRIPTION_RECORD.delete: {
        const record = decodeSubStateDelete(bytes, start, end);
        if (record === undefined) return false;
        subscriptions.delete(record.id);
        idMax = Math.max(idMax, record.id);
        return true;
      }
      default: {
        const position = decodeSubStateUpdate(bytes, start, end);
        if (position === undefined) return false;
        const known = subscriptions.get(position.id);
        if (known === undefined || position.sequence <= 0) return true;
        if (type === SUBSCRIPTION_RECORD.ack) known.pending.delete(position.sequence);
        else {
          known.pending.add(position.sequence);
          known.record.lastSent = Math.max(known.record.lastSent, position.sequence);
        }
        return true;
      }
    }
  });
  return { ...typed, subscriptions, idMax };
}

/** What is wrong with such a file. `what`: what its records are. */
export function typedFindings(
  channel: string,
  file: string,
  what: string,
  { version, bad, recordCount, sizeBytes }: TypedInspection,
): StoreFinding[] {
  const findings: StoreFinding[] = [];
  const report = (fields: Omit<Parameters<typeof finding>[0], "file">) =>
    findings.push(finding({ channel, file, ...fields }));
  if (version === "missing") {
    report({ severity: "healed", text: "the file is missing", atStart: "it is created", byRepair: "it is created" });
    return findings;
  }
  if (version === "none") {
    const text = sizeBytes === 0 ? "the file is empty" : "the file has no version and no records";
    report({ severity: "healed", offset: 0, text, atStart: "it is begun anew", byRepair: "it is begun anew" });
    return findings;
  }
  if (version === "lost") {
    report({
      severity: "healed",
      offset: 0,
      text: LOST_VERSION,
      atStart: LOST_VERSION_MENDED,
      byRepair: LOST_VERSION_MENDED,
    });
  } else if (version !== "right") {
    report({
      severity: "fatal",
      offset: 0,
      text: `unsupported file version: ${version} (supports [1..1])`,
      atStart: "the server does not start",
      byRepair: recordCount > 0
        ? "the version is put right, because the records behind it are good"
        : "it is begun anew, its bytes are kept beside it",
    });
  }
  for (const { start, end, why, kind } of bad) {
    const place = { offset: start, sizeBytes: end - start };
    const aside = asideName(file, start);
    if (kind === "zeros") {
      report({ severity: "healed", ...place, text: "zeros at the end", atStart: "cut off", byRepair: "cut off" });
    } else if (kind === "torn") {
      const cut = `cut off and kept in ${aside}`;
      report({
        severity: "healed",
        ...place,
        text: `the file ends in an incomplete record (${why})`,
        atStart: cut,
        byRepair: cut,
      });
    } else {
      report({
        severity: "damaged",
        ...place,
        text: `${why}; ${what} may be missing`,
        atStart: "the records behind it count",
        byRepair: `taken out, the bytes go to ${aside}`,
      });
    }
  }
  return findings;
}
