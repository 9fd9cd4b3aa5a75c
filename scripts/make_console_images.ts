/**
 * Makes docs/images/console-*.png: the console of a real server with clients that are busy, late, stalled, paused and away.
 * The quarter of an hour that the charts show is made up, so that nobody has to wait for it; all else is what the server says.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { connect } from "node-nats-streaming";
import type { Page } from "puppeteer-core";
import { findBrowser, startBrowser } from "./browser.ts";
import { ensureExecutable } from "./executable.ts";
import { ROOT } from "./project.ts";

const TOKEN = "demonstration";
const FOLDER = "docs/images";
const BYTES_MAX = 150_000;

type Stan = ReturnType<typeof connect>;

interface Shot {
  readonly name: string;
  readonly hash: string;
  readonly isDark: boolean;
  readonly width: number;
  readonly height: number;
}

const SHOTS: readonly Shot[] = [
  { name: "overview-light", hash: "#/overview", isDark: false, width: 1280, height: 860 },
  { name: "overview-dark", hash: "#/overview", isDark: true, width: 1280, height: 860 },
  { name: "channel-light", hash: "#/channel/orders", isDark: false, width: 1280, height: 860 },
  { name: "durables-dark", hash: "#/durables", isDark: true, width: 1280, height: 560 },
  { name: "channels-light", hash: "#/channels", isDark: false, width: 1280, height: 560 },
  { name: "log-dark", hash: "#/log", isDark: true, width: 1280, height: 560 },
  { name: "phone-overview-dark", hash: "#/overview", isDark: true, width: 390, height: 780 },
  { name: "phone-channels-light", hash: "#/channels", isDark: false, width: 390, height: 780 },
];

async function startServer(): Promise<{ readonly child: ChildProcess; readonly url: string; readonly page: string }> {
  const child = spawn(await ensureExecutable(), ["-a", "127.0.0.1", "-p", "-1", "-m", "-1", "-cid", "production"], {
    env: { ...process.env, STANCHION_CONSOLE_TOKEN: TOKEN },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const log = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stderr!.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      if (text.includes("Streaming Server is ready")) resolve(text);
    });
    child.once("exit", () => reject(new Error(`the server ended:\n${text}`)));
  });
  const port = /client connections on 127\.0\.0\.1:(\d+)/.exec(log)![1]!;
  const monitor = /http monitor on 127\.0\.0\.1:(\d+)/.exec(log)![1]!;
  return { child, url: `nats://127.0.0.1:${port}`, page: `http://127.0.0.1:${monitor}/console` };
}

function client(url: string, id: string): Promise<Stan> {
  return new Promise((resolve, reject) => {
    const stan = connect("production", id, { url });
    stan.once("connect", () => resolve(stan));
    stan.once("error", reject);
  });
}

interface Wish {
  readonly durable?: string;
  readonly group?: string;
  readonly maxInFlight?: number;
  /** Acknowledges nothing after so many. */
  readonly acks?: number;
}

function subscribe(stan: Stan, channel: string, { durable, group, maxInFlight = 256, acks = Infinity }: Wish) {
  const options = stan.subscriptionOptions().setDeliverAllAvailable().setManualAckMode(true).setMaxInFlight(
    maxInFlight,
  );
  if (durable !== undefined) options.setDurableName(durable);
  const subscription = group === undefined ? stan.subscribe(channel, options) : stan.subscribe(channel, group, options);
  let count = 0;
  subscription.on("message", (message: { ack(): void }) => {
    if (count++ < acks) message.ack();
  });
  return new Promise<typeof subscription>((resolve) => subscription.once("ready", () => resolve(subscription)));
}

async function makeLife(url: string): Promise<Stan[]> {
  const names = ["order-service", "billing", "warehouse-1", "warehouse-2", "dashboard", "shipping", "archive"];
  const [orders, billing, one, two, dashboard, shipping, archive] = await Promise.all(
    names.map((name) => client(url, name)),
  ) as [Stan, Stan, Stan, Stan, Stan, Stan, Stan];
  const kept = await subscribe(archive, "orders", { durable: "archive", acks: 0 });
  await new Promise<void>((resolve) => {
    kept.once("closed", () => resolve());
    kept.close();
  });
  await subscribe(billing, "orders", { durable: "billing" });
  await subscribe(one, "orders", { group: "warehouse", durable: "pick" });
  await subscribe(two, "orders", { group: "warehouse", durable: "pick" });
  await subscribe(dashboard, "orders", {});
  await subscribe(shipping, "shipments.eu", { durable: "labels", maxInFlight: 40, acks: 60 });
  await subscribe(billing, "payments", { durable: "ledger" });
  const publish = (channel: string, data: string) =>
    new Promise<void>((resolve, reject) => {
      orders.publish(channel, data, (error) => error === undefined || error === null ? resolve() : reject(error));
    });
  for (let i = 1; i <= 420; i++) {
    await publish(
      "orders",
      JSON.stringify({
        id: 7_200_000 + i,
        customer: `c-${(i * 37) % 911}`,
        items: [{ sku: `A${i % 40}`, count: 1 + i % 3 }],
        total: "49.90",
      }),
    );
    if (i % 3 === 0) await publish("shipments.eu", `label ${i}`);
    if (i % 4 === 0) await publish("payments", JSON.stringify({ order: 7_200_000 + i, state: "captured" }));
  }
  for (const channel of ["audit", "inventory.berlin", "inventory.lyon", "shipments.us", "telemetry.plant-7"]) {
    for (let i = 0; i < 25; i++) await publish(channel, `{"value":${i}}`);
  }
  return [orders, billing, one, two, dashboard, shipping, archive];
}

