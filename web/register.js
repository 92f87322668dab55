// The page for registering people.

import { CameraPanel } from "./lib/camera.js";
import { announce, button, framed, h, icon, showError } from "./lib/dom.js";
import { acceptDrops, readChosen } from "./lib/drop.js";
import { idFor, idForFolder, isPersonId, nextId } from "./lib/ids.js";
import { IdChecker, Queue, Registration } from "./lib/registration.js";
import { explain, fillIn, t } from "./lib/texts.js";

fillIn();

const $ = (id) => document.getElementById(id);
const [name, personId, consent, originals] = ["name", "person-id", "consent", "originals"].map($);
const STEPS = ["sent", "stored", "indexed"];
const STEPS_DONE = { waiting: 0, preparing: 0, sending: 0, stored: 2, indexed: 3 };
const items = new Map(); // registration: its element in the list
const idChecker = new IdChecker();

// --- the person --------------------------------------------------------------------------------

let idIsSuggested = true;

name.addEventListener("input", () => {
  if (idIsSuggested) personId.value = idFor(name.value);
  showError(name, "");
  if (personId.value) showError(personId, "");
});
personId.addEventListener("input", () => {
  idIsSuggested = personId.value === "";
  showError(personId, "");
});
consent.addEventListener("change", () => showError(consent, ""));
$("person").addEventListener("submit", (event) => event.preventDefault());

/** Return whether consent is given. If not, show an error at the checkbox. */
function isAgreed() {
  showError(consent, consent.checked ? "" : t("register.consentMissing"));
  if (!consent.checked) consent.focus();
  return consent.checked;
}

/** Return whether all fields are valid. If not, show errors and focus the first invalid field. */
function isReady() {
  const trimmed = name.value.trim();
  const tooLong = trimmed.length > 200 ? t("register.nameTooLong") : "";
  showError(name, trimmed ? tooLong : t("register.nameMissing"));
  showError(personId, isPersonId(personId.value) || !trimmed ? "" : t("register.idWrong"));
  showError(consent, consent.checked ? "" : t("register.consentMissing"));
  const invalid = [name, personId, consent].find(
    (field) => field.getAttribute("aria-invalid") === "true",
  );
  invalid?.focus();
  return !invalid;
}

// --- photographs -------------------------------------------------------------------------------

const files = h("input", {
  id: "files",
  type: "file",
  accept: "image/*",
  multiple: true,
  hidden: true,
  onchange: () => registerPerson(readChosen(files).files),
});
const camera = new CameraPanel($("camera"), {
  mayStart: isReady,
  dropText: t("camera.drop"),
  chooser: h(
    "span",
    {},
    button(t("camera.choose"), "upload", () => isReady() && files.click()),
    files,
  ),
  actions: [
    button(t("camera.take"), "shutter", () => takePhotograph(), { class: "button primary" }),
  ],
});
const folder = $("folder");

folder.addEventListener("change", () => registerPeople(readChosen(folder).people));
$("choose-folder").addEventListener("click", () => isAgreed() && folder.click());
acceptDrops((found) => {
  if (found.people.length) registerPeople(found.people);
  if (found.files.length || !found.people.length) isReady() && registerPerson(found.files);
});

async function takePhotograph() {
  // The camera's picture has the right size already, so send it unchanged.
  if (isReady()) registerPerson([await camera.take()], true);
}

function registerPerson(photographs, asItIs = originals.checked) {
  const person = { name: name.value.trim(), personId: personId.value };
  add(photographs.map((file) => new Registration(file, person, { asItIs, idChecker })));
}

/** Register one person per folder. The name of the folder gives the name and the id, as in S3. */
function registerPeople(people) {
  if (!isAgreed()) return;
  const usedIds = new Set();
  const registrations = people.flatMap(({ name: folderName, files: photographs }) => {
    let id = idForFolder(folderName);
    while (usedIds.has(id)) id = nextId(id); // different names can give the same id
    usedIds.add(id);
    const person = { name: folderName, personId: id };
    return photographs.map((file) => new Registration(file, person, { asItIs: originals.checked }));
  });
  add(registrations);
}

// --- the list ----------------------------------------------------------------------------------

const queue = new Queue(show);

/** Add photographs to the top of the list, in their order, and to the queue. */
function add(registrations) {
  $("no-photographs").hidden = registrations.length > 0;
  if (!registrations.length) return announce(t("register.noPhotographs"));
  for (const registration of registrations) items.set(registration, h("li", { class: "item" }));
  const elements = registrations.map((registration) => items.get(registration));
  $("list").prepend(...elements);
  $("registered").hidden = false;
  registrations.forEach((registration) => queue.add(registration));
  return elements[0].scrollIntoView({ block: "nearest" });
}

