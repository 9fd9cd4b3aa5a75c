/** What the keys do, and what else there is on this port. */
import type { App, View } from "./app.ts";
import { h } from "./dom.ts";
import { heading } from "./parts.ts";
import { areShortcutsOn, SHORTCUTS, switchShortcuts } from "./shortcuts.ts";

const PAGES: readonly (readonly [string, string])[] = [
  ["streaming/serverz", "The streaming server"],
  ["streaming/storez", "Its store"],
  ["streaming/clientsz", "Its clients"],
  ["streaming/channelsz?subs=1", "Its channels with their subscriptions"],
  ["metrics", "Metrics for Prometheus"],
  ["readyz", "Readiness"],
];

const TERMS: readonly (readonly [string, string])[] = [
  ["Lag", "messages behind the position of a subscription, and the age of the oldest that it has not acknowledged"],
  ["Pending", "delivered and not acknowledged; due again when the acknowledgement takes longer than its ack wait"],
  ["Stalled", "as much is pending as the subscription may have in flight: it gets nothing new until it acknowledges"],
  ["Paused", "an operator stopped its deliveries; a restart of the server ends that"],
  ["Offline", "a durable that nobody uses now; its position is kept"],
];

export function helpView(_app: App): View {
  const toggle = h("input", {
    type: "checkbox",
    checked: areShortcutsOn(),
    onchange: () => switchShortcuts(toggle.checked),
  });
  return {
    title: "Help",
    element: h(
      "div",
      {},
      heading("Help"),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, "Keys"),
        h(
          "dl",
          { class: "keys" },
          SHORTCUTS.map(({ keys, text }) =>
            h("div", {}, h("dt", {}, keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, text))
          ),
        ),
        h("label", { class: "check" }, toggle, " Listen to these keys"),
      ),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, "Words"),
        h("dl", { class: "terms" }, TERMS.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text)))),
      ),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, "Also on this port"),
        h("ul", {}, PAGES.map(([href, text]) => h("li", {}, h("a", { href }, `/${href}`), ` \u2013 ${text}`))),
      ),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, "The token"),
        h(
          "p",
          {},
          "Payloads, the log and all actions need the token of the console. It is set in the configuration, ",
          h("code", {}, "console { token: ... }"),
          " in the streaming block, or in the environment, ",
          h("code", {}, "STANCHION_CONSOLE_TOKEN"),
          ". This page keeps it until the tab is closed, sends it in a header only, and never writes it anywhere. Every action leaves a line in the log of the server.",
        ),
      ),
    ),
    refresh: () => Promise.resolve(),
  };
}
