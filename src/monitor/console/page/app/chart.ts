/**
 * One chart of the last quarter of an hour: lines for eyes, a sentence for screen readers, and a table of minutes for
 * everybody who wants figures.
 */
import uPlot from "uplot";
import { fill, h, setAttribute, setText } from "./dom.ts";
import { type History, type SeriesName, WINDOW_S } from "./history.ts";

export interface ChartOptions {
  readonly title: string;
  readonly series: readonly { readonly name: SeriesName; readonly label: string }[];
  readonly format: (value: number) => string;
  /** Said after a figure, as in "12 per second". */
  readonly unit: string;
  /** Steps of the axis; those of uPlot are decimal, and odd where a unit has 1024 of the next. */
  readonly steps?: readonly number[];
}

const HEIGHT = 170;
/** Custom properties of the style sheet, in the order of the series. */
const COLORS = ["--series-1", "--series-2"];
/** All charts show the same moment under the pointer. */
const CURSOR_GROUP = "console";

export class Chart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #history: History;
  readonly #canvas: HTMLElement;
  readonly #values: HTMLElement[];
  readonly #rows = h("tbody");
  readonly #details: HTMLDetailsElement;
  readonly #resized: ResizeObserver;
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  #plot: uPlot | undefined;

  constructor(options: ChartOptions, history: History) {
    this.#options = options;
    this.#history = history;
    this.#canvas = h("div", { class: "canvas", role: "img" });
    this.#values = options.series.map(() => h("strong", {}, "\u2013"));
    const legend = options.series.map(({ label }, index) =>
      h("span", { class: `key series-${index + 1}` }, label, " ", this.#values[index]!)
    );
    const heads = ["Minute", ...options.series.map(({ label }) => label)];
    this.#details = h(
      "details",
      { ontoggle: () => this.#showTable() },
      h("summary", {}, "As a table", h("span", { class: "visually-hidden" }, `: ${options.title}`)),
      h(
        "table",
        {},
        h("caption", { class: "visually-hidden" }, `${options.title}, mean of each minute, ${options.unit}`),
        h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
        this.#rows,
      ),
    );
    this.element = h(
      "figure",
      { class: "chart panel" },
      h("figcaption", {}, h("h2", {}, options.title), h("span", { class: "legend" }, legend)),
      this.#canvas,
      this.#details,
    );
    this.#resized = new ResizeObserver(() => this.#fit());
    this.#resized.observe(this.#canvas);
    this.#dark.addEventListener("change", this.#repaint);
  }

  /** Draws what the history has. */
  show(): void {
    const { series, title, format, unit } = this.#options;
    if (this.#plot === undefined) this.#fit();
    this.#plot?.setData(this.#data());
    if ((this.#plot?.cursor.idx ?? null) === null) this.#showValues(this.#history.samples.length - 1);
    const parts = series.map(({ name, label }) => {
      const summary = this.#history.summaryOf(name);
      const now = this.#history.latest[name];
      return summary === undefined || now === null
        ? `${label}: not known yet`
        : `${label}: now ${format(now)}, lowest ${format(summary.min)}, mean ${format(summary.mean)}, ` +
          `highest ${format(summary.max)}`;
    });
    setAttribute(this.#canvas, "aria-label", `Chart of the last 15 minutes. ${title}, ${unit}. ${parts.join(". ")}.`);
    this.#showTable();
  }

  close(): void {
    this.#resized.disconnect();
    this.#dark.removeEventListener("change", this.#repaint);
    this.#plot?.destroy();
  }

  readonly #repaint = (): void => {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.show();
  };

  #showValues(index: number): void {
    this.#options.series.forEach(({ name }, at) => {
      const value = this.#history.samples[index]?.[name] ?? null;
      setText(this.#values[at]!, value === null ? "\u2013" : this.#options.format(value));
    });
  }

  #showTable(): void {
    if (!this.#details.open) return;
    const { series, format } = this.#options;
    fill(
      this.#rows,
      ...this.#history.minutes(series.map(({ name }) => name)).map(({ atS, means }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, clock(atS)),
          means.map((mean) => h("td", { class: "number" }, mean === null ? "\u2013" : format(mean))),
        )
      ),
    );
  }

  #data(): uPlot.AlignedData {
    return [this.#history.times, ...this.#options.series.map(({ name }) => this.#history.valuesOf(name))];
  }

  #fit(): void {
    const width = Math.floor(this.#canvas.clientWidth);
    if (width === 0) return;
    if (this.#plot !== undefined) {
      if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
      return;
    }
    this.#plot = new uPlot(this.#plotOptions(width), this.#data(), this.#canvas);
  }

  #plotOptions(width: number): uPlot.Options {
    const { series, format, steps } = this.#options;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: color("--muted"), font, ticks: { show: false } };
    const grid = { stroke: color("--line"), width: 1 };
    return {
      width,
      height: HEIGHT,
      padding: [10, 10, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: CURSOR_GROUP }, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: {
          range: () => {
            const end = this.#history.times.at(-1) ?? Date.now() / 1000;
            return [end - WINDOW_S, end];
          },
        },
        // From zero on, and never flat: a line in the middle of nothing looks like load.
        y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 70, values: (_plot, splits) => splits.map(clock) },
        {
          ...axis,
          grid,
          size: 58,
          space: 34,
          values: (_plot, splits) => splits.map(format),
          ...(steps === undefined ? {} : { incrs: [...steps] }),
        },
      ],
      series: [
        {},
        ...series.map(({ label }, index): uPlot.Series => ({
          label,
          stroke: color(COLORS[index]!),
          width: 1.75,
          fill: index === 0 ? `${color(COLORS[0]!)}1f` : undefined!,
          points: { show: false },
        })),
      ],
      hooks: {
        setCursor: [(plot) => this.#showValues(plot.cursor.idx ?? this.#history.samples.length - 1)],
      },
    };
  }
}

/** `14:05`, where the browser is. */
function clock(atS: number): string {
  const date = new Date(atS * 1000);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
}
