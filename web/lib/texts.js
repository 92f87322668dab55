// The texts in the user's language, or in English if there is no file for that language.

import { config } from "../config.js";

const FALLBACK = "en";
const preferred = navigator.languages.map((language) => language.split("-")[0]);
const language = preferred.find((code) => config.languages.includes(code)) ?? FALLBACK;
const { texts } = await import(`../texts/${language}.js`);

/** Return a text with its placeholders filled in. Throw an error if the text does not exist. */
export function t(key, values) {
  const text = texts[key];
  if (text === undefined) throw new Error(`there is no text ${key}`);
  return typeof text === "function" ? text(values) : text;
}

/** Return the title of a problem, and the advice what to do. */
export function explain(problem) {
  const [title, advice] = texts.problems[problem.code] ?? texts.problems.internal;
  // For these problems, only the service knows exactly what is wrong with the face or the field.
  const hasDetail = ["poor_quality", "malformed_request"].includes(problem.code) && problem.detail;
  return { title, advice: hasDetail ? `${problem.detail} ${advice}` : advice };
}

/** Fill in the texts of all elements with a data-text or data-label attribute. */
export function fillIn(root = document) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
}
