// The page for verifying people: who is it, or is it this person?

import * as api from "./lib/api.js";
import { CameraPanel } from "./lib/camera.js";
import { announce, button, framed, h, icon, showError } from "./lib/dom.js";
import { acceptDrops, readChosen } from "./lib/drop.js";
import { isPersonId } from "./lib/ids.js";
import { prepare } from "./lib/photographs.js";
import { Problem } from "./lib/problem.js";
import { INTERVAL, StillnessDetector, greyValues } from "./lib/stillness.js";
import { explain, fillIn, t } from "./lib/texts.js";

fillIn();

const $ = (id) => document.getElementById(id);
const personId = $("person-id");
const answer = $("answer");
// Problems of the service or the network. The user can try again; continuous checking pauses.
const SERVICE_PROBLEMS = new Set([
  "unreachable",
  "unreachable_or_key",
  "offline",
  "timeout",
  "key_needed",
  "forbidden",
  "throttled",
  "service_unavailable",
  "internal",
]);

// --- the question ------------------------------------------------------------------------------

const isOneToOne = () => $("one").checked;

for (const choice of document.querySelectorAll("[name=question]")) {
  choice.addEventListener("change", () => {
    $("person-field").hidden = !isOneToOne();
    if (isOneToOne()) personId.focus();
    stillness.reset();
  });
}
personId.addEventListener("input", () => {
  showError(personId, "");
  stillness.reset();
});
$("question").addEventListener("submit", (event) => event.preventDefault());

/** Return whether the question is complete. If not, show an error at the field. */
function isReady() {
  const isMissing = isOneToOne() && !isPersonId(personId.value.trim());
  showError(personId, isMissing ? t("verify.idMissing") : "");
  if (isMissing) personId.focus();
  return !isMissing;
}

// --- the photograph ----------------------------------------------------------------------------

const file = h("input", {
  id: "file",
  type: "file",
  accept: "image/*",
  hidden: true,
  onchange: () => checkFile(readChosen(file).files),
});
const checkButton = button(t("verify.check"), "shutter", () => checkCamera(), {
  class: "button primary",
  id: "check",
});
const continuous = h("input", {
  type: "checkbox",
  id: "continuous",
  role: "switch",
  "aria-describedby": "continuous-hint",
});
const camera = new CameraPanel($("camera"), {
  dropText: t("camera.dropOne"),
  chooser: h(
    "span",
    {},
    button(t("camera.chooseOne"), "upload", () => isReady() && file.click()),
    file,
  ),
  actions: [
    checkButton,
    h(
      "span",
      { class: "switch" },
      continuous,
      h("label", { for: "continuous" }, t("verify.continuous")),
      h("span", { id: "continuous-hint", class: "visually-hidden" }, t("verify.continuousHint")),
    ),
  ],
  onChange: () => watch(),
});
acceptDrops(({ files, people }) => checkFile([...files, ...people.flatMap((one) => one.files)]));

async function checkCamera() {
  if (isReady()) await checkPicture();
}

/** Check the camera's picture. It has the right size already, so it is sent unchanged. */
async function checkPicture() {
  await check(await camera.take(), { asItIs: true });
}

async function checkFile([photograph]) {
  if (!photograph) showProblem(new Problem("unsupported_image"));
  else if (isReady()) await check(photograph);
}

// --- checking continuously -----------------------------------------------------------------------

const stillness = new StillnessDetector();
let watching = null;

continuous.addEventListener("change", () => {
  if (continuous.checked && !isReady()) continuous.checked = false;
  watch();
});

/** Watch the camera's picture while continuous checking is on. */
function watch() {
  clearInterval(watching);
  watching = null;
  if (!camera.isRunning || !continuous.checked) {
    if (answer.dataset.kind === "idle") idle(t("verify.idle"));
    return;
  }
  stillness.reset();
  idle(t("verify.watching"));
  watching = setInterval(async () => {
    if (latest.isRunning || document.hidden || document.querySelector("dialog[open]")) return;
    const event = stillness.update(greyValues(camera.video));
    if (event === "left") idle(t("verify.watching"));
    if (event === "check") await checkPicture();
  }, INTERVAL);
}

