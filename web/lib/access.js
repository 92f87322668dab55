// The key or token that the service asks for: asked once, kept for this tab only.

import { config } from "../config.js";
import { h } from "./dom.js";
import { Problem } from "./problem.js";
import { t } from "./texts.js";

const KEPT = "access";
const HEADERS = { "api-key": "x-api-key", cognito: "Authorization" };

let asking = null;
let wasRefused = false;
let wasAccepted = false;

export const isNeeded = config.auth in HEADERS;

/** Return the headers that let a request in; ask for the key where it is needed and missing. */
export async function headers() {
  if (!isNeeded) return {};
  let key = sessionStorage.getItem(KEPT);
  if (!key) {
    asking ??= ask().finally(() => (asking = null)); // several requests, one question
    key = await asking;
  }
  return { [HEADERS[config.auth]]: key };
}

/** Forget a key that the service did not accept, unless a newer one has been entered. */
export function refused(sent) {
  if (sessionStorage.getItem(KEPT) === Object.values(sent)[0]) {
    sessionStorage.removeItem(KEPT);
    wasRefused = true;
  }
}

/** Remember that the service has accepted the key. */
export function accepted() {
  wasAccepted = true;
}

/**
 * Say whether a request without an answer may have been refused for its key, and forget that.
 *
 * A gateway that refuses without the headers of CORS looks to a page as if it did not answer.
 */
export function doubted(sent) {
  if (!isNeeded || wasAccepted) return false;
  refused(sent);
  wasRefused = false;
  return true;
}

function ask() {
  const wording = (key) => t(key)[config.auth];
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "key-kept key-error",
    "aria-invalid": String(wasRefused),
  });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "key-heading" }, wording("key.heading")),
    h("p", {}, wording("key.text")),
    h("label", { for: "key" }, wording("key.label")),
    input,
    h("p", { id: "key-error", class: "error", hidden: !wasRefused }, t("key.refused")),
    h("p", { id: "key-kept", class: "hint" }, t("key.kept")),
    h(
      "div",
      { class: "actions" },
      h("button", { class: "button primary", value: "use" }, t("key.use")),
      h("button", { class: "button", value: "", formnovalidate: true }, t("key.cancel")),
    ),
  );
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "key-heading" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      const key = input.value.trim();
      if (dialog.returnValue !== "use" || !key) return reject(new Problem("key_needed"));
      wasRefused = false;
      sessionStorage.setItem(KEPT, key);
      return resolve(key);
    });
  });
}
