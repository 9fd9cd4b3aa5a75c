/**
 * The rows of the lists that the console's API answers with. Lists are written as these types say, and both readers take them
 * from here: the page of the console, and the commands of the executable.
 */

/** A channel in a list. */
export interface ChannelItem {
  readonly name: string;
  readonly msgs: number;
  readonly bytes: number;
  readonly first_seq: number;
  readonly last_seq: number;
  /** Each member of a group is one. */
  readonly subscriptions: number;
  readonly pending: number;
  readonly max_lag: number;
  /** How many of its subscriptions are; a group is one. So is `paused`. */
  readonly stalled: number;
  readonly paused: number;
}

/** A subscription, or a group as one. */
export interface SubscriptionItem {
  readonly kind: "plain" | "durable" | "group" | "durable_group";
  /** Empty for a group. */
  readonly client_id: string;
  readonly durable_name: string;
  readonly queue_name: string;
  /** Client IDs of a group's members that are online. */
  readonly members: readonly string[];
  readonly is_offline: boolean;
  readonly is_stalled: boolean;
  readonly is_paused: boolean;
  readonly last_sent: number;
  readonly lag: number;
  /** Null: it has acked all there is. */
  readonly lag_seconds: number | null;
  readonly pending_count: number;
  /** Of a group: what all its members may hold together. */
  readonly max_inflight: number;
  readonly ack_wait_secs: number;
  readonly redelivered: number;
}

/** A durable, or a durable group, in the list of those of all channels. */
export interface DurableItem extends SubscriptionItem {
  readonly channel: string;
}

/** One channel with its limits and what listens to it. */
export interface ChannelDetails extends Omit<ChannelItem, "subscriptions"> {
  readonly limits: {
    readonly max_msgs: number;
    readonly max_bytes: number;
    readonly max_age_ms: number;
    readonly max_subscriptions: number;
    readonly max_inactivity_ms: number;
  };
  readonly subscriptions: readonly SubscriptionItem[];
}

/** A client in a list. */
export interface ClientItem {
  readonly id: string;
  readonly subscriptions: number;
  readonly heartbeat_failures: number;
  readonly connected_ms: number;
}
