/** Registrations and positions, from the records of clients.dat and subs.dat (stores.md 4.5, 4.6, 6.3). */
import { SequenceSet } from "../../base/sequence_set.ts";
import { varintEnd, varintNumber } from "../../base/varint.ts";
import {
  decodeClientDelete,
  decodeClientInfo,
  decodeSubState,
  decodeSubStateDelete,
  decodeSubStateUpdate,
} from "../../wire/stan_server.ts";
import type { ClientReplay } from "./client_log.ts";
import type { FindingLevel } from "./findings.ts";
import { CLIENT_RECORD, SUBSCRIPTION_RECORD, VERSION_BYTES, versionBytes } from "./format.ts";
import { type DescriptorPool, LogFile } from "./log_file.ts";
import {
  asideName,
  keepAside,
  LOST_VERSION,
  LOST_VERSION_MENDED,
  readVersion,
  type RecoverContext,
  refuseOtherPolynomial,
  sourceOf,
} from "./recover.ts";
import { type RecordRules, scanRecords } from "./scan.ts";
import type { SubscriptionReplay } from "./subscription_log.ts";

/**
 * Reads clients.dat or subs.dat and heals its end. Missing: created. Returns the file, ready for appending, and whether
 * records were cut or left out.
 */
function recoverTyped(
  context: RecoverContext,
  channel: string,
  path: string,
  types: readonly number[],
  replay: (type: number, bytes: Uint8Array, start: number, end: number) => boolean,
  decodes: (type: number, bytes: Uint8Array, start: number, end: number) => boolean,
  damaged: () => void,
): LogFile {
  const { disk, pool, apply, crc, checkCrc } = context;
  const report = (level: FindingLevel, offset: number, text: string) =>
    context.report({ level, channel, path, offset, text });
  if (disk.stat(path) === undefined) {
    report("healed", -1, "the file is missing; it is created");
    if (!apply) return new LogFile(pool, path, VERSION_BYTES);
    return LogFile.create(pool, path);
  }
  const file = disk.open(path, apply ? "update" : "read");
  try {
    const source = sourceOf(file);
    const version = readVersion(file, source.size, path);
    if (version === "none") {
      report("healed", 0, "the file has no version and no records; it is begun anew");
      if (apply) {
        file.truncate(0);
        file.write(versionBytes(), 0, VERSION_BYTES, 0);
        file.syncNow();
      }
      return found(pool, path, VERSION_BYTES);
    }
    if (version === "lost") {
      report("healed", 0, `${LOST_VERSION}; ${LOST_VERSION_MENDED}`);
      if (apply) {
        file.write(versionBytes(), 0, VERSION_BYTES, 0);
        file.syncNow();
      }
    }
    const rules: RecordRules = {
      typed: true,
      checkCrc,
      // Decoding is the replay, so a record that does not decode changes nothing and is reported.
      accept: (type, bytes, start, end) => types.includes(type) && replay(type, bytes, start, end),
      mayBegin: (type) => types.includes(type),
    };
    let isEmpty = true;
    const result = scanRecords(source, VERSION_BYTES, rules, crc, () => isEmpty = false);
    // Looked at only: what has a wrong checksum must not be replayed.
    const looked = { ...rules, accept: decodes };
    if (isEmpty) refuseOtherPolynomial(context, source, looked, result, path);
    const { bad } = result;
    let end = source.size;
    for (const { start, why, kind, end: badEnd } of bad) {
      if (kind === "damage") {
        report("damaged", start, `${badEnd - start} bytes are no record (${why}); the records behind them count`);
        damaged();
        continue;
      }
      end = start;
      if (kind === "zeros") {
        report("healed", start, `${source.size - start} zero bytes at the end are cut off`);
      } else {
        report(
          "healed",
          start,
          `the file ends in an incomplete record (${why}); ${source.size - start} bytes are cut off and kept in ` +
            asideName(path, start),
        );
        if (apply) keepAside(context, channel, file, path, start, source.size);
      }
    }
    if (apply && end < source.size) {
      file.truncate(end);
      file.syncNow();
    }
    return found(pool, path, end);
  } finally {
    file.close();
  }
}

/** The next flush syncs it: its bytes may be what a killed process left in the system's memory. */
function found(pool: DescriptorPool, path: string, size: number): LogFile {
  const file = new LogFile(pool, path, size);
  file.distrust();
  return file;
}

