/** Clients that are registered. */
import type { ClientItem, Paging } from "./api.ts";
import type { App, View } from "./app.ts";
import { h } from "./dom.ts";
import { count, duration } from "./format.ts";
import { listView } from "./list_view.ts";
import { badge } from "./parts.ts";
import type { Route } from "./route.ts";

export function clientsView(app: App, route: Route): View {
  return listView<ClientItem>(app, route, {
    title: "Clients",
    searchLabel: "Search clients",
    caption: "Clients",
    sort: "name",
    keyOf: ({ id }) => id,
    empty: "No client is like that.",
    async load({ search, offset, limit }) {
      const { clients, ...paging } = await app.api.get<Paging & { clients: ClientItem[] }>("clients", {
        search,
        offset,
        limit,
      });
      return { ...paging, items: clients };
    },
    columns: [
      {
        title: "Client ID",
        isHead: true,
        text: ({ id }) => id,
        render: ({ id }) => h("span", { class: "name" }, id),
      },
      { title: "Subscriptions", isNumber: true, text: ({ subscriptions }) => count(subscriptions) },
      { title: "Connected for", isNumber: true, text: ({ connected_ms }) => duration(connected_ms) },
      {
        title: "Heartbeats missed",
        text: ({ heartbeat_failures }) => count(heartbeat_failures),
        render: ({ heartbeat_failures }) =>
          heartbeat_failures > 0 ? badge(`${count(heartbeat_failures)} in a row`, "warn") : badge("none", "good"),
      },
    ],
  });
}
