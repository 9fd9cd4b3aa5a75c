/** The last lines of the log, and those that come. */
import type { LogLine, LogPage } from "./api.ts";
import type { App, View } from "./app.ts";
import { fill, h, setText } from "./dom.ts";
import { localTime, needsToken } from "./messages_panel.ts";
import { button, heading, searchField } from "./parts.ts";
import type { Route } from "./route.ts";

const LINES_MAX = 1000;
const LEVELS: readonly (readonly [string, string])[] = [
  ["", "All levels"],
  ["INF", "Information and worse"],
  ["WRN", "Warnings and worse"],
  ["ERR", "Errors"],
];
const TONES: Readonly<Record<string, string>> = { FTL: "bad", ERR: "bad", WRN: "warn", DBG: "muted", TRC: "muted" };

export function logView(app: App, { query }: Route): View {
  const state = { search: query.get("search") ?? "", level: query.get("level") ?? "" };
  let lastId = 0;
  let isPaused = false;
  let refused: string | undefined;
  /** Grows with every change of what is asked for. */
  let epoch = 0;

  const restart = () => {
    app.setQuery(state);
    epoch++;
    lastId = 0;
    lines.replaceChildren();
    app.refresh();
  };
  const search = searchField("Search the log", state.search, (text) => {
    state.search = text;
    restart();
  });
  const level = h(
    "select",
    {
      "aria-label": "Level",
      onchange: () => {
        state.level = level.value;
        restart();
      },
    },
    LEVELS.map(([value, label]) => h("option", { value, selected: value === state.level }, label)),
  );
  const pause = button("Pause", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    setText(status, isPaused ? "Paused: new lines wait at the server." : "");
    if (!isPaused) app.refresh();
  });
  pause.setAttribute("aria-pressed", "false");
  const status = h("p", { class: "muted", role: "status" });
  // Not live for screen readers: it would never stop speaking. It is a region one goes to and reads.
  const lines = h("ol");
  const region = h(
    "div",
    { class: "log", role: "log", "aria-live": "off", "aria-label": "Log lines", tabindex: 0 },
    lines,
  );
  const trouble = h("div", { class: "trouble" });
  const tools = h("div", { class: "toolbar" }, level, pause);
  const element = h(
    "div",
    {},
    heading("Log", h("div", { role: "search", class: "search" }, search)),
    h("section", { class: "panel", "aria-label": "Log" }, tools, trouble, status, region),
  );

  function append(found: readonly LogLine[]): void {
    const isAtEnd = region.scrollHeight - region.scrollTop - region.clientHeight < 40;
    lines.append(...found.map(lineElement));
    while (lines.childElementCount > LINES_MAX) lines.firstElementChild!.remove();
    // Whoever reads further up is left there.
    if (isAtEnd) region.scrollTop = region.scrollHeight;
  }

  return {
    title: "Log",
    element,
    search,
    async refresh() {
      const reason = app.whyNoReading();
      if (reason !== refused) {
        refused = reason;
        tools.hidden = region.hidden = reason !== "";
        fill(trouble, reason === "" ? "" : needsToken(app, reason));
      }
      if (reason !== "" || isPaused) return;
      const asked = epoch;
      const { last_id, lines: found } = await app.api.get<LogPage>("log", {
        ...state,
        after: lastId,
        limit: LINES_MAX,
      });
      if (asked !== epoch || isPaused) return;
      if (last_id < lastId) {
        // Another server answers than before: its lines are counted from the beginning.
        lastId = 0;
        lines.replaceChildren();
        return;
      }
      lastId = last_id;
      append(found);
      setText(status, lines.childElementCount === 0 ? "No line is like that." : "");
    },
  };
}

function lineElement({ time, level, source, text }: LogLine): HTMLElement {
  return h(
    "li",
    {},
    h("time", { datetime: time }, localTime(time).slice(5, 23)),
    " ",
    h("span", { class: `level ${TONES[level] ?? ""}` }, level),
    " ",
    h("span", { class: "source" }, source === "streaming" ? "STREAM" : "CORE"),
    " ",
    h("span", { class: "text" }, text),
  );
}
