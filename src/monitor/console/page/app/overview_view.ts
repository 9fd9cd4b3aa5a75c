/** What the server does, at a glance. */
import type { ChannelItem, Overview } from "./api.ts";
import type { App, View } from "./app.ts";
import { Chart } from "./chart.ts";
import { h } from "./dom.ts";
import { bytes, count, duration, rate, short } from "./format.ts";
import { heading, tile } from "./parts.ts";
import { hashOf } from "./route.ts";
import { Table } from "./table.ts";

const BEHIND_MAX = 5;
/** From here on a loop that is late is worth a colour. */
const LOOP_DELAY_WARN_MS = 100;
/** From here on a disk is nearly full. */
const DISK_FREE_WARN_BYTES = 1024 ** 3;

/** Powers of two, up to a terabyte. */
const BYTE_STEPS = Array.from({ length: 41 }, (_, power) => 2 ** power);

export function overviewView(app: App): View {
  const { history } = app;
  const tiles = {
    in: tile("Published"),
    out: tile("Delivered"),
    pending: tile("Pending"),
    redelivered: tile("Redelivered"),
    stored: tile("Stored"),
    channels: tile("Channels"),
    subscriptions: tile("Subscriptions"),
    clients: tile("Clients"),
    cpu: tile("Processor"),
    memory: tile("Memory"),
    loop: tile("Loop delay"),
    disk: tile("Disk free"),
  };
  const charts = [
    new Chart({
      title: "Messages per second",
      series: [{ name: "in", label: "published" }, { name: "out", label: "delivered" }],
      format: rate,
      unit: "messages per second",
    }, history),
    new Chart({
      title: "Bytes per second",
      series: [{ name: "inBytes", label: "published" }, { name: "outBytes", label: "delivered" }],
      format: bytes,
      unit: "bytes per second",
      steps: BYTE_STEPS,
    }, history),
    new Chart({
      title: "Acknowledged and redelivered per second",
      series: [{ name: "acked", label: "acknowledged" }, { name: "redelivered", label: "redelivered" }],
      format: rate,
      unit: "messages per second",
    }, history),
    new Chart({
      title: "Pending",
      series: [{ name: "pending", label: "delivered, not acknowledged" }],
      format: short,
      unit: "messages",
    }, history),
  ];
  const behind = new Table<ChannelItem>({
    caption: "Channels whose subscriptions are furthest behind",
    keyOf: ({ name }) => name,
    empty: "Nobody is behind.",
    columns: [
      {
        title: "Channel",
        isHead: true,
        text: ({ name }) => name,
        render: ({ name }) => h("a", { href: hashOf("channel", name), class: "name" }, name),
      },
      { title: "Largest lag", isNumber: true, text: ({ max_lag }) => count(max_lag) },
      { title: "Pending", isNumber: true, text: ({ pending }) => count(pending) },
      { title: "Stalled", isNumber: true, text: ({ stalled }) => count(stalled) },
      { title: "Paused", isNumber: true, text: ({ paused }) => count(paused) },
    ],
  });
  const server = h("p", { class: "muted" });
  const element = h(
    "div",
    {},
    heading("Overview"),
    server,
    h("dl", { class: "tiles", "aria-label": "Figures" }, Object.values(tiles).map((one) => one.element)),
    h("div", { class: "charts" }, charts.map((one) => one.element)),
    h("section", { class: "panel" }, h("h2", {}, "Furthest behind"), behind.element),
  );

  function show({ server: about, totals, process }: Overview): void {
    const text = `${about.version} \u00b7 store ${about.store} \u00b7 running for ${duration(about.uptime_ms)}`;
    if (server.textContent !== text) server.textContent = text;
    const now = history.latest;
    const perSecond = (value: number | null) => value === null ? "\u2013" : `${rate(value)}/s`;
    tiles.in.set(perSecond(now.in), `${short(totals.in_msgs)} since the start`);
    tiles.out.set(perSecond(now.out), `${short(totals.out_msgs)} since the start`);
    tiles.pending.set(
      short(totals.pending),
      totals.stalled > 0 ? `${count(totals.stalled)} stalled` : "not acknowledged",
      totals.stalled > 0 ? "warn" : "plain",
    );
    tiles.redelivered.set(
      perSecond(now.redelivered),
      `${short(totals.redelivered_msgs)} since the start`,
      (now.redelivered ?? 0) > 0 ? "warn" : "plain",
    );
    tiles.stored.set(short(totals.msgs), bytes(totals.bytes));
    tiles.channels.set(short(totals.channels));
    tiles.subscriptions.set(
      short(totals.subscriptions),
      totals.paused > 0 ? `${count(totals.paused)} paused` : "",
      totals.paused > 0 ? "warn" : "plain",
    );
    tiles.clients.set(short(totals.clients), `${short(totals.connections)} connections`);
    tiles.cpu.set(`${Math.round(process.cpu_percent)} %`, "of one core");
    tiles.memory.set(bytes(process.resident_bytes), "resident");
    tiles.loop.set(
      `${Math.round(process.event_loop_delay_ms * 10) / 10} ms`,
      totals.slow_consumers > 0 ? `${count(totals.slow_consumers)} slow consumers` : "no slow consumers",
      process.event_loop_delay_ms >= LOOP_DELAY_WARN_MS ? "warn" : "plain",
    );
    const free = process.disk_free_bytes;
    tiles.disk.set(
      free === null ? "\u2013" : bytes(free),
      free === null ? "nothing on disk" : "for the store",
      free !== null && free < DISK_FREE_WARN_BYTES ? "bad" : "plain",
    );
    for (const chart of charts) chart.show();
  }

  return {
    title: "Overview",
    element,
    async refresh() {
      const overview = app.overview();
      if (overview === undefined) return;
      show(overview);
      const { channels } = await app.api.get<{ channels: ChannelItem[] }>("channels", {
        sort: "max_lag",
        limit: BEHIND_MAX,
      });
      behind.show(channels.filter(({ max_lag, pending }) => max_lag > 0 || pending > 0));
    },
    close() {
      for (const chart of charts) chart.close();
    },
  };
}
