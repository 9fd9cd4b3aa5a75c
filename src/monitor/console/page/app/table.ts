/**
 * Tables that are written again every two seconds without taking anything away from whoever is in them: a row stays the
 * same element while its key is there, and a cell is touched only when its text changes. So focus and selection stay.
 */
import { type Child, fill, h, setAttribute } from "./dom.ts";

export interface Column<Item> {
  readonly title: string;
  /** Figures stand on the right. */
  readonly isNumber?: boolean;
  /** The name under which the server sorts by it; undefined: it does not. */
  readonly sort?: string;
  /** Heads its row. */
  readonly isHead?: boolean;
  /** All that `render` looks at, as a text. */
  readonly text: (item: Item) => string;
  /** What the cell holds; without it, the text. */
  readonly render?: (item: Item) => Child | readonly Child[];
}

export interface TableOptions<Item> {
  readonly caption: string;
  readonly columns: readonly Column<Item>[];
  readonly keyOf: (item: Item) => string;
  /** Shown when there is nothing. */
  readonly empty: string;
  readonly onSort?: (sort: string) => void;
}

interface Row {
  readonly element: HTMLTableRowElement;
  readonly cells: readonly HTMLTableCellElement[];
  readonly texts: string[];
}

export class Table<Item> {
  readonly element: HTMLElement;
  readonly #options: TableOptions<Item>;
  readonly #body: HTMLTableSectionElement;
  readonly #empty: HTMLElement;
  readonly #heads = new Map<string, HTMLElement>();
  #rows = new Map<string, Row>();

  constructor(options: TableOptions<Item>) {
    this.#options = options;
    // The roles are said again: where cells are laid out as cards, browsers forget that this is a table.
    const heads = options.columns.map(({ title, isNumber, sort }) => {
      const { onSort } = options;
      const label = sort !== undefined && onSort !== undefined
        ? h("button", { type: "button", class: "sort", onclick: () => onSort(sort) }, title)
        : title;
      const head = h(
        "th",
        { scope: "col", role: "columnheader", class: isNumber === true ? "number" : undefined },
        label,
      );
      if (sort !== undefined) this.#heads.set(sort, head);
      return head;
    });
    this.#body = h("tbody", { role: "rowgroup" });
    this.#empty = h("p", { class: "empty" }, options.empty);
    this.element = h(
      "div",
      { class: "table" },
      h(
        "table",
        { role: "table" },
        h("caption", { class: "visually-hidden" }, options.caption),
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
        this.#body,
      ),
      this.#empty,
    );
  }

  /** Which column the rows are sorted by. */
  set sorted({ sort, isAscending }: { readonly sort: string; readonly isAscending: boolean }) {
    for (const [name, head] of this.#heads) {
      setAttribute(head, "aria-sort", name === sort ? isAscending ? "ascending" : "descending" : undefined);
    }
  }

  show(items: readonly Item[]): void {
    const { columns, keyOf } = this.#options;
    const rows = new Map<string, Row>();
    items.forEach((item, index) => {
      const key = keyOf(item);
      const row = this.#rows.get(key) ?? this.#makeRow();
      rows.set(key, row);
      columns.forEach((column, at) => {
        const text = column.text(item);
        if (row.texts[at] === text) return;
        row.texts[at] = text;
        const shown = column.render?.(item) ?? text;
        fill(row.cells[at]!, ...(Array.isArray(shown) ? shown : [shown]) as Child[]);
      });
      if (this.#body.children[index] !== row.element) {
        this.#body.insertBefore(row.element, this.#body.children[index] ?? null);
      }
    });
    for (const [key, { element }] of this.#rows) if (!rows.has(key)) element.remove();
    this.#rows = rows;
    this.#empty.hidden = items.length > 0;
  }

  #makeRow(): Row {
    const cells = this.#options.columns.map(({ title, isNumber, isHead }) => {
      const attributes = { class: isNumber === true ? "number" : undefined, "data-label": title };
      return isHead === true
        ? h("th", { scope: "row", role: "rowheader", ...attributes })
        : h("td", { role: "cell", ...attributes });
    });
    return { element: h("tr", { role: "row" }, cells), cells, texts: [] };
  }
}
