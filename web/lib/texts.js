// The texts in the reader's language, as far as there is a file for it.

import { config } from "../config.js";

const FALLBACK = "en";
const wanted = navigator.languages.map((language) => language.split("-")[0]);
const language = wanted.find((code) => config.languages.includes(code)) ?? FALLBACK;
const { texts } = await import(`../texts/${language}.js`);

/** Return a text, filled in. A text that is not there is a mistake of ours, so it is told. */
export function t(key, values) {
  const text = texts[key];
  if (text === undefined) throw new Error(`there is no text ${key}`);
  return typeof text === "function" ? text(values) : text;
}

/** Say what a problem is and what to do about it. */
export function explain(problem) {
  const [title, advice] = texts.problems[problem.code] ?? texts.problems.internal;
  // Only the service knows what is wrong with the face, or with a field.
  const exact = ["poor_quality", "malformed_request"].includes(problem.code) && problem.detail;
  return { title, advice: exact ? `${problem.detail} ${advice}` : advice };
}

/** Put the texts into the document where data-text and its like name them. */
export function fillIn(root = document) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
}
