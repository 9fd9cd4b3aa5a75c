/**
 * The monitoring port (operations.md 5): which path leads to which page. Core pages stand below the base path; the streaming
 * pages, metrics, readiness and the console stand at the root. Every method is answered like GET.
 */
import type { HttpAnswer, HttpRequest } from "../runtime/types.ts";
import {
  cleanPath,
  emptyAnswer,
  errorAnswer,
  htmlAnswer,
  jsonAnswer,
  notFoundAnswer,
  redirectAnswer,
  textAnswer,
} from "./answers.ts";
import { connz } from "./connz.ts";
import { compactJson, goJson, type Json } from "./json.ts";
import type { LoopDelay } from "./loop_delay.ts";
import { metricsPage } from "./metrics/metrics_page.ts";
import { METRICS_CONTENT_TYPE } from "./metrics/metrics_text.ts";
import { accountz, accstatz, gatewayz, ipqueuesz, jsz, leafz, routez, varz } from "./nats_pages.ts";
import type { NatsView } from "./nats_view.ts";
import { boolParameter, QueryError } from "./query.ts";
import { rootPage, streamingRootPage } from "./root_pages.ts";
import { streamingPage, type StreamingView } from "./streaming_pages.ts";
import { subsz } from "./subsz.ts";
import type { TurnFigures } from "./turn_figures.ts";

/** What a probe is told. */
export interface Health {
  /** Clients are served. */
  readonly isReady: boolean;
  /** The streaming state is not known yet: its pages cannot say anything true. */
  readonly isRecovering: boolean;
  /** Why clients are not served; empty while they are. */
  readonly reason: string;
}

/** Everything the port shows. */
export interface MonitorView {
  readonly title: string;
  readonly nats: NatsView;
  /** Undefined when only the core NATS server runs. */
  readonly streaming: StreamingView | undefined;
  readonly health: () => Health;
  /** Before the core pages; "" for none. */
  readonly basePath: string;
  readonly figures: TurnFigures;
  readonly loopDelay: LoopDelay;
  /** Undefined for a store that is not on disk, and when the system does not tell. */
  readonly storeFreeBytes: () => number | undefined;
  /** Answers paths that begin with `/console`; undefined: there is no such page. Absent: there is no console. */
  readonly console?: ((request: HttpRequest) => HttpAnswer | Promise<HttpAnswer> | undefined) | undefined;
}

type CorePage = (view: NatsView, query: URLSearchParams) => Json;

/** Core pages that are JSON, with the name under which the reference counts their requests; "" = it does not. */
const CORE_PAGES: ReadonlyMap<string, readonly [CorePage, string]> = new Map<string, readonly [CorePage, string]>([
  ["/connz", [connz, "/connz"]],
  ["/routez", [routez, "/routez"]],
  ["/gatewayz", [gatewayz, "/gatewayz"]],
  ["/leafz", [leafz, "/leafz"]],
  ["/subsz", [subsz, "/subsz"]],
  ["/subscriptionsz", [subsz, "/subsz"]],
  ["/accountz", [accountz, "/accountz"]],
  ["/accstatz", [accstatz, "/accstatz"]],
  ["/jsz", [jsz, "/jsz"]],
]);
/** Queues stand one blank deeper than everything else. */
const QUEUES_INDENT = "   ";
const CONSOLE = "/console";

export class Monitor {
  readonly #view: MonitorView;
  /** Requests of core pages, for `/varz`. */
  readonly #requestCounts = new Map<string, number>();

  constructor(view: MonitorView) {
    this.#view = view;
  }

