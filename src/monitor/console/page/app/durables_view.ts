/** Durables and durable groups of all channels. */
import type { DurableItem, Paging } from "./api.ts";
import type { App, View } from "./app.ts";
import { h } from "./dom.ts";
import { listView } from "./list_view.ts";
import { subscriptionKey } from "./parts.ts";
import { hashOf, type Route } from "./route.ts";
import { subscriptionColumns } from "./subscription_columns.ts";

export function durablesView(app: App, route: Route): View {
  const { name, figures, actions } = subscriptionColumns<DurableItem>(app, ({ channel }) => channel);
  return listView<DurableItem>(app, route, {
    title: "Durables",
    searchLabel: "Search durables",
    caption: "Durables of all channels",
    sort: "name",
    keyOf: (item) => JSON.stringify([item.channel, subscriptionKey(item)]),
    empty: "No durable is like that.",
    async load(query) {
      const { durables, ...paging } = await app.api.get<Paging & { durables: DurableItem[] }>("durables", query);
      return { ...paging, items: durables };
    },
    columns: [
      { ...name, title: "Durable" },
      {
        title: "Channel",
        text: ({ channel }) => channel,
        render: ({ channel }) => h("a", { href: hashOf("channel", channel), class: "name" }, channel),
      },
      ...figures,
      actions,
    ],
  });
}
