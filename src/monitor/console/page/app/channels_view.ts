/** All channels. */
import type { ChannelItem, Paging } from "./api.ts";
import type { App, View } from "./app.ts";
import { h } from "./dom.ts";
import { bytes, count } from "./format.ts";
import { listView } from "./list_view.ts";
import { badge } from "./parts.ts";
import { hashOf, type Route } from "./route.ts";

export function channelsView(app: App, route: Route): View {
  return listView<ChannelItem>(app, route, {
    title: "Channels",
    searchLabel: "Search channels",
    caption: "Channels",
    sort: "name",
    keyOf: ({ name }) => name,
    empty: "No channel is like that.",
    async load(query) {
      const { channels, ...paging } = await app.api.get<Paging & { channels: ChannelItem[] }>("channels", query);
      return { ...paging, items: channels };
    },
    columns: [
      {
        title: "Channel",
        sort: "name",
        isHead: true,
        text: ({ name }) => name,
        render: ({ name }) => h("a", { href: hashOf("channel", name), class: "name" }, name),
      },
      { title: "Messages", sort: "msgs", isNumber: true, text: ({ msgs }) => count(msgs) },
      { title: "Size", sort: "bytes", isNumber: true, text: (item) => bytes(item.bytes) },
      { title: "Last", sort: "last_seq", isNumber: true, text: ({ last_seq }) => count(last_seq) },
      {
        title: "Subscriptions",
        sort: "subscriptions",
        isNumber: true,
        text: ({ subscriptions }) => count(subscriptions),
      },
      { title: "Pending", sort: "pending", isNumber: true, text: ({ pending }) => count(pending) },
      { title: "Largest lag", sort: "max_lag", isNumber: true, text: ({ max_lag }) => count(max_lag) },
      {
        title: "State",
        sort: "stalled",
        text: ({ stalled, paused }) => `${stalled} ${paused}`,
        render: ({ stalled, paused }) => [
          stalled > 0 && badge(`${stalled} stalled`, "bad"),
          paused > 0 && badge(`${paused} paused`, "warn"),
          stalled === 0 && paused === 0 && badge("ok", "good"),
        ],
      },
    ],
  });
}