  /** Never throws for what a request may hold. */
  answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    const { path } = request;
    const cleaned = cleanPath(path);
    if (cleaned !== path) return redirectAnswer(request, cleaned);
    try {
      return this.#rootAnswer(request) ?? this.#coreAnswer(request) ?? notFoundAnswer();
    } catch (error) {
      // The reference's text of a wrong parameter is the whole answer, without a line feed.
      if (error instanceof QueryError) return textAnswer(400, error.message);
      throw error;
    }
  }

  /** Pages that no base path moves. */
  #rootAnswer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> | undefined {
    const view = this.#view;
    const { path } = request;
    if (path === "/readyz") return readinessAnswer(view.health());
    if (path === "/metrics") return this.#metricsAnswer(request.query);
    if (view.console !== undefined && (path === CONSOLE || path.startsWith(`${CONSOLE}/`))) {
      return view.console(request);
    }
    if (view.streaming === undefined) return undefined;
    if (path === "/streaming") return htmlAnswer(streamingRootPage(view.title));
    if (path.startsWith("/streaming/")) return this.#streamingAnswer(request, view.streaming);
    return undefined;
  }

  #streamingAnswer(request: HttpRequest, streaming: StreamingView): HttpAnswer | undefined {
    const { path, query } = request;
    // Answered while recovering as well: a server that is not ready is not the active one.
    if (path === "/streaming/isFTActive") return emptyAnswer(streaming.state() === "FT_ACTIVE" ? 200 : 204);
    const { isRecovering } = this.#view.health();
    if (isRecovering) {
      // The reference does not answer at all until recovery ends (trap 20): a probe has to wait for its own time-out.
      const isPage = /^\/streaming\/(?:server|store|clients|channels)z$/.test(path);
      return isPage ? errorAnswer(503, "The streaming state is being recovered") : undefined;
    }
    const page = streamingPage(streaming, path, query);
    if (page === undefined) return undefined;
    return "json" in page ? jsonAnswer(request, 200, goJson(page.json)) : errorAnswer(page.status, page.text);
  }

  #metricsAnswer(query: URLSearchParams): HttpAnswer {
    const { nats, streaming, figures, loopDelay, health, storeFreeBytes } = this.#view;
    const { isReady, isRecovering } = health();
    const body = metricsPage({
      nats,
      streaming: isRecovering ? undefined : streaming,
      isReady,
      figures,
      loopDelay,
      freeBytes: storeFreeBytes(),
    }, query);
    return { status: 200, headers: { "Content-Type": METRICS_CONTENT_TYPE }, body };
  }

  #coreAnswer(request: HttpRequest): HttpAnswer | undefined {
    const view = this.#view;
    const { path, query } = request;
    const { basePath } = view;
    if (path === (basePath === "" ? "/" : basePath)) {
      this.#count("/");
      return htmlAnswer(rootPage({
        title: view.title,
        natsVersion: view.nats.server.options.version,
        basePath,
        hasStreaming: view.streaming !== undefined,
        hasConsole: view.console !== undefined && view.nats.options().console.enabled,
      }));
    }
    if (!path.startsWith(`${basePath}/`)) return undefined;
    const name = path.slice(basePath.length);
    switch (name) {
      case "/varz":
        this.#count(name);
        return jsonAnswer(request, 200, goJson(varz(view.nats, this.#requestCounts)));
      case "/healthz":
        this.#count(name);
        return healthAnswer(request, view.health());
      case "/ipqueuesz":
        return jsonAnswer(request, 200, goJson(ipqueuesz(query), QUEUES_INDENT));
      case "/stacksz":
        return jsonAnswer(request, 200, stacksText(view.nats));
    }
    const page = CORE_PAGES.get(name);
    if (page === undefined) return undefined;
    this.#count(page[1]);
    return jsonAnswer(request, 200, goJson(page[0](view.nats, query)));
  }

  #count(name: string): void {
    this.#requestCounts.set(name, (this.#requestCounts.get(name) ?? 0) + 1);
  }
}

/** Decision 12: the truth in every mode, in the reference's words. */
function healthAnswer(request: HttpRequest, { isReady, reason }: Health): HttpAnswer {
  // There is no JetStream whose state could be left out of the answer; but what is no boolean is still an error.
  for (const name of ["js-enabled", "js-enabled-only", "js-server-only"]) boolParameter(request.query, name);
  return isReady
    ? jsonAnswer(request, 200, compactJson({ status: "ok" }))
    : jsonAnswer(request, 503, compactJson({ status: "error", error: reason }));
}

function readinessAnswer({ isReady, reason }: Health): HttpAnswer {
  return isReady ? textAnswer(200, "ready\n") : textAnswer(503, `not ready: ${reason}\n`);
}

/** Only the stack of who asks can be told: there is one thread, and it is here. */
function stacksText({ runtimeVersion, server }: NatsView): string {
  const stack = new Error("stack").stack?.split("\n").slice(1).join("\n") ?? "";
  return `event loop [running], ${runtimeVersion}, ${server.connections.size} connections:\n${stack}\n`;
}
