// The key or token that the service requires. The user enters it once; this tab stores it.

import { config } from "../config.js";
import { h } from "./dom.js";
import { Problem } from "./problem.js";
import { t } from "./texts.js";

const STORAGE_KEY = "access";
const HEADERS = { "api-key": "x-api-key", cognito: "Authorization" };

let pendingQuestion = null;
let wasRejected = false;
let wasAccepted = false;

export const isNeeded = config.auth in HEADERS;

/** Return the headers that authorise a request. Ask the user for the key if it is missing. */
export async function headers() {
  if (!isNeeded) return {};
  let key = sessionStorage.getItem(STORAGE_KEY);
  if (!key) {
    // Parallel requests wait for the same dialog.
    pendingQuestion ??= ask().finally(() => (pendingQuestion = null));
    key = await pendingQuestion;
  }
  return { [HEADERS[config.auth]]: key };
}

/** Delete a key that the service rejected, unless the user has entered a newer one since. */
export function rejectKey(sentHeaders) {
  if (sessionStorage.getItem(STORAGE_KEY) === Object.values(sentHeaders)[0]) {
    sessionStorage.removeItem(STORAGE_KEY);
    wasRejected = true;
  }
}

/** Remember that the service accepted the key. */
export function acceptKey() {
  wasAccepted = true;
}

/**
 * Return whether an unanswered request may have failed because of its key. If so, delete the key.
 *
 * When a gateway rejects a key without sending CORS headers, the browser hides its answer, and the
 * page cannot tell it from a network failure.
 */
export function rejectDoubtfulKey(sentHeaders) {
  if (!isNeeded || wasAccepted) return false;
  rejectKey(sentHeaders);
  wasRejected = false;
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
    "aria-invalid": String(wasRejected),
  });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "key-heading" }, wording("key.heading")),
    h("p", {}, wording("key.text")),
    h("label", { for: "key" }, wording("key.label")),
    input,
    h("p", { id: "key-error", class: "error", hidden: !wasRejected }, t("key.refused")),
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
      wasRejected = false;
      sessionStorage.setItem(STORAGE_KEY, key);
      return resolve(key);
    });
  });
}
