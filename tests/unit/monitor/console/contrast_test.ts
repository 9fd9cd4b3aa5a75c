/** Colours of the console by WCAG 2.1: 4.5 to 1 for text (1.4.3), 3 to 1 for what is drawn (1.4.11), in the light and in the dark. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../../../../scripts/project.ts";

const css = readFileSync(join(ROOT, "src/monitor/console/page/style.css"), "utf8");

/** The custom properties of the first `:root` behind `from`. */
function colorsAfter(from: number): Map<string, string> {
  const start = css.indexOf(":root {", from);
  const block = css.slice(start, css.indexOf("}", start));
  return new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name!, value!]));
}

function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** What stands on what in style.css. */
const TEXTS: readonly (readonly [string, readonly string[]])[] = [
  ["text", ["ground", "panel", "raised"]],
  ["muted", ["ground", "panel", "raised"]],
  ["accent", ["ground", "panel", "raised", "accent-soft"]],
  ["on-accent", ["accent"]],
  ["good", ["panel", "good-soft"]],
  ["warn", ["panel", "raised", "warn-soft"]],
  ["bad", ["ground", "panel", "raised", "bad-soft"]],
  // A button that cannot be taken back, and the notice.
  ["panel", ["bad", "text"]],
];
const DRAWN: readonly (readonly [string, readonly string[]])[] = [
  ["edge", ["ground", "panel", "raised"]],
  ["focus", ["ground", "panel", "raised"]],
  ["series-1", ["panel"]],
  ["series-2", ["panel"]],
];

test("the measure: black on white is 21 to 1, a colour on itself 1 to 1", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(contrast("#123456", "#123456"), 1);
  // The grey that is known as the lightest one for text on white.
  assert.equal(contrast("#767676", "#ffffff").toFixed(2), "4.54");
});

for (const [scheme, from] of [["light", 0], ["dark", css.indexOf("prefers-color-scheme: dark")]] as const) {
  test(`WCAG AA: contrast of the ${scheme} colours`, () => {
    const colors = colorsAfter(from);
    const of = (name: string) => colors.get(name) ?? assert.fail(`no colour "${name}"`);
    for (const [pairs, least] of [[TEXTS, 4.5], [DRAWN, 3]] as const) {
      for (const [name, grounds] of pairs) {
        for (const ground of grounds) {
          const ratio = contrast(of(name), of(ground));
          assert.ok(ratio >= least, `${name} on ${ground}: ${ratio.toFixed(2)} to 1, wanted ${least}`);
        }
      }
    }
  });
}
