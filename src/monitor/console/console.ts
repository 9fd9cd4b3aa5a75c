/**
 * The console: everything below `/console` on the monitoring port.
 *
 * | what                          | who                                                                         |
 * | ----------------------------- | --------------------------------------------------------------------------- |
 * | page, overview, lists         | everybody who reaches the port; `/streaming/...` shows the same             |
 * | messages, log                 | who shows the token; everybody with `browse: true`                          |
 * | actions                       | who shows the token, with `X-Requested-With`, so that no other site can ask |
 */
import type { HttpAnswer, HttpRequest } from "../../runtime/types.ts";
import { AccessControl } from "./access.ts";
import { act } from "./actions.ts";
import { CONSOLE_HEADERS, ConsoleError, errorAnswer, jsonAnswer } from "./answers.ts";
import { channelDetails, channelList, clientList, durableList, overview } from "./lists.ts";
import { logLines, messagePage } from "./messages.ts";
import { channelOf, decodedPart } from "./names.ts";
import type { ConsoleView } from "./view.ts";

const ROOT = "/console";
const API = "/console/api/";

/** True when `path` is the console's. */
export function isConsolePath(path: string): boolean {
  return path === ROOT || path.startsWith(`${ROOT}/`);
}

export class Console {
  readonly #view: ConsoleView;
  readonly #access: AccessControl;

  constructor(view: ConsoleView) {
    this.#view = view;
    this.#access = new AccessControl(view);
  }

  /** Answers a request to a path of the console. Never rejects. */
  async answer(request: HttpRequest): Promise<HttpAnswer> {
    try {
      if (!this.#view.access().enabled) {
        throw new ConsoleError("NOT_FOUND", "the console is switched off: console { enabled: true } switches it on");
      }
      return await this.#route(request);
    } catch (error) {
      if (error instanceof ConsoleError) return errorAnswer(error);
      throw error;
    }
  }

  #route(request: HttpRequest): Promise<HttpAnswer> | HttpAnswer {
    const { path } = request;
    if (!path.startsWith(API)) {
      mustBe(request, "GET", "HEAD");
      return this.#page(path);
    }
    const parts = path.slice(API.length).split("/");
    if (parts[0] === "actions" && parts.length === 2) {
      mustBe(request, "POST");
      this.#access.mustBeAuthorized(request);
      this.#mustBeReady();
      return act(this.#view, parts[1]!, request);
    }
    return this.#read(request, parts);
  }

  async #read(request: HttpRequest, parts: readonly string[]): Promise<HttpAnswer> {
    const view = this.#view;
    const { query } = request;
    const [what, name, part] = parts;
    const isOf = (count: number) => parts.length === count;
    if (what === "channels" && isOf(3) && part === "messages") {
      this.#mustRead(request);
      return jsonAnswer(200, await messagePage(view, channelOf(view.core, decodedPart(name!)), query));
    }
    if (what === "channels" && isOf(2)) {
      this.#mustBeOpen(request);
      return jsonAnswer(200, channelDetails(view, channelOf(view.core, decodedPart(name!))));
    }
    if (isOf(1)) {
      switch (what) {
        case "overview":
          mustBe(request, "GET", "HEAD");
          return jsonAnswer(200, overview(view, this.#access.isAuthorized(request)));
        case "channels":
          this.#mustBeOpen(request);
          return jsonAnswer(200, channelList(view, query));
        case "clients":
          this.#mustBeOpen(request);
          return jsonAnswer(200, clientList(view, query));
        case "durables":
          this.#mustBeOpen(request);
          return jsonAnswer(200, durableList(view, query));
        case "log":
          // Also of a server that is not ready: that is when one wants to see it.
          this.#mustRead(request, false);
          return jsonAnswer(200, logLines(view, query));
      }
    }
    throw new ConsoleError("NOT_FOUND", "the API has nothing of this name");
  }

  #mustBeOpen(request: HttpRequest): void {
    mustBe(request, "GET", "HEAD");
    this.#mustBeReady();
  }

  #mustRead(request: HttpRequest, needsReady = true): void {
    mustBe(request, "GET", "HEAD");
    if (!this.#view.access().browse) this.#access.mustBeAuthorized(request);
    if (needsReady) this.#mustBeReady();
  }

  #mustBeReady(): void {
    if (!this.#view.isReady()) {
      throw new ConsoleError("NOT_READY", "the server does not serve clients now: try again", { "Retry-After": "2" });
    }
  }

  async #page(path: string): Promise<HttpAnswer> {
    // The page is a large text that most servers are never asked for.
    const { pageAnswer } = await import("./page/page_answer.ts");
    const answer = pageAnswer(path);
    if (answer !== undefined) return { ...answer, headers: { ...CONSOLE_HEADERS, ...answer.headers } };
    throw new ConsoleError("NOT_FOUND", "the console has no such page");
  }
}

function mustBe({ method }: HttpRequest, ...allowed: string[]): void {
  if (allowed.includes(method)) return;
  throw new ConsoleError("METHOD", `this path knows ${allowed.join(" and ")} only`, { Allow: allowed.join(", ") });
}
