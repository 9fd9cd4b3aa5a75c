/** Keys. They can be switched off: whoever speaks to the computer, or leans on the keyboard, types letters all the time. */
import { hashOf, type ViewName } from "./route.ts";

export interface Shortcut {
  /** With a blank between two keys that are pressed one after the other. */
  readonly keys: string;
  readonly text: string;
  readonly view?: ViewName;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: "g o", text: "Overview", view: "overview" },
  { keys: "g c", text: "Channels", view: "channels" },
  { keys: "g d", text: "Durables", view: "durables" },
  { keys: "g k", text: "Clients", view: "clients" },
  { keys: "g l", text: "Log", view: "log" },
  { keys: "?", text: "Help", view: "help" },
  { keys: "/", text: "Search in the list" },
  { keys: "Esc", text: "Close a dialog, leave the search" },
];

const STORAGE_KEY = "stanchion.shortcuts";
/** A `g` is forgotten after it. */
const SEQUENCE_MS = 1500;

export function areShortcutsOn(): boolean {
  return localStorage.getItem(STORAGE_KEY) !== "off";
}

export function switchShortcuts(isOn: boolean): void {
  if (isOn) localStorage.removeItem(STORAGE_KEY);
  else localStorage.setItem(STORAGE_KEY, "off");
}

/** Listens to keys. `search` is the search field of the view. */
export function listenToKeys(search: () => HTMLInputElement | undefined): void {
  let leadAtMs = -Infinity;
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const field = search();
    if (key === "Escape" && field !== undefined && target === field) return field.blur();
    const isTyping = target instanceof HTMLElement &&
      target.closest("input:not([type=checkbox]), select, textarea") !== null;
    if (isTyping || document.querySelector("dialog[open]") !== null || !areShortcutsOn()) return;
    const isAfterLead = event.timeStamp - leadAtMs < SEQUENCE_MS;
    leadAtMs = key === "g" ? event.timeStamp : -Infinity;
    if (key === "/" && field !== undefined) {
      event.preventDefault();
      field.focus();
      return field.select();
    }
    const shortcut = SHORTCUTS.find(({ keys }) => keys === (isAfterLead ? `g ${key}` : key));
    if (shortcut?.view === undefined) return;
    event.preventDefault();
    location.hash = hashOf(shortcut.view);
  });
}
