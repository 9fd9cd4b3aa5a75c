/**
 * The page of the console in a real browser, against the executable: it shows what the API says, does what it announces,
 * shows hostile names as names, and can be used with the keyboard, in the dark, on a phone and by a screen reader.
 * Without a Chromium on this machine all of it is skipped; .ci/run installs one.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Browser, KeyInput, Page } from "puppeteer-core";
import { findBrowser, startBrowser } from "../../scripts/browser.ts";
import { ROOT } from "../../scripts/project.ts";
import { sendHttp, StanClient, TOKEN } from "../conformance/console/support.ts";
import { PROCESS_TEST_MS_MAX, type ServerProcess, startServerProcess, TARGETS } from "../helpers/server_process.ts";

const timeout = PROCESS_TEST_MS_MAX;
const browserPath = findBrowser();
/** What has not come by then does not come; it is the end of a test, never its measure. */
const WAIT_MS_MAX = 20_000;
const skip = !TARGETS.includes("executable")
  ? "the process that tests the executable does it"
  : browserPath === undefined
  ? "there is no Chromium: install it, or name it with STANCHION_CHROMIUM"
  : false;
const VIEWS = ["overview", "channels", "channel/orders", "durables", "clients", "log", "help"];
/** Any of it that became an element would show itself. */
const HOSTILE = "<img src=x onerror=document.title='owned'>";
/** A channel may not have a ">" in its name; the next one in the page would do. */
const HOSTILE_CHANNEL = "<img src=x onerror=document.title='owned' x";

let browser: Browser;

/** A server with its clients, and a tab that shows its console. */
class Bench {
  readonly server: ServerProcess;
  readonly page: Page;
  readonly #clients: StanClient[] = [];
  /** What the browser complained about: exceptions, refused requests, violations of the policy. */
  readonly complaints: string[] = [];
  readonly #addresses: string[] = [];