/** Runs in the page before its script: a quarter of an hour of polls in a second, with figures that look like a day. */
function makeUpHistory(): void {
  const realNow = Date.now.bind(Date);
  const realTimeout = setTimeout;
  const realFetch = fetch;
  let shiftMs = -15 * 60_000;
  Date.now = () => realNow() + shiftMs;
  Object.assign(globalThis, {
    setTimeout(work: () => void, delayMs: number) {
      if (delayMs !== 2000 || shiftMs >= 0) return realTimeout(work, delayMs);
      shiftMs += 2000;
      return realTimeout(work, 0);
    },
    async fetch(address: string, init: RequestInit) {
      const response = await realFetch(address, init);
      if (!address.endsWith("/overview")) return response;
      const answer = await response.json();
      const s = Date.now() / 1000;
      let noise = Math.sin(s * 12.9898) * 43758.5453;
      noise -= Math.floor(noise);
      // Integrals of what the charts shall show.
      // They begin twenty minutes before what is shown, as if the server had started then.
      const base = Math.floor((realNow() / 1000 - 2100) / 100) * 100;
      const t = s - base;
      const wavy = (mean: number, long: number, quick: number) =>
        mean * t - long * 90 * Math.cos(t / 90) - quick * 23 * Math.cos(t / 23) + long * 90 + quick * 23;
      const sent = wavy(2400, 900, 500) + 500 * noise;
      Object.assign(answer.totals, {
        in_msgs: sent,
        in_bytes: sent * 310,
        out_msgs: sent * 2.6,
        out_bytes: sent * 2.6 * 330,
        acked_msgs: wavy(6100, 2200, 1300) + 900 * noise,
        redelivered_msgs: wavy(60, 30, 25),
        pending: Math.round(1400 + 700 * Math.sin(t / 90 + 1) + 250 * Math.sin(t / 17) + 160 * noise),
      });
      return new Response(JSON.stringify(answer), { status: response.status });
    },
  });
}

async function shoot(page: Page, shot: Shot, address: string): Promise<void> {
  const isPhone = shot.width < 600;
  await page.setViewport({
    width: shot.width,
    height: shot.height,
    deviceScaleFactor: isPhone ? 2 : 1,
    isMobile: isPhone,
  });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: shot.isDark ? "dark" : "light" }]);
  await page.goto("about:blank");
  await page.goto(`${address}${shot.hash}`);
  await page.waitForFunction("document.querySelector('#state')?.textContent === 'standalone'");
  // The made-up past has been asked for, and a few answers more.
  await page.waitForFunction("Date.now() >= performance.timeOrigin + performance.now() - 2000");
  const path = join(ROOT, FOLDER, `console-${shot.name}.png`);
  await page.screenshot({ path: path as `${string}.png` });
  const { size } = statSync(path);
  console.log(`${path}: ${Math.round(size / 1000)} KB`);
  if (size > BYTES_MAX) throw new Error(`${path} has more than ${BYTES_MAX} bytes`);
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const path = findBrowser();
  if (path === undefined) throw new Error("there is no Chromium: install it, or name it with STANCHION_CHROMIUM");
  mkdirSync(join(ROOT, FOLDER), { recursive: true });
  const server = await startServer();
  const browser = await startBrowser(path);
  const clients: Stan[] = [];
  try {
    clients.push(...await makeLife(server.url));
    for (const durable_name of ["ledger"]) {
      await fetch(`${server.page}/api/actions/pause`, {
        method: "POST",
        headers: { authorization: `Bearer ${TOKEN}`, "x-requested-with": "stanchion" },
        body: JSON.stringify({ channel: "payments", durable_name }),
      });
    }
    const page = await browser.newPage();
    page.on("console", (message) => console.log("page:", message.text()));
    page.on("pageerror", (error) => console.log("page:", String(error)));
    await page.evaluateOnNewDocument((token) => {
      if (location.protocol === "http:") sessionStorage.setItem("stanchion.token", token);
    }, TOKEN);
    await page.evaluateOnNewDocument(makeUpHistory);
    for (const shot of SHOTS) {
      if (wanted.length === 0 || wanted.includes(shot.name)) await shoot(page, shot, server.page);
    }
  } finally {
    for (const stan of clients) stan.close();
    await browser.close();
    server.child.kill();
  }
}

if (import.meta.main) await main();
