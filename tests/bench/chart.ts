/** One line over a logarithmic axis, as an SVG that reads well on a light and on a dark page. */

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** `x` above 0, ascending. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** Shaded: where the line should stay. */
  readonly band: readonly [number, number];
}

const WIDTH = 640;
const HEIGHT = 260;
const LEFT = 64;
const RIGHT = 24;
const TOP = 36;
const BOTTOM = 52;
/** Grey that has contrast enough on white and on black. */
const INK = "#808890";
const LINE = "#2f81d6";

export function lineChart({ title, xLabel, yLabel, points, band }: LineChart): string {
  const xs = points.map(({ x }) => Math.log10(x));
  const [xMin, xMax] = [Math.min(...xs), Math.max(...xs)];
  const yMax = Math.max(...points.map(({ y }) => y), band[1]) * 1.1;
  const xOf = (x: number) => LEFT + (Math.log10(x) - xMin) / (xMax - xMin || 1) * (WIDTH - LEFT - RIGHT);
  const yOf = (y: number) => HEIGHT - BOTTOM - y / yMax * (HEIGHT - TOP - BOTTOM);
  const round = (value: number) => String(Math.round(value * 10) / 10);
  const step = niceStep(yMax / 4);
  const grid: string[] = [];
  for (let y = 0; y <= yMax; y += step) {
    const at = round(yOf(y));
    grid.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="${INK}" stroke-opacity="0.25"/>`,
      `<text x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${Number(y.toFixed(6))}</text>`,
    );
  }
  const marks = points.map(({ x, y }) =>
    `<circle cx="${round(xOf(x))}" cy="${round(yOf(y))}" r="4" fill="${LINE}"/>` +
    `<text x="${round(xOf(x))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${x.toLocaleString("en")}</text>`
  );
  const path = points.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${round(xOf(x))} ${round(yOf(y))}`).join(" ");
  const bandTop = round(yOf(band[1]));
  const bandHeight = round(yOf(band[0]) - yOf(band[1]));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" ` +
    `fill="${INK}" role="img" aria-label="${title} against ${xLabel}">`,
    `<text x="${LEFT}" y="20" font-size="14">${title}</text>`,
    `<rect x="${LEFT}" y="${bandTop}" width="${
      WIDTH - LEFT - RIGHT
    }" height="${bandHeight}" fill="${LINE}" fill-opacity="0.12"/>`,
    ...grid,
    `<path d="${path}" fill="none" stroke="${LINE}" stroke-width="2"/>`,
    ...marks,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${xLabel}</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>`,
    "</svg>",
    "",
  ].join("\n");
}

/** 1, 2 or 5 times a power of ten, at least as large. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least) ?? least;
}
