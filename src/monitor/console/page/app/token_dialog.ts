/** The token: typed in, tried once, kept in this tab only. */
import { ApiError, type Overview } from "./api.ts";
import type { App } from "./app.ts";
import { openDialog } from "./dialog.ts";
import { h } from "./dom.ts";

const STORAGE_KEY = "stanchion.token";

/** The token of this tab; empty: none. */
export function storedToken(): string {
  return sessionStorage.getItem(STORAGE_KEY) ?? "";
}

/** Keeps the token for this tab; an empty one is forgotten. */
export function storeToken(token: string): void {
  if (token === "") sessionStorage.removeItem(STORAGE_KEY);
  else sessionStorage.setItem(STORAGE_KEY, token);
}

/** Asks for the token, or for nothing where the server has none. */
export function openTokenDialog(app: App, changed: (token: string) => void): void {
  const access = app.overview()?.access;
  if (access?.token_configured === false) {
    return openDialog({
      title: "No token is configured",
      content: [
        h("p", {}, "Without one nobody can read payloads or the log, or change anything. To set one:"),
        h(
          "ul",
          {},
          h(
            "li",
            {},
            "in the configuration, in the block ",
            h("code", {}, "streaming"),
            ": ",
            h("code", {}, `console { token: "..." }`),
          ),
          h("li", {}, "or in the environment of the server: ", h("code", {}, "STANCHION_CONSOLE_TOKEN")),
        ),
        h("p", {}, "and restart the server."),
      ],
      confirmLabel: "All right",
      confirm: () => Promise.resolve(),
    });
  }
  if (app.api.token !== "" && access?.authorized === true) {
    return openDialog({
      title: "Forget the token?",
      content: [h("p", {}, "This tab has the token of the server. It is forgotten when the tab is closed, or now.")],
      confirmLabel: "Forget it",
      confirm() {
        changed("");
        return Promise.resolve();
      },
    });
  }
  const input = h("input", {
    type: "password",
    id: "token",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "token-note",
  });
  openDialog({
    title: "Token of the console",
    content: [
      h("p", { id: "token-note" }, "It is kept in this tab until it is closed, and sent to this server only."),
      h("div", { class: "field" }, h("label", { for: "token" }, "Token"), input),
    ],
    confirmLabel: "Use it",
    async confirm() {
      const token = input.value.trim();
      if (token === "") throw new ApiError(400, "BAD_REQUEST", "the token is missing");
      // A header holds nothing else, and the server takes nothing else.
      if (!/^[\x21-\x7e]+$/.test(token)) {
        throw new ApiError(400, "BAD_REQUEST", "a token has letters, digits and signs only, without blanks");
      }
      // Tried once before it is kept: each wrong one counts against this address.
      const { access: tried } = await app.api.get<Overview>("overview", {}, token);
      if (!tried.authorized) throw new ApiError(403, "TOKEN_WRONG", "this is not the token of this server");
      changed(token);
    },
  });
}