/** Replays subs.dat of one channel. */
export function recoverSubscriptions(
  context: RecoverContext,
  channel: string,
  path: string,
): { readonly file: LogFile; readonly replay: SubscriptionReplay } {
  const replay: SubscriptionReplay = { states: new Map(), idMax: 0, superseded: 0, total: 0, isDamaged: false };
  const types = Object.values(SUBSCRIPTION_RECORD);
  const file = recoverTyped(
    context,
    channel,
    path,
    types,
    (type, bytes, start, end) => replaySubscription(replay, type, bytes, start, end),
    (type, bytes, start, end) => {
      const nowhere: SubscriptionReplay = { states: new Map(), idMax: 0, superseded: 0, total: 0, isDamaged: false };
      return types.includes(type as typeof types[number]) && replaySubscription(nowhere, type, bytes, start, end);
    },
    () => replay.isDamaged = true,
  );
  return { file, replay };
}

/** One record of subs.dat (stores.md 4.6); false: it does not decode. */
function replaySubscription(
  replay: SubscriptionReplay,
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  const { states } = replay;
  switch (type) {
    case SUBSCRIPTION_RECORD.create:
    case SUBSCRIPTION_RECORD.update: {
      const record = decodeSubState(bytes, start, end);
      if (record === undefined) return false;
      const known = states.get(record.id);
      if (type === SUBSCRIPTION_RECORD.update && known !== undefined) {
        // What was sent is never unsaid: a compaction may have written the position before the update (invariant 51).
        record.lastSent = Math.max(record.lastSent, known.record.lastSent);
        states.set(record.id, { record, pending: known.pending });
        replay.superseded++;
      } else {
        states.set(record.id, { record, pending: new SequenceSet() });
      }
      replay.total++;
      if (record.id > replay.idMax) replay.idMax = record.id;
      return true;
    }
    case SUBSCRIPTION_RECORD.delete: {
      const record = decodeSubStateDelete(bytes, start, end);
      if (record === undefined) return false;
      const known = states.get(record.id);
      if (known !== undefined) {
        states.delete(record.id);
        replay.superseded += 1 + known.pending.size;
      }
      if (record.id > replay.idMax) replay.idMax = record.id;
      return true;
    }
    default: {
      // Two of these per delivered message: in their usual form they are read by hand.
      const idEnd = bytes[start] === 0x08 ? varintEnd(bytes, start + 1, end) : -1;
      const isUsual = idEnd > 0 && bytes[idEnd] === 0x10 && varintEnd(bytes, idEnd + 1, end) === end;
      if (isUsual) {
        const id = varintNumber(bytes, start + 1, idEnd);
        replayPosition(replay, type, id, varintNumber(bytes, idEnd + 1, end));
        return true;
      }
      const record = decodeSubStateUpdate(bytes, start, end);
      if (record === undefined) return false;
      replayPosition(replay, type, record.id, record.sequence);
      return true;
    }
  }
}

function replayPosition(replay: SubscriptionReplay, type: number, id: number, sequence: number): void {
  const known = replay.states.get(id);
  // Of a subscription that is gone (invariant 52), or of no message.
  if (known === undefined || sequence <= 0) return;
  if (type === SUBSCRIPTION_RECORD.ack) {
    known.pending.delete(sequence);
    replay.superseded++;
    return;
  }
  known.pending.add(sequence);
  if (sequence > known.record.lastSent) known.record.lastSent = sequence;
  replay.total++;
}

/** Replays clients.dat. */
export function recoverClients(
  context: RecoverContext,
  path: string,
): { readonly file: LogFile; readonly replay: ClientReplay } {
  const replay: ClientReplay = { clients: new Map(), deletions: 0, isDamaged: false };
  const types = Object.values(CLIENT_RECORD);
  const file = recoverTyped(context, "", path, types, (type, bytes, start, end) => {
    if (type === CLIENT_RECORD.add) {
      const record = decodeClientInfo(bytes, start, end);
      if (record === undefined) return false;
      replay.clients.set(record.id, record);
      return true;
    }
    const record = decodeClientDelete(bytes, start, end);
    if (record === undefined) return false;
    if (replay.clients.delete(record.id)) replay.deletions++;
    return true;
  }, (type, bytes, start, end) => {
    if (type === CLIENT_RECORD.add) return decodeClientInfo(bytes, start, end) !== undefined;
    return type === CLIENT_RECORD.delete && decodeClientDelete(bytes, start, end) !== undefined;
  }, () => replay.isDamaged = true);
  return { file, replay };
}
