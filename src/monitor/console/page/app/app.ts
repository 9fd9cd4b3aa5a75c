/** What the shell of the page offers to its views, and they to it. */
import type { Api, Overview } from "./api.ts";
import type { History } from "./history.ts";
import type { Route } from "./route.ts";

export interface App {
  readonly api: Api;
  readonly history: History;
  /** The newest answer; undefined before the first. */
  overview(): Overview | undefined;
  /** Why nothing may be changed now; empty: it may. */
  whyNoActions(): string;
  /** Why messages and log may not be read now; empty: they may. */
  whyNoReading(): string;
  openTokenDialog(): void;
  /** Told to screen readers, and shown for a moment. */
  announce(text: string): void;
  /** Asks for the figures of the view at once. */
  refresh(): void;
  /** Changes the query in the address of the view without leaving it. */
  setQuery(query: Readonly<Record<string, string | number | undefined>>): void;
}

export interface View {
  readonly title: string;
  readonly element: HTMLElement;
  /** Where `/` leads. */
  readonly search?: HTMLInputElement;
  /** Asks for what is shown and shows it. May throw what the API throws. */
  refresh(): Promise<void>;
  /** Called when another view comes. */
  close?(): void;
}

export type MakeView = (app: App, route: Route) => View;
