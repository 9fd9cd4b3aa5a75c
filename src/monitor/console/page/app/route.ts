/** Addresses of views. They stand behind the `#`, so that every view can be linked and no server sees them. Pure. */

export const VIEW_NAMES = ["overview", "channels", "channel", "durables", "clients", "log", "help"] as const;
export type ViewName = typeof VIEW_NAMES[number];

/** Where one is. */
export interface Route {
  readonly view: ViewName;
  /** The channel of `channel`; else empty. */
  readonly name: string;
  readonly query: URLSearchParams;
}

/** Undefined: the hash is no address of a view. */
export function parseHash(hash: string): Route | undefined {
  if (hash === "" || hash === "#" || hash === "#/") {
    return { view: "overview", name: "", query: new URLSearchParams() };
  }
  const match = /^#\/([a-z]+)(?:\/([^/?]+))?(?:\?(.*))?$/.exec(hash);
  const view = VIEW_NAMES.find((one) => one === match?.[1]);
  if (match === null || view === undefined || (view === "channel") !== (match[2] !== undefined)) return undefined;
  try {
    return { view, name: decodeURIComponent(match[2] ?? ""), query: new URLSearchParams(match[3] ?? "") };
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** The hash of a view; empty members of the query are left out. */
export function hashOf(
  view: ViewName,
  name = "",
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const text = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") text.set(key, String(value));
  }
  const tail = text.toString();
  return `#/${view}${name === "" ? "" : `/${encodeURIComponent(name)}`}${tail === "" ? "" : `?${tail}`}`;
}
