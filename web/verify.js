// The page to verify people: who is it, or is it this person?

import * as api from "./lib/api.js";
import { Stage } from "./lib/camera.js";
import { announce, button, complain, framed, h, icon } from "./lib/dom.js";
import { acceptDrops, chosen } from "./lib/drop.js";
import { isPersonId } from "./lib/ids.js";
import { prepare } from "./lib/photographs.js";
import { Problem } from "./lib/problem.js";
import { EVERY, Steadiness, grey } from "./lib/steadiness.js";
import { explain, fillIn, t } from "./lib/texts.js";

fillIn();

const $ = (id) => document.getElementById(id);
const personId = $("person-id");
const answer = $("answer");
const STOPS = new Set([
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

// --- what is asked -----------------------------------------------------------------------------

const isOneToOne = () => $("one").checked;

for (const choice of document.querySelectorAll("[name=question]")) {
  choice.addEventListener("change", () => {
    $("whom").hidden = !isOneToOne();
    if (isOneToOne()) personId.focus();
    steadiness.forget();
  });
}
personId.addEventListener("input", () => {
  complain(personId, "");
  steadiness.forget();
});
$("question").addEventListener("submit", (event) => event.preventDefault());

/** Say whether it is known what to ask; if not, say so at the field. */
function isReady() {
  const isMissing = isOneToOne() && !isPersonId(personId.value.trim());
  complain(personId, isMissing ? t("verify.idMissing") : "");
  if (isMissing) personId.focus();
  return !isMissing;
}

// --- the photograph ----------------------------------------------------------------------------

const file = h("input", {
  id: "file",
  type: "file",
  accept: "image/*",
  hidden: true,
  onchange: () => checkFile(chosen(file).files),
});
const checking = button(t("verify.check"), "shutter", () => checkCamera(), {
  class: "button primary",
  id: "check",
});
const continuous = h("input", {
  type: "checkbox",
  id: "continuous",
  role: "switch",
  "aria-describedby": "continuous-hint",
});
const stage = new Stage($("stage"), {
  dropText: t("camera.dropOne"),
  chooser: h(
    "span",
    {},
    button(t("camera.chooseOne"), "upload", () => isReady() && file.click()),
    file,
  ),
  actions: [
    checking,
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

/** Check what the camera shows: it needs not to be made smaller again. */
async function checkPicture() {
  await check(await stage.take(), { asItIs: true });
}

async function checkFile([photograph]) {
  if (!photograph) tellProblem(new Problem("unsupported_image"));
  else if (isReady()) await check(photograph);
}

// --- checking continuously -----------------------------------------------------------------------

const steadiness = new Steadiness();
let watching = null;

continuous.addEventListener("change", () => {
  if (continuous.checked && !isReady()) continuous.checked = false;
  watch();
});

/** Look at the camera's picture as long as that is switched on. */
function watch() {
  clearInterval(watching);
  watching = null;
  if (!stage.isRunning || !continuous.checked) {
    if (answer.dataset.kind === "idle") idle(t("verify.idle"));
    return;
  }
  steadiness.forget();
  idle(t("verify.watching"));
  watching = setInterval(async () => {
    if (latest.isUnderWay || document.hidden || document.querySelector("dialog[open]")) return;
    const event = steadiness.look(grey(stage.video));
    if (event === "left") idle(t("verify.watching"));
    if (event === "check") await checkPicture();
  }, EVERY);
}

/** Do not go on asking a service that does not answer. */
function pause() {
  continuous.checked = false;
  watch();
  announce(t("verify.paused"));
}

// --- the answer --------------------------------------------------------------------------------

let latest = { isUnderWay: false };
let shown = null; // URL of the picture beside the answer

async function check(photograph, { asItIs = false } = {}) {
  const asked = isOneToOne() ? personId.value.trim() : null;
  const mine = (latest = { isUnderWay: true });
  show(
    "checking",
    null,
    h("p", { class: "answer-line" }, h("span", { class: "spinner" }), t("verify.checking")),
  );
  let prepared = { thumbnail: null };
  try {
    prepared = await prepare(photograph, { asItIs });
    const verification = await api.verify(prepared.blob, asked);
    if (mine === latest) tell(verification, asked, prepared.thumbnail);
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    const problem = error instanceof Problem ? error : new Problem("internal");
    if (mine === latest) tellProblem(problem, photograph, prepared.thumbnail);
  } finally {
    mine.isUnderWay = false;
  }
}

function tell({ verified, person, similarity, threshold, matches, face }, asked, thumbnail) {
  const values = { threshold, similarity, personId: person?.personId ?? asked };
  const checked = framed(thumbnail, t("verify.checked"), face.boundingBox);
  if (!verified) {
    const title = asked ? t("verify.notConfirmed", values) : t("verify.notRecognised");
    const reason = t(asked ? "verify.notConfirmedText" : "verify.notRecognisedText", values);
    const register =
      !asked && h("a", { class: "button", href: "register.html" }, t("verify.register"));
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
    h("p", { class: "answer-kind" }, t(asked ? "verify.confirmed" : "verify.recognised")),
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

function tellProblem(problem, photograph, thumbnail = null) {
  const { title, advice } = explain(problem);
  show(
    "problem",
    thumbnail,
    sign("warning"),
    h("p", { class: "answer-kind" }, t("verify.unchecked")),
    heading(title),
    h("p", {}, advice),
    STOPS.has(problem.code) && button(t("again"), "retry", () => check(photograph)),
    thumbnail && framed(thumbnail, t("verify.checked")),
  );
  if (continuous.checked && STOPS.has(problem.code)) pause();
}

function idle(text) {
  latest = { isUnderWay: false };
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
  if (shown && shown !== thumbnail) URL.revokeObjectURL(shown);
  shown = thumbnail;
  answer.dataset.kind = kind;
  answer.setAttribute("aria-busy", String(kind === "checking"));
  answer.replaceChildren(...content.filter(Boolean));
  if (kind !== "idle" && kind !== "checking") answer.scrollIntoView({ block: "nearest" });
}

idle(t("verify.idle"));
if (
  (await navigator.permissions?.query({ name: "camera" }).catch(() => null))?.state === "granted"
) {
  stage.start();
}
