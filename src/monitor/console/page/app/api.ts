/** The console's API, as seen from the page. Addresses are relative: behind a proxy the page may stand anywhere. */
export type { ChannelDetails, ChannelItem, ClientItem, DurableItem, SubscriptionItem } from "../../rows.ts";

export interface Access {
  readonly token_configured: boolean;
  readonly browse: boolean;
  readonly authorized: boolean;
}

export interface Overview {
  readonly server: {
    readonly cluster_id: string;
    readonly server_id: string;
    readonly version: string;
    readonly state: string;
    readonly store: string;
    readonly start_time: string;
    readonly now: string;
    readonly uptime_ms: number;
    readonly read_only: string;
  };
  readonly access: Access;
  readonly totals: {
    readonly clients: number;
    readonly subscriptions: number;
    readonly channels: number;
    readonly msgs: number;
    readonly bytes: number;
    readonly pending: number;
    readonly stalled: number;
    readonly paused: number;
    readonly in_msgs: number;
    readonly in_bytes: number;
    readonly out_msgs: number;
    readonly out_bytes: number;
    readonly redelivered_msgs: number;
    readonly acked_msgs: number;
    readonly connections: number;
    readonly slow_consumers: number;
  };
  readonly process: {
    readonly cpu_percent: number;
    readonly resident_bytes: number;
    readonly event_loop_delay_ms: number;
    readonly disk_free_bytes: number | null;
  };
}

export interface MessageItem {
  readonly sequence: number;
  readonly time: string | null;
  readonly size: number;
  readonly reply: string;
  readonly data_base64: string;
  readonly truncated: boolean;
  readonly unreadable?: boolean;
}

export interface MessagePage {
  readonly first_seq: number;
  readonly last_seq: number;
  readonly messages: readonly MessageItem[];
}

export interface LogLine {
  readonly id: number;
  readonly time: string;
  readonly level: string;
  readonly source: string;
  readonly text: string;
}

export interface LogPage {
  readonly last_id: number;
  readonly lines: readonly LogLine[];
}

export interface Paging {
  readonly total: number;
  readonly offset: number;
  readonly limit: number;
}

/** The server answered, and it was a no. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

/** There was no answer, or none of this server. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** A server that is stopped in the middle of an answer must not stop the page. */
const REQUEST_TIMEOUT_MS = 15_000;
/** An action is given up by the server after 30 s; its answer is worth the wait. */
const ACTION_TIMEOUT_MS = 40_000;

export type Query = Readonly<Record<string, string | number | undefined>>;

export class Api {
  /** Sent as a header while it is not empty. */
  token = "";

  /** GET of `path` below the API. Throws {@link ApiError} or {@link UnreachableError}. */
  get<Answer>(path: string, query: Query = {}, token = this.token): Promise<Answer> {
    const text = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined && value !== "") text.set(key, String(value));
    }
    const tail = text.toString();
    return this.#ask(path + (tail === "" ? "" : `?${tail}`), token, {}, REQUEST_TIMEOUT_MS) as Promise<Answer>;
  }

  /** An action. Throws as `get` does. */
  act(name: string, members: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
    return this.#ask(`actions/${name}`, this.token, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Requested-With": "stanchion" },
      body: JSON.stringify(members),
    }, ACTION_TIMEOUT_MS) as Promise<Readonly<Record<string, unknown>>>;
  }

  async #ask(path: string, token: string, init: RequestInit, timeoutMs: number): Promise<unknown> {
    const headers = new Headers(init.headers);
    if (token !== "") headers.set("Authorization", `Bearer ${token}`);
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(`console/api/${path}`, {
        ...init,
        headers,
        cache: "no-store",
        // A proxy in front may want its cookie; this server knows none.
        credentials: "same-origin",
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
      body = await response.json();
    } catch (error) {
      throw new UnreachableError("the server does not answer", { cause: error });
    }
    if (response.ok) return body;
    const { code = "", message = `status ${response.status}` } =
      (body as { error?: { code?: string; message?: string } } | null)?.error ?? {};
    throw new ApiError(response.status, code, message);
  }
}

/** The path of a channel below the API. */
export function channelPath(name: string): string {
  return `channels/${encodeURIComponent(name)}`;
}