/** Stop continuous checking, because the service does not answer. */
function pause() {
  continuous.checked = false;
  watch();
  announce(t("verify.paused"));
}

// --- the answer --------------------------------------------------------------------------------

let latest = { isRunning: false };
let shownThumbnail = null; // URL

async function check(photograph, { asItIs = false } = {}) {
  const askedId = isOneToOne() ? personId.value.trim() : null;
  const current = (latest = { isRunning: true });
  show(
    "checking",
    null,
    h("p", { class: "answer-line" }, h("span", { class: "spinner" }), t("verify.checking")),
  );
  let prepared = { thumbnail: null };
  try {
    prepared = await prepare(photograph, { asItIs });
    const verification = await api.verify(prepared.blob, askedId);
    if (current === latest) showVerification(verification, askedId, prepared.thumbnail);
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    const problem = error instanceof Problem ? error : new Problem("internal");
    if (current === latest) showProblem(problem, photograph, prepared.thumbnail);
  } finally {
    current.isRunning = false;
  }
}

function showVerification(verification, askedId, thumbnail) {
  const { verified, person, similarity, threshold, matches, face } = verification;
  const values = { threshold, similarity, personId: person?.personId ?? askedId };
  const checked = framed(thumbnail, t("verify.checked"), face.boundingBox);
  if (!verified) {
    const title = askedId ? t("verify.notConfirmed", values) : t("verify.notRecognised");
    const reason = t(askedId ? "verify.notConfirmedText" : "verify.notRecognisedText", values);
    const register =
      !askedId && h("a", { class: "button", href: "register.html" }, t("verify.register"));
    show(
      "stranger",
      thumbnail,
      sign("stranger"),
      heading(title),
      h("p", {}, reason),
      register,
      checked,
    );
    return;
  }
  const others = matches.slice(1);
  show(
    "match",
    thumbnail,
    sign("check"),
    h("p", { class: "answer-kind" }, t(askedId ? "verify.confirmed" : "verify.recognised")),
    heading(person.name),
    meter(similarity),
    h("p", { class: "hint" }, t("verify.personId", values)),
    checked,
    others.length > 0 &&
      h(
        "section",
        { class: "others" },
        h("h3", {}, t("verify.others")),
        h(
          "ul",
          {},
          ...others.map((match) =>
            h(
              "li",
              {},
              h("span", {}, match.name),
              h("span", { class: "number" }, t("verify.percent", match)),
            ),
          ),
        ),
      ),
  );
}

function showProblem(problem, photograph, thumbnail = null) {
  const { title, advice } = explain(problem);
  show(
    "problem",
    thumbnail,
    sign("warning"),
    h("p", { class: "answer-kind" }, t("verify.unchecked")),
    heading(title),
    h("p", {}, advice),
    SERVICE_PROBLEMS.has(problem.code) && button(t("again"), "retry", () => check(photograph)),
    thumbnail && framed(thumbnail, t("verify.checked")),
  );
  if (continuous.checked && SERVICE_PROBLEMS.has(problem.code)) pause();
}

function idle(text) {
  latest = { isRunning: false };
  show("idle", null, h("p", { class: "answer-line" }, icon("face"), text));
}

const sign = (name) => h("span", { class: "sign" }, icon(name));
const heading = (text) => h("p", { class: "answer-title" }, text);

function meter(similarity) {
  const text = t("verify.percent", { similarity });
  return h(
    "div",
    { class: "similarity" },
    h("span", { id: "similarity" }, t("verify.similarity")),
    h("strong", { class: "number" }, text),
    h("meter", { min: 0, max: 100, value: similarity, "aria-labelledby": "similarity" }, text),
  );
}

function show(kind, thumbnail, ...content) {
  if (shownThumbnail && shownThumbnail !== thumbnail) URL.revokeObjectURL(shownThumbnail);
  shownThumbnail = thumbnail;
  answer.dataset.kind = kind;
  answer.setAttribute("aria-busy", String(kind === "checking"));
  answer.replaceChildren(...content.filter(Boolean));
  if (kind !== "idle" && kind !== "checking") answer.scrollIntoView({ block: "nearest" });
}

idle(t("verify.idle"));
if (
  (await navigator.permissions?.query({ name: "camera" }).catch(() => null))?.state === "granted"
) {
  camera.start();
}
