/** The browser for tests of the console and for its pictures: Chromium as the system has it, without a window. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import type { Browser } from "puppeteer-core";

/** Names it has on the systems we know. STANCHION_CHROMIUM names another file. */
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Path of the browser; undefined: there is none. */
export function findBrowser(): string | undefined {
  const given = process.env["STANCHION_CHROMIUM"];
  if (given !== undefined && given !== "") return given;
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      if (folder !== "" && existsSync(path)) return path;
    }
  }
  return undefined;
}

/** Starts the browser at `path`. The caller closes it. */
export async function startBrowser(path: string): Promise<Browser> {
  // Loaded here: who only asks whether there is a browser does not need it.
  const { launch } = await import("puppeteer-core");
  return launch({
    executablePath: path,
    headless: true,
    args: [
      // Builds run as root, where the browser's own sandbox refuses to start. It sees no page but ours.
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-gpu",
      // It shall ask nobody for anything.
      "--disable-background-networking",
      "--disable-component-update",
      "--no-first-run",
      "--font-render-hinting=none",
    ],
  });
}
