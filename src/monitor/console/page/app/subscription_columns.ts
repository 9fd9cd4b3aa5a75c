/** The columns of subscriptions: those of one channel, and the durables of all. */
import type { SubscriptionItem } from "./api.ts";
import type { App } from "./app.ts";
import { deleteDurable, pauseOrResume, rewind } from "./actions.ts";
import { h } from "./dom.ts";
import { count } from "./format.ts";
import { KIND_TEXT, lagText, stateBadges, stateText, subscriptionName } from "./parts.ts";
import type { Column } from "./table.ts";

/** `channelOf` says where it is. */
export function subscriptionColumns<Item extends SubscriptionItem>(
  app: App,
  channelOf: (item: Item) => string,
): { readonly name: Column<Item>; readonly figures: readonly Column<Item>[]; readonly actions: Column<Item> } {
  return {
    name: {
      title: "Subscription",
      isHead: true,
      sort: "name",
      text: (item) => subscriptionName(item) + item.client_id + item.kind + item.members.join(),
      render: (item) => [
        h("span", { class: "name" }, subscriptionName(item)),
        h("small", { class: "muted" }, whoText(item)),
      ],
    },
    figures: [
      { title: "State", text: stateText, render: stateBadges },
      { title: "Lag", sort: "lag", isNumber: true, text: lagText },
      {
        title: "Pending",
        sort: "pending_count",
        isNumber: true,
        text: ({ pending_count, max_inflight }) =>
          max_inflight === 0 ? count(pending_count) : `${count(pending_count)} / ${count(max_inflight)}`,
      },
      { title: "Redelivered", sort: "redelivered", isNumber: true, text: ({ redelivered }) => count(redelivered) },
      { title: "Last sent", sort: "last_sent", isNumber: true, text: ({ last_sent }) => count(last_sent) },
    ],
    actions: {
      title: "Actions",
      text: (item) => `${item.is_paused} ${item.is_offline} ${app.whyNoActions()}`,
      render: (item) => {
        const target = { channel: channelOf(item), item };
        const isDurable = item.kind === "durable" || item.kind === "durable_group";
        const name = subscriptionName(item);
        return h(
          "span",
          { class: "actions" },
          actionButton(app, item.is_paused ? "Resume" : "Pause", name, () => pauseOrResume(app, target)),
          isDurable && actionButton(app, "Rewind", name, () => rewind(app, target)),
          isDurable && actionButton(app, "Delete", name, () => deleteDurable(app, target), "danger"),
        );
      },
    },
  };
}

function whoText({ kind, client_id, members }: SubscriptionItem): string {
  const what = KIND_TEXT[kind];
  if (kind === "plain") return what;
  if (kind === "durable") return client_id === "" ? what : `${what} of ${client_id}`;
  return members.length === 0 ? `${what}, no members` : `${what}: ${members.join(", ")}`;
}

/**
 * A button of an action. While nothing may be changed it can still be reached, so that everybody learns why; it then leads
 * to the token.
 */
export function actionButton(
  app: App,
  label: string,
  what: string,
  act: () => void,
  className = "",
): HTMLButtonElement {
  const reason = app.whyNoActions();
  return h(
    "button",
    {
      type: "button",
      class: className,
      "aria-disabled": reason === "" ? undefined : "true",
      title: reason === "" ? undefined : reason,
      onclick: () => app.whyNoActions() === "" ? act() : app.openTokenDialog(),
    },
    label,
    h("span", { class: "visually-hidden" }, ` ${what}`),
  );
}
