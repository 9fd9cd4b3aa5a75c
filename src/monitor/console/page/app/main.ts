/** The shell: which view is shown, how the server is asked, what is said when it does not answer. */
import { Api, ApiError, type Overview, UnreachableError } from "./api.ts";
import type { App, MakeView, View } from "./app.ts";
import { channelView } from "./channel_view.ts";
import { channelsView } from "./channels_view.ts";
import { clientsView } from "./clients_view.ts";
import { sentence } from "./dialog.ts";
import { byId, fill, setAttribute, setText } from "./dom.ts";
import { durablesView } from "./durables_view.ts";
import { helpView } from "./help_view.ts";
import { History } from "./history.ts";
import { logView } from "./log_view.ts";
import { overviewView } from "./overview_view.ts";
import { hashOf, parseHash, type Route, type ViewName } from "./route.ts";
import { listenToKeys } from "./shortcuts.ts";
import { openTokenDialog, storedToken, storeToken } from "./token_dialog.ts";

const POLL_MS = 2000;
/** Between tries of a server that does not answer. */
const RETRY_MS = [1000, 2000, 4000, 8000, 15_000];
const NOTICE_MS = 6000;

const VIEWS: Readonly<Record<ViewName, MakeView>> = {
  overview: overviewView,
  channels: channelsView,
  channel: channelView,
  durables: durablesView,
  clients: clientsView,
  log: logView,
  help: helpView,
};

class Shell implements App {
  readonly api = new Api();
  readonly history = new History();
  #overview: Overview | undefined;
  #view: View | undefined;
  #route: Route | undefined;
  /** The view that waits for an answer, so that it is not asked twice at a time. */
  #refreshing: View | undefined;
  #mustRefreshAgain = false;
  #pollTimer: number | undefined;
  #isPolling = false;
  #failures = 0;
  #noticeTimer: number | undefined;

  start(): void {
    this.api.token = storedToken();
    addEventListener("hashchange", () => this.#follow(true));
    document.addEventListener("visibilitychange", () => this.#pollSoon(0));
    byId("skip").addEventListener("click", (event) => {
      // Its address would be taken for a view's.
      event.preventDefault();
      byId("main").focus();
    });
    byId("token-button").addEventListener("click", () => this.openTokenDialog());
    byId("retry").addEventListener("click", () => this.#pollSoon(0));
    listenToKeys(() => this.#view?.search);
    this.#follow(false);
    this.#pollSoon(0);
  }

  overview(): Overview | undefined {
    return this.#overview;
  }

  whyNoActions(): string {
    const access = this.#overview?.access;
    if (access === undefined) return "The server has not answered yet.";
    if (!access.token_configured) return "No token is configured on this server, so nothing can be changed from here.";
    return access.authorized ? "" : "This needs the token of the console.";
  }

  whyNoReading(): string {
    const access = this.#overview?.access;
    if (access === undefined) return "The server has not answered yet.";
    if (access.browse || access.authorized) return "";
    return access.token_configured
      ? "Payloads and log lines need the token of the console."
      : "No token is configured on this server, so payloads and log lines cannot be read from here.";
  }

  openTokenDialog(): void {
    openTokenDialog(this, (token) => {
      this.#setToken(token);
      this.announce(token === "" ? "The token is forgotten." : "The token is accepted.");
      this.#pollSoon(0);
    });
  }

  announce(text: string): void {
    const notice = byId("notice");
    notice.hidden = false;
    setText(notice, text);
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => {
      notice.hidden = true;
      setText(notice, "");
    }, NOTICE_MS);
  }

  refresh(): void {
    void this.#refreshView();
  }

  setQuery(query: Readonly<Record<string, string | number | undefined>>): void {
    const route = this.#route!;
    // One is on the way to another view already; its address must not be written over.
    const shown = parseHash(location.hash);
    if (shown?.view !== route.view || shown.name !== route.name) return;
    const merged: Record<string, string | number | undefined> = { ...Object.fromEntries(route.query), ...query };
    const hash = hashOf(route.view, route.name, merged);
    this.#route = parseHash(hash)!;
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }

  #setToken(token: string): void {
    this.api.token = token;
    storeToken(token);
  }

  // Views ----------------------------------------------------------------------------------------------------------------

  #follow(isMove: boolean): void {
    const route = parseHash(location.hash);
    if (route === undefined) {
      // An address of nothing, such as one that was cut on its way.
      location.replace(hashOf("overview"));
      return;
    }
    this.#view?.close?.();
    this.#route = route;
    const view = VIEWS[route.view](this, route);
    this.#view = view;
    fill(byId("main"), view.element);
    byId("trouble").hidden = true;
    this.#showTitle();
    const section = route.view === "channel" ? "channels" : route.view;
    for (const link of byId("nav").querySelectorAll("a")) {
      setAttribute(link, "aria-current", link.hash === hashOf(section) ? "page" : undefined);
    }
    if (isMove) {
      scrollTo(0, 0);
      view.element.querySelector("h1")?.focus({ preventScroll: true });
    }
    this.refresh();
  }

  #showTitle(): void {
    const cluster = this.#overview?.server.cluster_id;
    document.title = `${this.#view?.title ?? ""} \u00b7 ${cluster === undefined ? "" : `${cluster} \u00b7 `}Stanchion`;
  }

