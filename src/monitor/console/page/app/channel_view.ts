/** One channel: what it holds, who listens and how far behind, its limits, its messages. */
import { deleteChannel, purge } from "./actions.ts";
import { ApiError, type ChannelDetails, channelPath, type SubscriptionItem } from "./api.ts";
import type { App, View } from "./app.ts";
import { fill, h, setText } from "./dom.ts";
import { bytes, count, duration, short } from "./format.ts";
import { MessagesPanel } from "./messages_panel.ts";
import { heading, subscriptionKey, tile } from "./parts.ts";
import { hashOf, type Route } from "./route.ts";
import { actionButton, subscriptionColumns } from "./subscription_columns.ts";
import { Table } from "./table.ts";

/** A subscription and its number among those that look the same: a client may have any number of plain ones. */
type Numbered = SubscriptionItem & { readonly number: number };

export function channelView(app: App, { name, query }: Route): View {
  let details: ChannelDetails | undefined;
  const tiles = {
    msgs: tile("Messages"),
    bytes: tile("Size"),
    sequences: tile("Sequences"),
    pending: tile("Pending"),
    lag: tile("Largest lag"),
  };
  const { name: nameColumn, figures, actions } = subscriptionColumns<Numbered>(app, () => name);
  const table = new Table<Numbered>({
    caption: `Subscriptions of ${name}`,
    keyOf: (item) => `${subscriptionKey(item)} ${item.number}`,
    empty: "Nobody has subscribed.",
    // In the order of the server; there are few of them.
    columns: [nameColumn, ...figures, actions],
  });
  const limits = h("dl", { class: "limits" });
  const messages = new MessagesPanel(app, name, query);
  const buttons = h("span", { class: "actions" });
  const gone = h("p", { class: "trouble", role: "status", hidden: true });
  let shownReason: string | undefined;
  const element = h(
    "div",
    {},
    h("p", { class: "crumb" }, h("a", { href: hashOf("channels") }, "Channels")),
    heading(name, buttons),
    gone,
    h("dl", { class: "tiles", "aria-label": "Figures" }, Object.values(tiles).map((one) => one.element)),
    h("section", { class: "panel" }, h("h2", {}, "Subscriptions"), table.element),
    messages.element,
    h("section", { class: "panel" }, h("h2", {}, "Limits"), limits),
  );

  function showButtons(): void {
    const reason = app.whyNoActions();
    if (reason === shownReason) return;
    shownReason = reason;
    const withDetails = (act: (app: App, details: ChannelDetails) => void) => () => {
      if (details !== undefined) act(app, details);
    };
    fill(
      buttons,
      actionButton(app, "Purge\u2026", name, withDetails(purge), "danger"),
      actionButton(app, "Delete\u2026", name, withDetails(deleteChannel), "danger"),
    );
  }

  function show(channel: ChannelDetails): void {
    const stored = channel.limits;
    tiles.msgs.set(short(channel.msgs), stored.max_msgs > 0 ? `of ${short(stored.max_msgs)}` : "no limit");
    tiles.bytes.set(bytes(channel.bytes), stored.max_bytes > 0 ? `of ${bytes(stored.max_bytes)}` : "no limit");
    tiles.sequences.set(short(channel.last_seq), `first ${count(channel.first_seq)}`);
    tiles.pending.set(
      short(channel.pending),
      channel.stalled > 0 ? `${channel.stalled} stalled` : "",
      channel.stalled > 0 ? "bad" : "plain",
    );
    tiles.lag.set(short(channel.max_lag), channel.paused > 0 ? `${channel.paused} paused` : "messages", "plain");
    const numbers = new Map<string, number>();
    table.show(channel.subscriptions.map((item) => {
      const key = subscriptionKey(item);
      const number = (numbers.get(key) ?? 0) + 1;
      numbers.set(key, number);
      return { ...item, number };
    }));
    if (limits.childElementCount > 0) return;
    const limit = (value: number, format: (value: number) => string) => value > 0 ? format(value) : "none";
    const rows: readonly (readonly [string, string])[] = [
      ["Messages", limit(stored.max_msgs, count)],
      ["Size", limit(stored.max_bytes, bytes)],
      ["Age", limit(stored.max_age_ms, duration)],
      ["Subscriptions", limit(stored.max_subscriptions, count)],
      ["Inactivity", limit(stored.max_inactivity_ms, duration)],
    ];
    fill(limits, ...rows.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))));
  }

  return {
    title: name,
    element,
    async refresh() {
      try {
        details = await app.api.get<ChannelDetails>(channelPath(name));
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== "NOT_FOUND") throw error;
        details = undefined;
        fill(buttons);
        shownReason = undefined;
        table.show([]);
        messages.reset();
        gone.hidden = false;
        setText(gone, "There is no such channel now. It may have been deleted, or had no message yet.");
        return;
      }
      gone.hidden = true;
      showButtons();
      show(details);
      messages.refresh(details);
    },
    close: () => messages.close(),
  };
}
