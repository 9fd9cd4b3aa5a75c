/** The pages for people: what there is to see (operations.md 5.2, 5.8). No picture and no script: nothing is fetched. */

const STYLE = "body{font-family:ui-sans-serif,system-ui,sans-serif;margin:2rem;color:#222}" +
  "h1{font-size:1.3rem}a{display:block;padding:.15rem 0;color:#1c4b82;text-decoration:none}a:hover{text-decoration:underline}" +
  "p{color:#666}";

/** Names and pages of the core, in the reference's order. */
const CORE_LINKS: readonly (readonly [string, string])[] = [
  ["General", "/varz"],
  ["JetStream", "/jsz"],
  ["Connections", "/connz"],
  ["Accounts", "/accountz"],
  ["Account Stats", "/accstatz"],
  ["Subscriptions", "/subsz"],
  ["Routes", "/routez"],
  ["LeafNodes", "/leafz"],
  ["Gateways", "/gatewayz"],
  ["Health Probe", "/healthz"],
];

/** What the root page says. */
export interface RootPageText {
  readonly title: string;
  readonly natsVersion: string;
  /** Before the core pages; "" for none. */
  readonly basePath: string;
  readonly hasStreaming: boolean;
  readonly hasConsole: boolean;
}

/** The page at `/`, or at the base path. */
export function rootPage({ title, natsVersion, basePath, hasStreaming, hasConsole }: RootPageText): string {
  // Relative to the directory that the base path stands in: behind a proxy the page does not know its own address.
  const up = basePath.split("/").length > 2 ? "../".repeat(basePath.split("/").length - 2) : "./";
  const links = [
    ...(hasConsole ? [link(`${up}console`, "Console")] : []),
    ...(hasStreaming ? [link(`${up}streaming`, "Streaming")] : []),
    ...CORE_LINKS.map(([name, path]) => link(`${up}${(basePath + path).slice(1)}`, name)),
    link(`${up}metrics`, "Metrics"),
    link(`${up}readyz`, "Readiness Probe"),
  ];
  return page(title, `<p>NATS v${natsVersion}</p>\n${links.join("\n")}`);
}

/** The page at `/streaming`. */
export function streamingRootPage(title: string): string {
  const links = ["server", "store", "clients", "channels"].map((name) => link(`./streaming/${name}z`, name));
  const help = '<a href="https://docs.nats.io/legacy/stan/intro/monitoring">help</a>';
  return page(title, `${links.join("\n")}\n${help}`);
}

function link(href: string, name: string): string {
  return `<a href="${href}">${name}</a>`;
}

function page(title: string, body: string): string {
  return `<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>${title}</title><style>${STYLE}</style></head>\n` +
    `<body>\n<h1>${title}</h1>\n${body}\n</body>\n</html>\n`;
}
