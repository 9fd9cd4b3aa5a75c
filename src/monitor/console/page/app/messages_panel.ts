/** The messages of a channel, the newest on top, as text, JSON or bytes. Reading delivers nothing and changes nothing. */
import {
  ApiError,
  type ChannelDetails,
  channelPath,
  type MessageItem,
  type MessagePage,
  UnreachableError,
} from "./api.ts";
import type { App } from "./app.ts";
import { sentence } from "./dialog.ts";
import { fill, h, setText } from "./dom.ts";
import { bytes, count, fromBase64, PAYLOAD_FORMS, type PayloadForm, showPayload } from "./format.ts";
import { button } from "./parts.ts";

const PAGE_SIZE = 20;
const FORM_LABEL = { auto: "as it fits", text: "as text", json: "as JSON", hex: "as hex" } as const;

export class MessagesPanel {
  readonly element: HTMLElement;
  readonly #app: App;
  readonly #channel: string;
  readonly #list = h("ol", { class: "messages" });
  readonly #text = h("p", { class: "muted", role: "status" });
  readonly #trouble = h("div", { class: "trouble" });
  readonly #form: HTMLSelectElement;
  readonly #jump = h("input", { type: "text", inputmode: "numeric", class: "short", id: "jump", autocomplete: "off" });
  readonly #older: HTMLButtonElement;
  readonly #newer: HTMLButtonElement;
  readonly #tools: HTMLElement;
  #messages: readonly MessageItem[] = [];
  /** What was asked for last; an answer to anything else comes too late. */
  #asked = 0;
  #isStarted = false;
  #wasRefused = "";

  constructor(app: App, channel: string, query: URLSearchParams) {
    this.#app = app;
    this.#channel = channel;
    const form = PAYLOAD_FORMS.find((one) => one === query.get("as")) ?? "auto";
    this.#form = h(
      "select",
      { "aria-label": "Show payloads", onchange: () => this.#show() },
      PAYLOAD_FORMS.map((one) => h("option", { value: one, selected: one === form }, FORM_LABEL[one])),
    );
    this.#jump.value = query.get("from") ?? "";
    this.#older = button("Older", () => void this.#load("back", this.#lowest - 1));
    this.#newer = button("Newer", () => void this.#load("forward", this.#highest + 1));
    this.#tools = h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Which messages" },
      button("Newest", () => void this.#load("back")),
      this.#newer,
      this.#older,
      button("Oldest", () => void this.#load("forward")),
      h(
        "form",
        { onsubmit: (event) => this.#jumpTo(event) },
        h("label", { for: "jump" }, "Sequence"),
        this.#jump,
        h("button", { type: "submit" }, "Go"),
      ),
      this.#form,
    );
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "messages-title" },
      h("h2", { id: "messages-title" }, "Messages"),
      this.#tools,
      this.#trouble,
      this.#text,
      this.#list,
    );
  }

