/** Records as the streaming core hands them to a store, for tests of stores. */
import type { SubscriptionRecord } from "../../src/store/types.ts";

/** A plain subscription that has got nothing yet and has no id yet, unless something else is said. */
export function subscription(clientId: string, more: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return {
    id: 0,
    clientId,
    queueGroup: "",
    inbox: "_INBOX.a",
    ackInbox: "_INBOX.b",
    maxInFlight: 10,
    ackWaitSecs: 30,
    durableName: "",
    lastSent: 0,
    isDurable: false,
    isClosed: false,
    ...more,
  };
}
