/** Views that are a list: a search field, a table that the server sorts, and pages. */
import type { Paging, Query } from "./api.ts";
import type { App, View } from "./app.ts";
import { type Child, h } from "./dom.ts";
import { heading, Pager, searchField } from "./parts.ts";
import type { Route } from "./route.ts";
import { Table, type TableOptions } from "./table.ts";

const PAGE_SIZE = 50;

export interface ListOptions<Item> extends Omit<TableOptions<Item>, "onSort"> {
  readonly title: string;
  readonly searchLabel: string;
  /** Sorted by it unless the address says otherwise: names from the beginning, figures from the largest. */
  readonly sort: string;
  readonly load: (query: Query) => Promise<Paging & { readonly items: readonly Item[] }>;
  /** Below the heading. */
  readonly note?: readonly Child[];
}

export function listView<Item>(app: App, { query }: Route, options: ListOptions<Item>): View {
  const state = {
    search: query.get("search") ?? "",
    offset: Math.max(0, Math.floor(Number(query.get("offset")) || 0)),
    sort: query.get("sort") ?? options.sort,
    order: query.get("order") ?? "",
  };
  const change = (changes: Partial<typeof state>) => {
    Object.assign(state, { offset: 0 }, changes);
    app.setQuery({
      search: state.search,
      offset: state.offset === 0 ? "" : state.offset,
      sort: state.sort === options.sort ? "" : state.sort,
      order: state.order,
    });
    app.refresh();
  };
  const isAscending = () => state.order === "" ? state.sort === "name" : state.order === "asc";
  const search = searchField(options.searchLabel, state.search, (text) => change({ search: text }));
  const pager = new Pager((offset) => change({ offset }));
  const table = new Table({
    ...options,
    onSort: (sort) => change({ sort, order: sort !== state.sort ? "" : isAscending() ? "desc" : "asc" }),
  });
  const element = h(
    "div",
    {},
    heading(options.title, h("div", { role: "search", class: "search" }, search)),
    options.note ?? [],
    h("section", { class: "panel", "aria-label": options.title }, table.element, pager.element),
  );
  return {
    title: options.title,
    element,
    search,
    async refresh() {
      const asked = JSON.stringify(state);
      const { items, ...paging } = await options.load({
        ...state,
        order: isAscending() ? "asc" : "desc",
        limit: PAGE_SIZE,
      });
      // Meanwhile something else was asked for.
      if (asked !== JSON.stringify(state)) return;
      // What this page showed is gone.
      if (items.length === 0 && paging.total > 0) return change({ offset: 0 });
      table.sorted = { sort: state.sort, isAscending: isAscending() };
      table.show(items);
      pager.show(paging);
    },
  };
}
