/**
 * Requests to a monitoring port, path and method exactly as given: `fetch` cleans paths on one of the runtimes before it
 * sends them.
 */
import { request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";

/** What came back. */
export interface MonitorAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** How it is asked; GET in clear unless told otherwise. */
export interface MonitorQuestion {
  readonly method?: string;
  readonly body?: string;
  /** PEM text of the authority that the server's certificate is held against; given, the port speaks TLS. */
  readonly authority?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks 127.0.0.1. Rejects when the connection fails. */
export function ask(port: number, path: string, question: MonitorQuestion = {}): Promise<MonitorAnswer> {
  const { method = "GET", body, authority, headers } = question;
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method, agent: false as const, headers: { ...headers } };
    const request = authority === undefined
      ? requestPlain(options)
      : requestSecure({ ...options, ca: authority, servername: "localhost" });
    request.on("response", (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => text += part);
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
      answer.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** The value of a page of JSON; refuses any other answer. */
export async function askJson(port: number, path: string): Promise<Readonly<Record<string, unknown>>> {
  const { status, text } = await ask(port, path);
  if (status !== 200) throw new Error(`${path}: status ${status}: ${text}`);
  return JSON.parse(text);
}

/** Port of the monitor in a log. */
export function monitorPortOf(log: string): number {
  const match = /Starting https? monitor on \S+:(\d+)/.exec(log);
  if (match === null) throw new Error(`No monitoring port in the log:\n${log}`);
  return Number(match[1]);
}
