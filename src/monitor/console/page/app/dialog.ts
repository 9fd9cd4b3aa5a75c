/** Dialogs: what will happen in plain words, what has to be given, and what the server said. */
import { ApiError, UnreachableError } from "./api.ts";
import { type Child, h, setText } from "./dom.ts";

export interface DialogOptions {
  readonly title: string;
  readonly content: readonly Child[];
  readonly confirmLabel: string;
  readonly isDanger?: boolean;
  /** Text that must be typed in before anything can happen. */
  readonly mustType?: string;
  /** Does it; what it throws is shown, and the dialog stays. */
  readonly confirm: () => Promise<void>;
}

let counter = 0;

/** Opens a dialog. Focus comes back to where it was when it closes. */
export function openDialog(options: DialogOptions): void {
  const id = `dialog-${++counter}`;
  const trouble = h("p", { class: "trouble", role: "alert" });
  const confirm = h(
    "button",
    { type: "submit", class: options.isDanger === true ? "danger strong" : "strong" },
    options.confirmLabel,
  );
  const typed = options.mustType === undefined ? undefined : h("input", {
    type: "text",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    id: `${id}-name`,
  });
  const form = h(
    "form",
    { novalidate: true },
    h("h2", { id }, options.title),
    h("div", { class: "content" }, options.content),
    typed && h(
      "div",
      { class: "field" },
      h("label", { for: `${id}-name` }, "To go on, type the name ", h("code", {}, options.mustType)),
      typed,
    ),
    trouble,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      confirm,
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": id }, form);
  // A name that cannot be typed as it is shown (blanks at its ends, odd spaces) can still be pasted.
  const isTyped = () => typed === undefined || typed.value === options.mustType;
  const check = () => confirm.disabled = !isTyped();
  typed?.addEventListener("input", check);
  check();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!isTyped()) return;
    confirm.disabled = true;
    setText(trouble, "");
    options.confirm().then(() => dialog.close(), (error: unknown) => {
      confirm.disabled = false;
      setText(trouble, troubleText(error));
    });
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** What went wrong, in a sentence. Anything that is not the server's is a defect of the page and is thrown on. */
export function troubleText(error: unknown): string {
  if (error instanceof ApiError) return sentence(error.message);
  if (error instanceof UnreachableError) return "The server does not answer. Whether it was done is seen when it does.";
  throw error;
}

/** With a capital and a full stop. */
export function sentence(text: string): string {
  return text === "" ? "" : text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
