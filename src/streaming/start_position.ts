/** Where a new subscription begins (streaming-protocol.md 13). The result is "last sent": delivery starts behind it. */
import type { MessageStore } from "../store/types.ts";
import { START_POSITION, type SubscriptionRequest } from "../wire/stan_control.ts";

export function isStartPosition(value: number): boolean {
  return value >= START_POSITION.NEW_ONLY && value <= START_POSITION.FIRST;
}

export function lastSentFor(
  request: SubscriptionRequest,
  messages: MessageStore,
  stampHigh: number,
  stampLow: number,
): number {
  const first = messages.firstSequence;
  const last = messages.lastSequence;
  // Nothing was ever stored: whatever was asked for, the next published message is delivered.
  if (last === 0) return 0;
  switch (request.startPosition) {
    case START_POSITION.LAST_RECEIVED:
      return last - 1;
    case START_POSITION.SEQUENCE_START: {
      const wanted = request.startSequence;
      if (wanted < first) return first - 1;
      return wanted > last ? last : wanted - 1;
    }
    case START_POSITION.TIME_DELTA_START: {
      const now = (BigInt(stampHigh) << 32n) | BigInt(stampLow);
      const at = now - request.startTimeDeltaNs;
      if (at <= 0n) return first - 1;
      // Beyond 64 bits nothing is stored: new only.
      if (at >> 64n > 0n) return last;
      const sequence = messages.sequenceAtOrAfter(Number(at >> 32n), Number(at & 0xffff_ffffn));
      return sequence === 0 ? 0 : Math.min(sequence - 1, last);
    }
    case START_POSITION.FIRST:
      return first - 1;
    default:
      return last;
  }
}
