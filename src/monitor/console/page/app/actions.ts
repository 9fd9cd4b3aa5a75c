/** What an operator can do. Every action is a dialog that says what will happen; the server says what it did. */
import { ApiError, type ChannelDetails, type SubscriptionItem } from "./api.ts";
import type { App } from "./app.ts";
import { openDialog } from "./dialog.ts";
import { type Child, h } from "./dom.ts";
import { count } from "./format.ts";
import { KIND_TEXT, subscriptionName } from "./parts.ts";

/** A subscription and where it is. */
export interface Target {
  readonly channel: string;
  readonly item: SubscriptionItem;
}

/** Removes messages of a channel. */
export function purge(app: App, { name, msgs, first_seq, last_seq }: ChannelDetails): void {
  const upTo = numberField("Up to and including sequence (empty: all)", "");
  openDialog({
    title: "Purge channel",
    content: [
      h(
        "p",
        {},
        "Messages of ",
        h("b", {}, name),
        ` are removed for good. It has ${count(msgs)} now, from sequence ${first_seq} to ${last_seq}.`,
      ),
      h("p", {}, "The channel and its subscriptions stay; the next message gets the next sequence."),
      upTo.element,
    ],
    mustType: name,
    isDanger: true,
    confirmLabel: "Purge",
    async confirm() {
      const sequence = upTo.value();
      const done = await app.api.act("purge", {
        channel: name,
        ...(sequence === undefined ? {} : { up_to: sequence }),
      });
      finished(app, `${count(Number(done["removed_messages"]))} messages of ${name} were removed.`);
    },
  });
}

/** Ends a channel. */
export function deleteChannel(app: App, { name, msgs, subscriptions }: ChannelDetails): void {
  const force = checkField("Close its subscriptions and delete it all the same");
  openDialog({
    title: "Delete channel",
    content: [
      h("p", {}, "Channel ", h("b", {}, name), ` and its ${count(msgs)} messages are removed for good.`),
      h("p", {}, "A later message makes a new channel of that name, which begins at sequence 1."),
      subscriptions.length > 0 && h(
        "p",
        {},
        `It has ${
          count(subscriptions.length)
        } subscriptions or groups. Their clients are not told and hear nothing more until they subscribe again.`,
      ),
      subscriptions.length > 0 && force.element,
    ],
    mustType: name,
    isDanger: true,
    confirmLabel: "Delete channel",
    async confirm() {
      await app.api.act("delete-channel", { channel: name, ...(force.value() ? { force: true } : {}) });
      finished(app, `Channel ${name} was deleted.`);
    },
  });
}

/** "NAME in CHANNEL", both of them put forward. */
function inChannel(name: string, channel: string): Child[] {
  return [h("b", {}, name), " in ", h("b", {}, channel)];
}

/** Forgets the position of a durable. */
export function deleteDurable(app: App, { channel, item }: Target): void {
  const name = subscriptionName(item);
  const force = checkField("Close it and delete it all the same");
  openDialog({
    title: `Delete ${KIND_TEXT[item.kind]}`,
    content: [
      h(
        "p",
        {},
        "The position of ",
        inChannel(name, channel),
        ", and what it has pending, is forgotten for good.",
      ),
      h("p", {}, "Messages stay. Who subscribes with this name begins anew."),
      !item.is_offline &&
      h("p", {}, "It is online. Its client is not told and hears nothing more until it subscribes again."),
      !item.is_offline && force.element,
    ],
    mustType: name,
    isDanger: true,
    confirmLabel: "Delete durable",
    async confirm() {
      await app.api.act("delete-durable", {
        ...targetMembers(channel, item),
        ...(force.value() ? { force: true } : {}),
      });
      finished(app, `Durable ${name} was deleted.`);
    },
  });
}