  private constructor(server: ServerProcess, page: Page) {
    this.server = server;
    this.page = page;
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warn") this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => void this.complaints.push(String(error)));
    page.on("request", (request) => void this.#addresses.push(request.url()));
  }

  /** Runs `work`; afterwards nothing may have been complained about but what `expected` matches, and nobody else asked. */
  static async with(
    work: (bench: Bench) => Promise<void>,
    options: { readonly args?: readonly string[]; readonly token?: string; readonly expected?: RegExp } = {},
  ): Promise<void> {
    const server = await startServerProcess("executable", {
      args: ["-cid", "seen", "-m", "-1", ...options.args ?? []],
      env: { STANCHION_CONSOLE_TOKEN: options.token ?? TOKEN },
    });
    const context = await browser.createBrowserContext();
    const bench = new Bench(server, await context.newPage());
    bench.page.setDefaultTimeout(WAIT_MS_MAX);
    try {
      await work(bench);
      const { expected } = options;
      assert.deepEqual(bench.complaints.filter((text) => expected === undefined || !expected.test(text)), []);
      const origin = `http://127.0.0.1:${bench.monitorPort}/`;
      assert.deepEqual(bench.#addresses.filter((url) => !url.startsWith(origin) && !url.startsWith("data:")), []);
      // It is sent in a header only.
      assert.deepEqual(bench.#addresses.filter((url) => url.includes(TOKEN)), []);
    } finally {
      for (const client of bench.#clients) client.destroy();
      await context.close();
      await server.stop("SIGKILL");
    }
  }

  get monitorPort(): number {
    return Number(/http monitor on 127\.0\.0\.1:(\d+)/.exec(this.server.log)![1]);
  }

  async client(id: string): Promise<StanClient> {
    const client = await StanClient.open(this.server.port, id);
    this.#clients.push(client);
    return client;
  }

  /** What the API says, to who has the token. */
  // deno-lint-ignore no-explicit-any -- a test looks into it as a script does.
  async api(path: string): Promise<any> {
    return (await sendHttp(this.monitorPort, "GET", `/console/api/${path}`, { authorization: `Bearer ${TOKEN}` })).json;
  }

  /** Shows a view, in a page that is loaded anew. */
  async open(view = "overview"): Promise<void> {
    await this.page.goto("about:blank");
    await this.page.goto(`http://127.0.0.1:${this.monitorPort}/console#/${view}`);
    await this.until(`document.querySelector("#state").textContent === "standalone"`);
  }

  /** With the token, typed in. */
  async unlock(): Promise<void> {
    await this.page.locator("#token-button").click();
    await this.page.locator("#token").fill(TOKEN);
    await this.press("Enter");
    await this.until(`document.querySelector("#token-button").textContent.includes("Unlocked")`);
    await this.until(`document.querySelector("dialog") === null`);
  }

  async until(expression: string): Promise<void> {
    await this.page.waitForFunction(expression, { polling: 30 }).catch(async (error: unknown) => {
      const text = await this.page.evaluate("document.body.innerText");
      throw new Error(`never true: ${expression}\n${String(text)}`, { cause: error });
    });
  }

  /** Waits until what the page shows as text holds all of `texts`. */
  async shows(...texts: readonly string[]): Promise<void> {
    await this.until(`${JSON.stringify(texts)}.every((text) => document.body.innerText.includes(text))`);
  }

  /** Cells of the rows of a table, by the text of the row's head. */
  async rows(table: string): Promise<Record<string, string[]>> {
    return await this.page.evaluate(`Object.fromEntries(
      [...document.querySelectorAll(${JSON.stringify(`${table} tbody tr`)})].map((row) => [
        row.querySelector(".name").textContent,
        [...row.querySelectorAll("td")].map((cell) => cell.textContent),
      ]))`) as Record<string, string[]>;
  }

  async evaluate(expression: string): Promise<unknown> {
    return await this.page.evaluate(expression);
  }

  async press(...keys: readonly KeyInput[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** The button whose whole text (also what only a screen reader says) is `name`; found and pressed when it is there. */
  async click(name: string): Promise<void> {
    await this.until(`(() => {
      const button = [...document.querySelectorAll("button")].find((one) =>
        one.textContent.trim() === ${JSON.stringify(name)} && one.offsetParent !== null && !one.disabled);
      button?.click();
      return button !== undefined;
    })()`);
  }

  /** Confirms the open dialog, with `name` typed in if it asks for it. */
  async confirm(name?: string): Promise<void> {
    if (name !== undefined) {
      const isRefused = await this.evaluate(`document.querySelector("dialog [type=submit]").disabled`);
      assert.equal(isRefused, true, "nothing happens before the name is typed");
      await this.page.locator("dialog input[id$=-name]").fill(name);
    }
    await this.page.locator("dialog [type=submit]").click();
    await this.until(`document.querySelector("dialog") === null`);
  }

  /** The audit lines are these, as soon as the log has come through its pipe. */
  async audited(lines: readonly string[]): Promise<void> {
    const found = () =>
      this.server.log.split("\n").flatMap((line) => /\[WRN\] STREAM: (Console: .*)$/.exec(line)?.[1] ?? []);
    await this.server.process.until(() => found().length >= lines.length);
    // Reasons of the server are texts that may improve.
    assert.deepEqual(found().map((line) => line.replace(/: failed: .*/, ": failed")), lines);
  }
}

/** Something of everything: a busy durable, one that is away, one that is stalled, a group. */
async function makeLife(bench: Bench): Promise<StanClient> {
  const me = await bench.client("me");
  await me.publish("orders", ...Array.from({ length: 45 }, (_, i) => JSON.stringify({ number: i + 1 })));
  await me.publish("parcels", "one", "two", "three");
  const away = await me.subscribe("orders", { durableName: "away" });
  await me.heard(away, 45);
  await me.closeSubscription(away);
  const stalled = await me.subscribe("orders", { durableName: "stalled", maxInFlight: 2, ackWaitSecs: 3600 });
  await me.heard(stalled, 2);
  await me.subscribe("parcels", { queueGroup: "workers", ackWaitSecs: 3600 });
  return me;
}

describe("the page of the console", () => {
  before(async () => {
    if (browserPath !== undefined) browser = await startBrowser(browserPath);
  }, { timeout });
  after(async () => {
    await browser?.close();
  }, { timeout });

  it("every view shows what the API says", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      await makeLife(bench);
      await bench.open();
      const { totals, server } = await bench.api("overview");
      assert.deepEqual([totals.pending, totals.stalled, totals.msgs], [50, 1, 48]);
      await bench.shows(server.version, "seen", "48", "1 stalled", "Furthest behind");
      await bench.until(`document.querySelectorAll(".canvas canvas").length === 4`);
      await bench.until(`/published: now \\d/.test(document.querySelector(".canvas").getAttribute("aria-label"))`);
      await bench.until(`document.querySelectorAll("section tbody tr").length === 2`);
      assert.deepEqual(Object.keys(await bench.rows("section")), ["orders", "parcels"]);

      await bench.open("channels");
      await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
      const { channels } = await bench.api("channels");
      const shown = await bench.rows("main");
      for (const { name, msgs, last_seq, subscriptions, pending, max_lag } of channels) {
        const [shownMsgs, , ...figures] = shown[name]!;
        assert.deepEqual(
          [shownMsgs, ...figures.slice(0, 4)],
          [msgs, last_seq, subscriptions, pending, max_lag].map(String),
        );
      }
      assert.equal(shown["orders"]![6], "1 stalled");

      await bench.open("channel/orders");
      await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
      const subscriptions = await bench.rows("main");
      assert.deepEqual(
        subscriptions["stalled"]!.slice(0, 5),
        ["stalled", "43", "2 / 2", "0", "2"].map((text, at) => at === 1 ? subscriptions["stalled"]![1]! : text),
      );
      assert.match(subscriptions["stalled"]![1]!, /^43( \u00b7 \d+ s)?$/);
      assert.equal(subscriptions["away"]![0], "offline");
      await bench.shows("of 1M", "Limits", "Payloads and log lines need the token");

      await bench.open("durables");
      await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
      assert.deepEqual(Object.keys(await bench.rows("main")), ["away", "stalled"]);
      await bench.open("clients");
      await bench.until(`document.querySelectorAll("tbody tr").length === 1`);
      assert.deepEqual((await bench.rows("main"))["me"]![0], "2");
      await bench.open("help");
      await bench.shows("Keys", "/streaming/serverz", "/metrics", "Listen to these keys");
      await bench.open("log");
      await bench.shows("Payloads and log lines need the token");
      await bench.unlock();
      await bench.shows("Streaming Server is ready", "CORE");
    });
  });

  it("the token: tried once, kept in the tab, forgotten on demand", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      await bench.open("log");
      await bench.click("Enter token");
      await bench.page.locator("#token").fill("wrong");
      await bench.press("Enter");
      await bench.shows("This is not the token of this server.");
      assert.equal(await bench.evaluate("sessionStorage.length"), 0);
      await bench.press("Escape");
      await bench.until(`document.querySelector("dialog") === null`);
      await bench.unlock();
      assert.deepEqual(await bench.evaluate("[{ ...sessionStorage }, { ...localStorage }, document.cookie]"), [
        { "stanchion.token": TOKEN },
        {},
        "",
      ]);
      await bench.shows("Console: wrong token from 127.0.0.1");
      await bench.page.reload();
      await bench.shows("Unlocked", "Streaming Server is ready");
      await bench.click("Unlocked");
      await bench.confirm();
      await bench.shows("Enter token", "Payloads and log lines need the token");
      assert.equal(await bench.evaluate("sessionStorage.length"), 0);
      // One attempt was one attempt: no poll has sent the wrong one again.
      await bench.audited(["Console: wrong token from 127.0.0.1"]);
    });
  });

  it("a token that is not taken any more is not sent again", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      await bench.open("help");
      await bench.evaluate(`sessionStorage.setItem("stanchion.token", "of-another-day")`);
      await bench.page.reload();
      await bench.shows("The server does not take the token any more.", "Enter token");
      assert.equal(await bench.evaluate("sessionStorage.length"), 0);
      await bench.audited(["Console: wrong token from 127.0.0.1"]);
    });
  });

  it("actions: each does what its dialog says and leaves its line", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      const me = await makeLife(bench);
      await bench.open("channel/orders");
      await bench.unlock();

      await bench.click("Pause stalled");
      await bench.shows(
        "gets no messages and no redeliveries until it is resumed",
        "A restart of the server ends the pause",
      );
      await bench.confirm();
      await bench.shows("stalled was paused.");
      await bench.until(`document.querySelector("tbody").innerText.includes("paused")`);
      assert.equal((await bench.api("channels/orders")).paused, 1);
      await bench.click("Resume stalled");
      await bench.confirm();
      await bench.shows("stalled was resumed.");
      assert.equal((await bench.api("channels/orders")).paused, 0);

      await bench.click("Rewind away");
      await bench.page.locator(`dialog [aria-label="Sequence"]`).fill("nonsense");
      await bench.page.locator("dialog [type=submit]").click();
      await bench.shows("The sequence must be a whole number from 1 on.");
      await bench.page.locator(`dialog [aria-label="Sequence"]`).fill("41");
      await bench.confirm();
      await bench.shows("away goes on with sequence 41.");
      await bench.until(`document.querySelector("tbody").innerText.includes("40")`);
      const { durables } = await bench.api("durables?search=away");
      assert.deepEqual([durables[0].last_sent, durables[0].lag], [40, 5]);

      await bench.click("Purge\u2026 orders");
      await bench.page.locator("dialog input.short").fill("10");
      await bench.confirm("orders");
      await bench.shows("10 messages of orders were removed.");
      assert.equal((await bench.api("channels/orders")).first_seq, 11);

      await bench.click("Delete away");
      await bench.shows("Who subscribes with this name begins anew.");
      await bench.confirm("away");
      await bench.until(`document.querySelectorAll("tbody tr").length === 1`);
      assert.equal((await bench.api("durables")).total, 1);

      // What is refused is said where it was asked for.
      await bench.click("Delete\u2026 orders");
      await bench.page.locator("dialog input[id$=-name]").fill("orders");
      await bench.page.locator("dialog [type=submit]").click();
      await bench.until(`document.querySelector("dialog .trouble").textContent !== ""`);
      await bench.page.locator("dialog input[type=checkbox]").click();
      await bench.page.locator("dialog [type=submit]").click();
      await bench.shows("Channel orders was deleted.", "There is no such channel now.");
      assert.equal((await bench.api("channels")).total, 1);
      await bench.audited([
        `Console: pause channel="orders" durable="stalled" client="me" by 127.0.0.1: done`,
        `Console: resume channel="orders" durable="stalled" client="me" by 127.0.0.1: done`,
        `Console: rewind channel="orders" durable="away" client="me" by 127.0.0.1: done`,
        `Console: purge channel="orders" by 127.0.0.1: done`,
        `Console: delete-durable channel="orders" durable="away" client="me" by 127.0.0.1: done`,
        `Console: delete-channel channel="orders" by 127.0.0.1: failed`,
        `Console: delete-channel channel="orders" by 127.0.0.1: done`,
      ]);
      await me.publish("orders", "the first of a new one");
      await bench.shows("the first of a new one");
    }, { expected: /status of (?:404|409)/ });
  });

  it("without a configured token every action says why it cannot be done", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      await makeLife(bench);
      await bench.open("channel/orders");
      const reason = "No token is configured on this server, so nothing can be changed from here.";
      await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
      assert.deepEqual(
        await bench.evaluate(`[...document.querySelectorAll(".actions button")].map((button) =>
          button.getAttribute("aria-disabled") + " " + button.title)`),
        Array.from({ length: 8 }, () => `true ${reason}`),
      );
      await bench.click("Purge\u2026 orders");
      await bench.shows("No token is configured", "STANCHION_CONSOLE_TOKEN");
      await bench.confirm();
      await bench.audited([]);
      assert.equal((await bench.api("channels/orders")).msgs, 45);
    }, { token: "" });
  });

  it("messages: newest, older, newer, oldest, a sequence; as text, JSON and bytes", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      const me = await makeLife(bench);
      await me.publish("orders", Uint8Array.of(0, 0xff, 0x41));
      await bench.open("channel/orders");
      await bench.unlock();
      const sequences = (...wanted: readonly number[]) =>
        bench.until(
          `JSON.stringify([...document.querySelectorAll(".messages b")].map((b) => Number(b.textContent.slice(1)))) === ` +
            JSON.stringify(JSON.stringify(wanted)),
        );
      const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, i) => from - i);
      await sequences(...down(46, 27));
      // The newest is none that is text, so it is shown as bytes.
      await bench.shows("00 ff 41", `"number": 45`);
      await bench.click("Older");
      await sequences(...down(26, 7));
      await bench.click("Older");
      await sequences(...down(6, 1));
      assert.equal(
        await bench.evaluate(
          `[...document.querySelectorAll("button")].find((b) => b.textContent === "Older").disabled`,
        ),
        true,
      );
      await bench.click("Newer");
      await sequences(...down(26, 7));
      await bench.click("Oldest");
      await sequences(...down(20, 1));
      await bench.click("Newest");
      await sequences(...down(46, 27));
      await bench.page.locator("#jump").fill("3");
      await bench.click("Go");
      await sequences(3, 2, 1);
      await bench.page.select(`[aria-label="Show payloads"]`, "hex");
      await bench.shows("7b 22 6e 75 6d 62 65 72");
      await bench.page.select(`[aria-label="Show payloads"]`, "text");
      await bench.shows(`{"number":3}`);
      // The address is that of what is shown.
      assert.equal(await bench.evaluate("location.hash"), "#/channel/orders?from=3&as=text");
      await bench.page.reload();
      await sequences(3, 2, 1);
      await bench.shows(`{"number":3}`);
      // Nothing of it was a delivery.
      assert.equal((await bench.api("overview")).totals.out_msgs, 50);
    });
  });

  it("hostile names and payloads are texts: in every view, in dialogs, in the log", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      const me = await bench.client("me");
      await me.publish(HOSTILE_CHANNEL, HOSTILE, `{"html": "${HOSTILE}"}`);
      const subscribed = await me.subscribe(HOSTILE_CHANNEL, { durableName: HOSTILE });
      await me.heard(subscribed, 2);
      await me.subscribe(HOSTILE_CHANNEL, { queueGroup: HOSTILE });
      await bench.open("channels");
      await bench.unlock();
      const isParsed = () =>
        bench.evaluate(`document.querySelectorAll("img").length > 0 || document.title.startsWith("owned")`);
      for (const view of ["overview", "channels", "durables", "log"]) {
        await bench.evaluate(`location.hash = "#/${view}"`);
        await bench.shows(HOSTILE_CHANNEL);
        if (view === "durables") await bench.shows(HOSTILE);
        assert.equal(await isParsed(), false, view);
      }
      await bench.evaluate(`location.hash = "#/channels"`);
      await bench.page.locator("th .name").click();
      await bench.shows(`"html": "${HOSTILE}"`);
      assert.equal(await isParsed(), false);
      await bench.click(`Delete ${HOSTILE}`);
      await bench.shows("To go on, type the name");
      await bench.page.locator("dialog input[type=checkbox]").click();
      await bench.confirm(HOSTILE);
      await bench.shows(`Durable ${HOSTILE} was deleted.`);
      assert.equal(await isParsed(), false);
      // Not only is nothing parsed: nothing can be.
      const refused = await bench.evaluate(`(() => {
        try { document.body.innerHTML = "<b>"; return false; } catch (error) { return error instanceof TypeError; }
      })()`);
      assert.equal(refused, true);
    }, { expected: /TrustedHTML/ });
  });

  it("10,000 channels: a page at a time, found by name, sorted by the server", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      const me = await bench.client("me");
      for (let first = 0; first < 10_000; first += 500) {
        await Promise.all(
          Array.from({ length: 500 }, (_, i) => me.publish(`c.${String(first + i).padStart(5, "0")}`, "x")),
        );
      }
      await me.publish("c.07777", "y", "z");
      await bench.open("channels");
      await bench.shows("1\u201350 of 10,000");
      assert.equal(await bench.evaluate(`document.querySelectorAll("tbody tr").length`), 50);
      await bench.click("Next");
      await bench.shows("51\u2013100 of 10,000", "c.00050");
      await bench.click("Messages");
      await bench.until(`document.querySelector("tbody .name").textContent === "c.07777"`);
      assert.equal(
        await bench.evaluate(`document.querySelector("th[aria-sort]").textContent + location.hash`),
        "Messages#/channels?sort=msgs",
      );
      await bench.press("/");
      await bench.page.keyboard.type("C.0999");
      await bench.shows("1\u201310 of 10");
      assert.equal(await bench.evaluate("location.hash"), "#/channels?sort=msgs&search=C.0999");
      await bench.page.reload();
      await bench.shows("1\u201310 of 10");
    }, { args: ["-mc", "0"] });
  });

  it("log: level, search and pause", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      const me = await bench.client("me");
      await bench.open("log");
      await bench.unlock();
      await bench.shows("Streaming Server is ready");
      await me.publish("born.later", "x");
      await bench.shows(`Channel "born.later" has been created`);
      await bench.click("Pause");
      await bench.shows("Paused: new lines wait at the server.");
      await me.publish("born.in.a.pause", "x");
      await bench.click("Pause");
      await bench.shows(`Channel "born.in.a.pause" has been created`);
      await bench.page.select(`[aria-label="Level"]`, "WRN");
      await bench.shows("No line is like that.");
      await bench.page.select(`[aria-label="Level"]`, "");
      await bench.page.locator("input[type=search]").fill("born.later");
      await bench.until(`document.querySelectorAll(".log li").length === 1`);
      assert.equal(await bench.evaluate("location.hash"), "#/log?search=born.later");
    });
  });

  it("a server that does not answer is said, tried again and forgiven; a tab that is hidden asks nothing", {
    timeout,
    skip,
  }, async () => {
    await Bench.with(async (bench) => {
      // Timers that wait, by their length: only the next poll has two seconds.
      await bench.page.evaluateOnNewDocument(`{
        const waiting = new Map();
        const [set, clear] = [setTimeout, clearTimeout];
        globalThis.setTimeout = (work, ms) => {
          const id = set(() => { waiting.delete(id); work(); }, ms);
          waiting.set(id, ms);
          return id;
        };
        globalThis.clearTimeout = (id) => { waiting.delete(id); clear(id); };
        globalThis.isPollWaiting = () => [...waiting.values()].includes(2000);
        let isHidden = false;
        Object.defineProperty(document, "hidden", { get: () => isHidden });
        globalThis.hide = (value) => { isHidden = value; document.dispatchEvent(new Event("visibilitychange")); };
      }`);
      await bench.open();
      await bench.until("isPollWaiting()");
      await bench.evaluate("hide(true)");
      assert.equal(await bench.evaluate("isPollWaiting()"), false);
      await bench.evaluate("hide(false)");
      await bench.until("isPollWaiting()");

      await bench.page.setOfflineMode(true);
      await bench.shows("The server is not reachable. Trying again in", "not reachable");
      assert.equal(await bench.evaluate(`document.querySelector("#connection").getAttribute("role")`), "alert");
      await bench.page.setOfflineMode(false);
      await bench.click("Try now");
      await bench.until(
        `document.querySelector("#connection").hidden && document.querySelector("#state").textContent === "standalone"`,
      );
    }, { expected: /ERR_INTERNET_DISCONNECTED/ });
  });

  it("a store that refuses to write is said in every view", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      await bench.page.evaluateOnNewDocument(`{
        const ask = fetch;
        globalThis.fetch = async (address, init) => {
          const answer = await (await ask(address, init)).json();
          if (address.endsWith("/overview")) answer.server.read_only = "the disk is full";
          return new Response(JSON.stringify(answer));
        };
      }`);
      await bench.open("clients");
      await bench.shows("The store refuses to write: The disk is full.");
      await bench.evaluate(`location.hash = "#/help"`);
      await bench.shows("Keys", "The store refuses to write: The disk is full.");
    });
  });

  it(
    "keyboard alone: skip link, views, search, a dialog that takes the focus and gives it back",
    { timeout, skip },
    async () => {
      await Bench.with(async (bench) => {
        await makeLife(bench);
        await bench.open();
        const focused = (expression: string) => bench.evaluate(`document.activeElement.${expression}`);
        await bench.press("Tab");
        assert.equal(await focused("textContent"), "Skip to the content");
        assert.ok(
          Number(await focused("getBoundingClientRect().left")) >= 0,
          "the skip link is seen while it has the focus",
        );
        await bench.press("Enter");
        assert.equal(await focused("id"), "main");
        assert.equal(await bench.evaluate("location.hash"), "#/overview");
        for (
          const [key, title] of [["d", "Durables"], ["k", "Clients"], ["l", "Log"], ["o", "Overview"], [
            "c",
            "Channels",
          ]] as const
        ) {
          await bench.press("g", key);
          await bench.until(`document.querySelector("h1").textContent === "${title}"`);
          assert.equal(await focused("tagName"), "H1");
          await bench.until(`document.title.startsWith("${title} ")`);
          assert.equal(await bench.evaluate(`document.querySelector("[aria-current=page]").textContent.trim()`), title);
        }
        await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
        await bench.press("/");
        assert.equal(await focused("type"), "search");
        await bench.page.keyboard.type("ord");
        await bench.until(`document.querySelectorAll("tbody tr").length === 1`);
        // Letters in a field are letters.
        await bench.page.keyboard.type("gl?");
        assert.equal(await focused("value"), "ordgl?");
        await bench.press("Backspace", "Backspace", "Backspace");
        await bench.until(`document.querySelectorAll("tbody tr").length === 1`);
        let name: unknown;
        for (let i = 0; i < 20 && name !== "orders"; i++) {
          await bench.press("Tab");
          name = await focused("textContent");
        }
        assert.equal(name, "orders");
        await bench.press("Enter");
        await bench.until(`document.querySelector("h1").textContent === "orders"`);
        await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
        // All that can be reached shows that it was.
        const seen = new Set<string>();
        for (let i = 0; i < 40; i++) {
          await bench.press("Tab");
          const [text, outline] = await bench.evaluate(`[document.activeElement.textContent.trim(),
          document.activeElement === document.body ? "body" : getComputedStyle(document.activeElement).outlineStyle]`) as [
            string,
            string,
          ];
          assert.ok(outline === "solid" || outline === "body", `${text}: ${outline}`);
          seen.add(text);
        }
        for (const wanted of ["Purge\u2026 orders", "Delete away", "Pause stalled", "Enter token", "Help"]) {
          assert.ok(seen.has(wanted), `${wanted} is reached`);
        }
        await bench.evaluate(`document.querySelector("#token-button").focus()`);
        await bench.press("Enter");
        await bench.until(`document.activeElement.id === "token"`);
        await bench.press("Escape");
        await bench.until(`document.querySelector("dialog") === null && document.activeElement.id === "token-button"`);
        await bench.press("?");
        await bench.until(`document.querySelector("h1").textContent === "Help"`);
        // They can be switched off, and stay so.
        await bench.page.locator("input[type=checkbox]").click();
        await bench.evaluate("document.activeElement.blur()");
        await bench.press("g", "c");
        assert.equal(await bench.evaluate("location.hash"), "#/help");
        await bench.page.reload();
        await bench.shows("Keys");
        assert.equal(await bench.evaluate(`document.querySelector("input[type=checkbox]").checked`), false);
      });
    },
  );

  it("what is written again keeps the focus where it is", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      const me = await makeLife(bench);
      await bench.open("channels");
      await bench.until(`document.querySelectorAll("tbody tr").length === 2`);
      await bench.evaluate(`(globalThis.kept = document.querySelectorAll("tbody a")[1]).focus()`);
      await me.publish("aaa.first", "a row before it");
      await me.publish("parcels", "four");
      await bench.until(`document.querySelectorAll("tbody tr").length === 3`);
      assert.equal(await bench.evaluate(`document.activeElement === kept && kept.textContent`), "parcels");
      assert.equal((await bench.rows("main"))["parcels"]![0], "4");
    });
  });

  it(
    "phone, tablet, zoom of 200 %: the page never scrolls sideways, in the light and in the dark",
    { timeout, skip },
    async () => {
      await Bench.with(async (bench) => {
        const me = await makeLife(bench);
        await me.publish(`a.very.long.name.${"x".repeat(120)}`, "y".repeat(400));
        await bench.open();
        await bench.unlock();
        for (const scheme of ["light", "dark"]) {
          await bench.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
          const ground = scheme === "light" ? "rgb(243, 245, 248)" : "rgb(14, 19, 26)";
          assert.equal(await bench.evaluate("getComputedStyle(document.documentElement).backgroundColor"), ground);
          for (const [width, deviceScaleFactor] of [[320, 2], [640, 2], [900, 1]] as const) {
            await bench.page.setViewport({ width, height: 700, deviceScaleFactor });
            for (const view of VIEWS) {
              await bench.evaluate(`location.hash = "#/${view}"`);
              await bench.until(`location.hash.startsWith("#/${view}") && document.querySelector("main h1") !== null &&
              (document.querySelector("main tbody") === null || document.querySelector("main tbody tr") !== null)`);
              const wide = await bench.evaluate(`document.documentElement.scrollWidth - innerWidth`);
              assert.ok(Number(wide) <= 0, `${view} at ${width} in the ${scheme}: ${String(wide)} px too wide`);
            }
          }
        }
      });
    },
  );

  it("who wants no motion sees none", { timeout, skip }, async () => {
    await Bench.with(async (bench) => {
      await bench.page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
      await bench.open();
      assert.deepEqual(
        await bench.evaluate(`[...document.querySelectorAll("body, body *")].filter((element) => {
          const { transitionDuration, animationName } = getComputedStyle(element);
          return transitionDuration !== "0s" || animationName !== "none";
        }).length`),
        0,
      );
    });
  });

  it(
    "WCAG 2.1 AA by axe: every view and every kind of dialog, light and dark, desktop and phone",
    { timeout, skip },
    async () => {
      await Bench.with(async (bench) => {
        const axe = readFileSync(join(ROOT, "node_modules/axe-core/axe.min.js"), "utf8");
        await makeLife(bench);
        const check = async (what: string) => {
          const found = await bench.evaluate(`axe.run(document, {
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], resultTypes: ["violations"],
        }).then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 200)).join(" | ")))`);
          assert.deepEqual(found, [], what);
        };
        await bench.open();
        await bench.unlock();
        await bench.evaluate(axe);
        for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 320], ["dark", 320]] as const) {
          // A colour on its way from one scheme to the other has the contrast of neither.
          await bench.page.emulateMediaFeatures([
            { name: "prefers-color-scheme", value: scheme },
            { name: "prefers-reduced-motion", value: "reduce" },
          ]);
          await bench.page.setViewport({ width, height: 800 });
          for (const view of VIEWS) {
            await bench.evaluate(`location.hash = "#/${view}"`);
            await bench.until(`location.hash.startsWith("#/${view}") && document.querySelector("main h1") !== null &&
            (document.querySelector("main tbody") === null || document.querySelector("main tbody tr") !== null)`);
            if (view === "log") await bench.until(`document.querySelector(".log li") !== null`);
            if (view === "channel/orders") await bench.until(`document.querySelector(".messages pre") !== null`);
            await check(`${view}, ${scheme}, ${width}`);
          }
          await bench.evaluate(`location.hash = "#/channel/orders"`);
          for (
            const button of ["Purge\u2026 orders", "Delete\u2026 orders", "Rewind away", "Delete away", "Pause away"]
          ) {
            await bench.click(button);
            await bench.until(`document.querySelector("dialog[open]") !== null`);
            await check(`dialog ${button}, ${scheme}, ${width}`);
            await bench.press("Escape");
            await bench.until(`document.querySelector("dialog") === null`);
          }
        }
      });
    },
  );
});
