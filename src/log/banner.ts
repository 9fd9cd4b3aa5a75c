/**
 * The limits banner of the start-up log (operations.md 3.3). Pure: values in, lines out, without the log's prefix.
 */
import { formatDuration } from "../base/duration.ts";
import { formatSize } from "../base/size.ts";

/** Limits per channel; 0 = unlimited. The configuration's resolved limits have this shape. */
export interface BannerLimits {
  readonly maxSubscriptions: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly maxInactivityMs: number;
}

/** One configured channel or pattern. */
export interface BannerChannel {
  readonly pattern: string;
  /** Entries it inherits through. */
  readonly depth: number;
  readonly limits: BannerLimits;
  /** What it inherited from. */
  readonly parent: BannerLimits;
}

/** Everything the banner shows. */
export interface BannerInput {
  readonly maxChannels: number;
  readonly global: BannerLimits;
  /** Built-in values; equal ones are marked with a star. */
  readonly defaults: BannerLimits & { readonly maxChannels: number };
  /** In the order in which they are printed; a parent stands before its children. */
  readonly channels: readonly BannerChannel[];
}

const WIDTH_MIN = 34;
const VALUE_WIDTH = 13;

function showCount(value: number): string {
  return value === 0 ? "unlimited" : String(value);
}

function showSize(value: number): string {
  return value === 0 ? "unlimited" : formatSize(value);
}

function showDuration(value: number): string {
  return value === 0 ? "unlimited" : formatDuration(value);
}

/** Names of the limits, padded as both parts of the banner print them, in its order. */
const LIMIT_LINES: readonly {
  readonly name: string;
  readonly of: (limits: BannerLimits) => number;
  readonly show: (value: number) => string;
}[] = Object.freeze([
  { name: "Subscriptions", of: (limits) => limits.maxSubscriptions, show: showCount },
  { name: "Messages     ", of: (limits) => limits.maxMessages, show: showCount },
  { name: "Bytes        ", of: (limits) => limits.maxBytes, show: showSize },
  { name: "Age          ", of: (limits) => limits.maxAgeMs, show: showDuration },
  { name: "Inactivity   ", of: (limits) => limits.maxInactivityMs, show: showDuration },
]);

function column(value: string): string {
  return value.padStart(VALUE_WIDTH);
}

function star(value: number, byDefault: number): string {
  return value === byDefault ? " *" : "";
}

/** The lines between the store's name and `Streaming Server is ready`. */
export function limitsBanner(input: BannerInput): string[] {
  const { maxChannels, global, defaults } = input;
  const lines = [
    "---------- Store Limits ----------",
    `Channels:        ${column(showCount(maxChannels))}${star(maxChannels, defaults.maxChannels)}`,
    "--------- Channels Limits --------",
  ];
  for (const { name, of, show } of LIMIT_LINES) {
    lines.push(`  ${name}: ${column(show(of(global)))}${star(of(global), of(defaults))}`);
  }
  const list = channelLines(input.channels);
  const width = list.reduce((widest, line) => Math.max(widest, line.length), WIDTH_MIN);
  if (list.length > 0) lines.push(centred(" List of Channels ", width), ...list);
  lines.push("-".repeat(width));
  return lines;
}

/** Names and differing limits of the configured channels. */
function channelLines(channels: readonly BannerChannel[]): string[] {
  const levels = channels.reduce((deepest, channel) => Math.max(deepest, channel.depth + 1), 0);
  const lines: string[] = [];
  for (const { pattern, depth, limits, parent } of channels) {
    const indent = " ".repeat(depth);
    lines.push(indent + pattern);
    for (const { name, of, show } of LIMIT_LINES) {
      if (of(limits) === of(parent)) continue;
      lines.push(`${indent} |-> ${name} ${" ".repeat(levels - depth)}${column(show(of(limits)))}`);
    }
  }
  return lines;
}

function centred(title: string, width: number): string {
  const left = Math.floor((width - title.length) / 2);
  return "-".repeat(left) + title + "-".repeat(width - title.length - left);
}