  async #refreshView(): Promise<void> {
    const view = this.#view;
    if (view === undefined) return;
    if (this.#refreshing === view) {
      this.#mustRefreshAgain = true;
      return;
    }
    this.#refreshing = view;
    const trouble = byId("trouble");
    try {
      await view.refresh();
      if (view === this.#view) trouble.hidden = true;
    } catch (error) {
      if (error instanceof UnreachableError) this.#unreachable();
      else if (!(error instanceof ApiError)) throw error;
      else if (view === this.#view) {
        setText(trouble, sentence(error.message));
        trouble.hidden = false;
      }
    } finally {
      if (this.#refreshing === view) this.#refreshing = undefined;
    }
    if (this.#mustRefreshAgain && view === this.#view) {
      this.#mustRefreshAgain = false;
      await this.#refreshView();
    }
  }

  // Asking ---------------------------------------------------------------------------------------------------------------

  #pollSoon(delayMs: number): void {
    clearTimeout(this.#pollTimer);
    // Nobody looks: nothing is asked, and the charts will show the gap.
    if (document.hidden) return;
    this.#pollTimer = setTimeout(() => void this.#poll(), delayMs);
  }

  async #poll(): Promise<void> {
    // Who asks while an answer is on its way gets that one.
    if (this.#isPolling) return;
    this.#isPolling = true;
    const { token } = this.api;
    try {
      const overview = await this.api.get<Overview>("overview");
      this.#failures = 0;
      // Each wrong one counts against this address: it is not sent twice.
      if (token !== "" && !overview.access.authorized && token === this.api.token) this.#rejectToken();
      this.#overview = overview;
      this.history.add(Date.now() / 1000, overview);
      this.#showServer(overview);
    } catch (error) {
      if (error instanceof ApiError && error.status === 429) this.#rejectToken();
      else if (error instanceof ApiError || error instanceof UnreachableError) return this.#unreachable();
      else throw error;
    } finally {
      this.#isPolling = false;
    }
    this.#pollSoon(POLL_MS);
    await this.#refreshView();
  }

  #rejectToken(): void {
    this.#setToken("");
    this.announce("The server does not take the token any more.");
  }

  #unreachable(): void {
    const delayMs = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]!;
    const connection = byId("connection");
    connection.hidden = false;
    setText(
      byId("connection-text"),
      `The server is not reachable. Trying again in ${delayMs / 1000} s; what is shown is old.`,
    );
    setText(byId("state"), "not reachable");
    byId("state").className = "badge bad";
    this.#pollSoon(delayMs);
  }

  #showServer({ server, access }: Overview): void {
    byId("connection").hidden = true;
    setText(byId("cluster"), server.cluster_id);
    const state = byId("state");
    const isGood = server.state === "STANDALONE" || /^(?:FT_ACTIVE|CLUSTERED|LEADER|FOLLOWER)$/i.test(server.state);
    setText(state, server.state.toLowerCase().replaceAll("_", " "));
    state.className = `badge ${isGood ? "good" : "warn"}`;
    const store = byId("store");
    store.hidden = server.read_only === "";
    setText(
      byId("store-text"),
      server.read_only === ""
        ? ""
        : `The store refuses to write: ${
          sentence(server.read_only)
        } Publishers get an error; deliveries and acknowledgements go on.`,
    );
    const label = !access.token_configured ? "No token" : access.authorized ? "Unlocked" : "Enter token";
    const button = byId("token-button");
    setText(button.querySelector("span")!, label);
    setAttribute(button, "data-state", access.authorized ? "open" : "locked");
    this.#showTitle();
  }
}

new Shell().start();