function retry(registration, changes = {}) {
  Object.assign(registration, changes);
  queue.add(registration);
}

function remove(registration) {
  registration.releaseThumbnail();
  items.get(registration).remove();
  items.delete(registration);
  showProgress();
}

function show(registration) {
  const { person, state, problem, thumbnail, box } = registration;
  const element = items.get(registration);
  if (!element) return;
  const hadFocus = element.contains(document.activeElement);
  element.dataset.state = state;
  const picture = thumbnail
    ? framed(thumbnail, t("item.photograph", person), box)
    : h("span", { class: "framed empty" }, icon("face"));
  const body = h(
    "div",
    { class: "item-body" },
    h(
      "p",
      { class: "item-name" },
      h("strong", {}, person.name),
      h("span", { class: "hint" }, person.personId),
    ),
    state === "failed" ? failure(registration) : steps(state),
  );
  element.replaceChildren(picture, body);
  if (hadFocus) element.querySelector("button")?.focus();
  if (registration.isDone) {
    announce(t("state.registered", person));
  } else if (state === "failed") {
    announce(t("state.notRegistered", { ...person, problem: explain(problem).title }));
  }
  showProgress();
}

/** Create the steps of a registration: completed, current and remaining ones. */
function steps(state) {
  if (state === "slow") return h("p", { class: "step done" }, icon("check"), t("state.slow"));
  const done = STEPS_DONE[state];
  const current = state === "stored" ? "indexing" : state;
  return h(
    "ol",
    { class: "steps" },
    ...STEPS.map((step, place) => {
      if (place < done) return h("li", { class: "step done" }, icon("check"), t(`state.${step}`));
      const isCurrent = place === done;
      const properties = {
        class: isCurrent ? "step now" : "step",
        "aria-current": isCurrent && "step",
      };
      return h("li", properties, t(`state.${isCurrent ? current : step}`));
    }),
  );
}

/** Create the description of a failure, with buttons for the ways to continue. */
function failure(registration) {
  const { problem } = registration;
  const { title, advice } = explain(problem);
  const otherId = problem.personId;
  const retryWithId = (key, id) => {
    const person = { ...registration.person, personId: id };
    return button(t(key, person), null, () => retry(registration, { person }));
  };
  const actions = [];
  if (problem.code === "face_registered_to_another_person" && otherId) {
    actions.push(retryWithId("item.useId", otherId));
  } else if (problem.code === "person_exists") {
    actions.push(retryWithId("item.newId", otherId));
    actions.push(
      button(t("item.addAnyway"), null, () => {
        idChecker.confirm(registration.person.personId);
        retry(registration);
      }),
    );
  } else if (registration.canRetry) {
    actions.push(button(t("item.retry"), "retry", () => retry(registration)));
  }
  actions.push(button(t("item.remove"), "remove", () => remove(registration)));
  return h(
    "div",
    {},
    h("p", { class: "step wrong" }, icon("warning"), title),
    h("p", { class: "advice" }, advice),
    h("div", { class: "actions small" }, ...actions),
  );
}

function showProgress() {
  const all = [...items.keys()];
  const failed = all.filter(({ state }) => state === "failed");
  const done = all.filter((registration) => registration.isDone).length;
  const isRunning = done + failed.length < all.length;
  $("registered").hidden = all.length === 0;
  $("progress").max = Math.max(1, all.length);
  $("progress").value = done + failed.length;
  $("progress-text").textContent = t("register.progressText", {
    done,
    failed: failed.length,
    total: all.length,
  });
  const retryable = all.filter((registration) => registration.canRetry).length;
  $("retry-all").hidden = retryable < 2;
  $("retry-all").lastChild.textContent = t("register.retryAll", { failed: retryable });
  $("clear").disabled = isRunning;
}

$("retry-all").append(icon("retry"), "");
$("retry-all").addEventListener("click", () => {
  for (const registration of items.keys()) {
    if (registration.canRetry) retry(registration);
  }
});
$("clear").addEventListener("click", () => {
  [...items.keys()].forEach(remove);
  name.focus();
});
$("next").addEventListener("click", () => {
  camera.stop();
  $("person").reset();
  idIsSuggested = true;
  idChecker.reset();
  name.focus();
});
addEventListener("beforeunload", (event) => {
  const isRunning = [...items.keys()].some(({ state, isDone }) => !isDone && state !== "failed");
  if (isRunning) event.preventDefault();
});