  /** The channel is gone: a new one of its name has other messages. */
  reset(): void {
    this.#asked++;
    this.#isStarted = false;
    this.#messages = [];
    fill(this.#list);
    setText(this.#text, "");
    fill(this.#trouble);
  }

  /** Loads the first page, as soon as that is allowed, and again when what it shows is gone. */
  refresh({ first_seq, last_seq }: ChannelDetails): void {
    if (this.#isStarted && this.#messages.length > 0) {
      this.#newer.disabled = this.#highest >= last_seq;
      if (this.#lowest < first_seq) void this.#load("back", Math.max(this.#highest, first_seq));
    }
    const reason = this.#app.whyNoReading();
    if (reason === this.#wasRefused && (this.#isStarted || reason !== "")) return;
    this.#wasRefused = reason;
    this.#tools.hidden = reason !== "";
    if (reason !== "") {
      this.#isStarted = false;
      fill(this.#list);
      setText(this.#text, "");
      fill(this.#trouble, needsToken(this.#app, reason));
      return;
    }
    this.#isStarted = true;
    const from = Number(this.#jump.value);
    void this.#load("back", this.#jump.value !== "" && Number.isSafeInteger(from) ? from : undefined);
  }

  /** An answer that is on its way comes too late. */
  close(): void {
    this.#asked++;
  }

  get #highest(): number {
    return this.#messages[0]?.sequence ?? 0;
  }

  get #lowest(): number {
    return this.#messages.at(-1)?.sequence ?? 1;
  }

  #jumpTo(event: Event): void {
    event.preventDefault();
    const text = this.#jump.value.trim();
    if (/^\d{1,15}$/.test(text)) void this.#load("back", Number(text));
    else fill(this.#trouble, "The sequence must be a whole number.");
  }

  async #load(direction: "forward" | "back", from?: number): Promise<void> {
    const asked = ++this.#asked;
    this.element.setAttribute("aria-busy", "true");
    try {
      const page = await this.#app.api.get<MessagePage>(`${channelPath(this.#channel)}/messages`, {
        direction,
        from,
        limit: PAGE_SIZE,
      });
      if (asked !== this.#asked) return;
      fill(this.#trouble);
      this.#messages = [...page.messages].sort((a, b) => b.sequence - a.sequence);
      this.#app.setQuery({ from: from === undefined && direction === "back" ? "" : this.#highest || "", as: this.#as });
      this.#show();
      setText(
        this.#text,
        this.#messages.length === 0
          ? "There is no message here."
          : `${count(this.#lowest)} to ${count(this.#highest)}, of sequences ${count(page.first_seq)} to ${
            count(page.last_seq)
          }`,
      );
      this.#older.disabled = this.#messages.length === 0 || this.#lowest <= page.first_seq;
      this.#newer.disabled = this.#highest >= page.last_seq;
    } catch (error) {
      if (asked !== this.#asked) return;
      // Somebody takes the token away, or the channel ends: the next look at the server says which.
      if (!(error instanceof ApiError || error instanceof UnreachableError)) throw error;
      fill(this.#trouble, sentence(error.message));
    } finally {
      if (asked === this.#asked) this.element.removeAttribute("aria-busy");
    }
  }

  get #as(): string {
    return this.#form.value === "auto" ? "" : this.#form.value;
  }

  #show(): void {
    this.#app.setQuery({ as: this.#as });
    fill(this.#list, ...this.#messages.map((message) => messageElement(message, this.#form.value as PayloadForm)));
  }
}

/** Why one sees nothing here, and the way to it. */
export function needsToken(app: App, reason: string): HTMLElement {
  return h(
    "div",
    { class: "locked" },
    h("p", {}, reason),
    button("Enter the token\u2026", () => app.openTokenDialog()),
  );
}

function messageElement(message: MessageItem, form: PayloadForm): HTMLElement {
  const { sequence, time, size, reply, truncated, unreadable } = message;
  const label = `Payload of message ${sequence}`;
  const head = h(
    "div",
    { class: "head" },
    h("b", {}, `#${count(sequence)}`),
    time !== null && h("time", { datetime: time }, localTime(time)),
    h("span", {}, bytes(size)),
    reply !== "" && h("span", { class: "name" }, `reply ${reply}`),
  );
  if (unreadable === true) {
    return h(
      "li",
      {},
      head,
      h("p", { class: "trouble" }, "This message cannot be read or decrypted; the log says why."),
    );
  }
  const shown = showPayload(fromBase64(message.data_base64), form);
  const notes = [
    shown.note,
    truncated ? `The first 64 KB of ${bytes(size)} are shown.` : "",
    size === 0 ? "The payload is empty." : "",
  ].filter((note) => note !== "").join(" ");
  head.append(h("span", { class: "muted form" }, shown.form === "json" ? "JSON" : shown.form));
  return h(
    "li",
    {},
    head,
    notes !== "" && h("p", { class: "muted" }, notes),
    // It scrolls by itself when it is long, so the keyboard must reach it.
    shown.text !== "" && h("pre", { tabindex: 0, role: "region", "aria-label": label, class: shown.form }, shown.text),
  );
}

/** `2026-01-31 14:05:06.123456789`, where the browser is. A `Date` knows milliseconds only; the rest is the text's. */
export function localTime(time: string): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  const fraction = /\.\d+/.exec(time)?.[0] ?? "";
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${fraction}`;
}