/** Stops or starts deliveries. */
export function pauseOrResume(app: App, { channel, item }: Target): void {
  const name = subscriptionName(item);
  const action = item.is_paused ? "resume" : "pause";
  openDialog({
    title: item.is_paused ? "Resume deliveries" : "Pause deliveries",
    content: item.is_paused
      ? [
        h(
          "p",
          {},
          inChannel(name, channel),
          " gets messages again. What is overdue goes out at once.",
        ),
      ]
      : [
        h(
          "p",
          {},
          inChannel(name, channel),
          " gets no messages and no redeliveries until it is resumed.",
        ),
        item.kind === "plain" && h("p", {}, "That is all that this client has in the channel outside of groups."),
        h("p", {}, "Messages are kept as the limits say. A restart of the server ends the pause."),
      ],
    confirmLabel: item.is_paused ? "Resume" : "Pause",
    async confirm() {
      await app.api.act(action, targetMembers(channel, item));
      finished(app, `${name} was ${item.is_paused ? "resumed" : "paused"}.`);
    },
  });
}

/** Sets a durable back or forward. */
export function rewind(app: App, { channel, item }: Target): void {
  const name = subscriptionName(item);
  const group = `rewind-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const sequence = h("input", { type: "text", inputmode: "numeric", "aria-label": "Sequence", class: "short" });
  const time = h("input", { type: "datetime-local", step: 1, "aria-label": "Time, as of this browser" });
  const choices = ["first", "last", "sequence", "time"] as const;
  const radios = choices.map((value, index) => h("input", { type: "radio", name: group, value, checked: index === 0 }));
  const choose = (index: number) => () => radios[index]!.checked = true;
  sequence.addEventListener("input", choose(2));
  time.addEventListener("input", choose(3));
  openDialog({
    title: "Set the position",
    content: [
      h(
        "p",
        {},
        "The position of ",
        inChannel(name, channel),
        ` is set back or forward. It was last sent ${item.last_sent}.`,
      ),
      h("p", {}, "What it has pending is forgotten; messages behind the new position are delivered (again)."),
      h(
        "fieldset",
        {},
        h("legend", {}, "The next message it gets is"),
        h("label", {}, radios[0]!, " the first one there is"),
        h("label", {}, radios[1]!, " the last one there is"),
        h("label", {}, radios[2]!, " sequence ", sequence),
        h("label", {}, radios[3]!, " the first one since ", time),
      ),
    ],
    confirmLabel: "Set position",
    async confirm() {
      const chosen = choices[radios.findIndex(({ checked }) => checked)]!;
      const to = chosen === "sequence"
        ? { sequence: numberOf(sequence.value) }
        : chosen === "time"
        ? { time: timeOf(time.value) }
        : chosen;
      const done = await app.api.act("rewind", { ...targetMembers(channel, item), to });
      finished(app, `${name} goes on with sequence ${count(Number(done["last_sent"]) + 1)}.`);
    },
  });
}

function finished(app: App, text: string): void {
  app.announce(text);
  app.refresh();
}

/** The names the API knows a subscription by. */
function targetMembers(channel: string, { kind, client_id, durable_name, queue_name }: SubscriptionItem) {
  switch (kind) {
    case "plain":
      return { channel, client_id };
    case "durable":
      return { channel, durable_name, client_id };
    case "group":
      return { channel, queue_name };
    case "durable_group":
      return { channel, durable_name, queue_name };
  }
}

function checkField(label: string): { readonly element: HTMLElement; value(): boolean } {
  const input = h("input", { type: "checkbox" });
  return { element: h("label", { class: "check" }, input, ` ${label}`), value: () => input.checked };
}

function numberField(label: string, value: string) {
  const input = h("input", { type: "text", inputmode: "numeric", value, class: "short" });
  return {
    element: h("label", { class: "field" }, `${label} `, input),
    value: () => input.value.trim() === "" ? undefined : numberOf(input.value),
  };
}

/** A wrong text is shown as what the server refuses is. */
function numberOf(text: string): number {
  const value = /^\s*\d{1,16}\s*$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new ApiError(400, "BAD_REQUEST", "the sequence must be a whole number from 1 on");
}

/** RFC 3339 of a local time. */
function timeOf(text: string): string {
  const date = new Date(text);
  if (!Number.isNaN(date.getTime())) return date.toISOString();
  throw new ApiError(400, "BAD_REQUEST", "the time is not complete");
}
