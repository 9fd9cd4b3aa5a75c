/** Small pieces that more than one view shows. */
import type { SubscriptionItem } from "./api.ts";
import { type Child, h } from "./dom.ts";
import { count, duration } from "./format.ts";

export type Tone = "good" | "warn" | "bad" | "plain";

/** A word on a coloured ground; the word says it all, the colour repeats it. */
export function badge(text: string, tone: Tone): HTMLElement {
  return h("span", { class: `badge ${tone}` }, text);
}

/** A heading with what stands beside it. */
export function heading(title: string, ...beside: readonly Child[]): HTMLElement {
  return h("div", { class: "heading" }, h("h1", { tabindex: -1 }, title), ...beside);
}

/** A button. */
export function button(label: string, onclick: () => void, className = ""): HTMLButtonElement {
  return h("button", { type: "button", class: className, onclick }, label);
}

/** A search field; `onsearch` is called with what is in it a moment after the last key. */
export function searchField(label: string, value: string, onsearch: (text: string) => void): HTMLInputElement {
  let timer: number | undefined;
  const input = h("input", {
    type: "search",
    "aria-label": label,
    placeholder: label,
    value,
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 200,
    "aria-keyshortcuts": "/",
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // Another view may have come.
      if (input.isConnected) onsearch(input.value.trim());
    }, 200);
  });
  return input;
}

/** One figure with its name. */
export interface Tile {
  readonly element: HTMLElement;
  set(value: string, detail?: string, tone?: Tone): void;
}

export function tile(label: string): Tile {
  const value = h("span", { class: "value" }, "\u2013");
  const detail = h("span", { class: "detail" });
  const definition = h("dd", {}, value, detail);
  return {
    element: h("div", { class: "tile" }, h("dt", {}, label), definition),
    set(text, more = "", tone = "plain") {
      if (value.textContent !== text) value.textContent = text;
      if (detail.textContent !== more) detail.textContent = more;
      definition.className = tone;
    },
  };
}

/** How a subscription is called. */
export function subscriptionName({ kind, client_id, durable_name, queue_name }: SubscriptionItem): string {
  switch (kind) {
    case "plain":
      return client_id;
    case "durable":
      return durable_name;
    case "group":
      return queue_name;
    case "durable_group":
      return `${durable_name}:${queue_name}`;
  }
}

export const KIND_TEXT = {
  plain: "subscription",
  durable: "durable",
  group: "queue group",
  durable_group: "durable group",
} as const;

/** A text that tells two subscriptions of a channel apart. Plain ones of one client are counted by the caller. */
export function subscriptionKey({ kind, client_id, durable_name, queue_name }: SubscriptionItem): string {
  return JSON.stringify([kind, client_id, durable_name, queue_name]);
}

/** Its state in badges. */
export function stateBadges({ is_offline, is_stalled, is_paused }: SubscriptionItem): HTMLElement[] {
  const badges: HTMLElement[] = [];
  if (is_paused) badges.push(badge("paused", "warn"));
  if (is_stalled) badges.push(badge("stalled", "bad"));
  if (is_offline) badges.push(badge("offline", "plain"));
  if (badges.length === 0) badges.push(badge("active", "good"));
  return badges;
}

export function stateText({ is_offline, is_stalled, is_paused }: SubscriptionItem): string {
  return `${is_paused} ${is_stalled} ${is_offline}`;
}

/** Messages behind, and the age of the oldest that is not acknowledged. */
export function lagText({ lag, lag_seconds }: SubscriptionItem): string {
  const age = lag_seconds === null || lag_seconds < 1 ? "" : ` \u00b7 ${duration(lag_seconds * 1000)}`;
  return `${count(lag)}${age}`;
}

/** Buttons that lead through a list in pages. */
export class Pager {
  readonly element: HTMLElement;
  readonly #text = h("span", { class: "muted" });
  readonly #previous: HTMLButtonElement;
  readonly #next: HTMLButtonElement;
  #offset = 0;
  #limit = 1;

  constructor(onmove: (offset: number) => void) {
    this.#previous = button("Previous", () => onmove(Math.max(0, this.#offset - this.#limit)));
    this.#next = button("Next", () => onmove(this.#offset + this.#limit));
    this.element = h(
      "nav",
      { class: "pager", "aria-label": "Pages of the list" },
      this.#text,
      this.#previous,
      this.#next,
    );
  }

  show({ total, offset, limit }: { readonly total: number; readonly offset: number; readonly limit: number }): void {
    this.#offset = offset;
    this.#limit = limit;
    const last = Math.min(total, offset + limit);
    const text = total === 0 ? "" : `${count(Math.min(offset + 1, total))}\u2013${count(last)} of ${count(total)}`;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#previous.disabled = offset === 0;
    this.#next.disabled = last >= total;
    this.#previous.hidden = this.#next.hidden = offset === 0 && last >= total;
  }
}
