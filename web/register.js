// The page to register people.

import { Stage } from "./lib/camera.js";
import { announce, button, complain, framed, h, icon } from "./lib/dom.js";
import { acceptDrops, chosen } from "./lib/drop.js";
import { idFor, idForFolder, isPersonId, nextId } from "./lib/ids.js";
import { Owners, Queue, Registration } from "./lib/registration.js";
import { explain, fillIn, t } from "./lib/texts.js";

fillIn();

const $ = (id) => document.getElementById(id);
const [name, personId, consent, originals] = ["name", "person-id", "consent", "originals"].map($);
const STEPS = ["sent", "stored", "indexed"];
const STEPS_DONE = { waiting: 0, preparing: 0, sending: 0, stored: 2, indexed: 3 };
const items = new Map(); // registration: its element in the list
const owners = new Owners();

// --- who ---------------------------------------------------------------------------------------

let idIsOffered = true;

name.addEventListener("input", () => {
  if (idIsOffered) personId.value = idFor(name.value);
  complain(name, "");
  if (personId.value) complain(personId, "");
});
personId.addEventListener("input", () => {
  idIsOffered = personId.value === "";
  complain(personId, "");
});
consent.addEventListener("change", () => complain(consent, ""));
$("person").addEventListener("submit", (event) => event.preventDefault());

/** Say whether consent is given; if not, say so where it is asked for. */
function isAgreed() {
  complain(consent, consent.checked ? "" : t("register.consentMissing"));
  if (!consent.checked) consent.focus();
  return consent.checked;
}

/** Say whether it is known who is registered; if not, say so at the first field that lacks. */
function isReady() {
  const trimmed = name.value.trim();
  const tooLong = trimmed.length > 200 ? t("register.nameTooLong") : "";
  complain(name, trimmed ? tooLong : t("register.nameMissing"));
  complain(personId, isPersonId(personId.value) || !trimmed ? "" : t("register.idWrong"));
  complain(consent, consent.checked ? "" : t("register.consentMissing"));
  const wrong = [name, personId, consent].find(
    (field) => field.getAttribute("aria-invalid") === "true",
  );
  wrong?.focus();
  return !wrong;
}

// --- photographs -------------------------------------------------------------------------------

const files = h("input", {
  id: "files",
  type: "file",
  accept: "image/*",
  multiple: true,
  hidden: true,
  onchange: () => registerPerson(chosen(files).files),
});
const stage = new Stage($("stage"), {
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

folder.addEventListener("change", () => registerPeople(chosen(folder).people));
$("choose-folder").addEventListener("click", () => isAgreed() && folder.click());
acceptDrops((found) => {
  if (found.people.length) registerPeople(found.people);
  if (found.files.length || !found.people.length) isReady() && registerPerson(found.files);
});

async function takePhotograph() {
  // What the camera gives needs not to be made smaller again.
  if (isReady()) registerPerson([await stage.take()], true);
}

function registerPerson(photographs, asItIs = originals.checked) {
  const person = { name: name.value.trim(), personId: personId.value };
  add(photographs.map((file) => new Registration(file, person, { asItIs, owners })));
}

/** Register folders, one for each person; the folder says who it is, as in S3. */
function registerPeople(people) {
  if (!isAgreed()) return;
  const taken = new Set();
  const registrations = people.flatMap(({ name: folderName, files: photographs }) => {
    let id = idForFolder(folderName);
    while (taken.has(id)) id = nextId(id); // two names that come to the same
    taken.add(id);
    const person = { name: folderName, personId: id };
    return photographs.map((file) => new Registration(file, person, { asItIs: originals.checked }));
  });
  add(registrations);
}

// --- the list ----------------------------------------------------------------------------------

const queue = new Queue(show);

/** Put photographs at the head of the list, in their order, and into the queue. */
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

function again(registration, changes = {}) {
  Object.assign(registration, changes);
  queue.add(registration);
}

function remove(registration) {
  registration.forget();
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
    state === "failed" ? problemOf(registration) : steps(state),
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

/** Show the way of a photograph: what is done, what is under way, what comes. */
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

function problemOf(registration) {
  const { problem } = registration;
  const { title, advice } = explain(problem);
  const others = problem.personId;
  const use = (key, changes) =>
    button(t(key, changes.person ?? {}), null, () => again(registration, changes));
  const as = (id) => ({ person: { ...registration.person, personId: id } });
  const ways = [];
  if (problem.code === "face_registered_to_another_person" && others) {
    ways.push(use("item.useId", as(others)));
  } else if (problem.code === "person_exists") {
    ways.push(use("item.newId", as(others)));
    ways.push(
      button(t("item.addAnyway"), null, () => {
        owners.accept(registration.person.personId);
        again(registration);
      }),
    );
  } else if (registration.canBeTriedAgain) {
    ways.push(button(t("item.retry"), "retry", () => again(registration)));
  }
  ways.push(button(t("item.remove"), "remove", () => remove(registration)));
  return h(
    "div",
    {},
    h("p", { class: "step wrong" }, icon("warning"), title),
    h("p", { class: "advice" }, advice),
    h("div", { class: "actions small" }, ...ways),
  );
}

function showProgress() {
  const all = [...items.keys()];
  const failed = all.filter(({ state }) => state === "failed");
  const done = all.filter((registration) => registration.isDone).length;
  const isUnderWay = done + failed.length < all.length;
  $("registered").hidden = all.length === 0;
  $("progress").max = Math.max(1, all.length);
  $("progress").value = done + failed.length;
  $("progress-text").textContent = t("register.progressText", {
    done,
    failed: failed.length,
    total: all.length,
  });
  const worthwhile = all.filter(({ canBeTriedAgain }) => canBeTriedAgain).length;
  $("retry-all").hidden = worthwhile < 2;
  $("retry-all").lastChild.textContent = t("register.retryAll", { failed: worthwhile });
  $("clear").disabled = isUnderWay;
}

$("retry-all").append(icon("retry"), "");
$("retry-all").addEventListener("click", () => {
  for (const registration of items.keys()) {
    if (registration.canBeTriedAgain) again(registration);
  }
});
$("clear").addEventListener("click", () => {
  [...items.keys()].forEach(remove);
  name.focus();
});
$("next").addEventListener("click", () => {
  stage.stop();
  $("person").reset();
  idIsOffered = true;
  owners.forget();
  name.focus();
});
addEventListener("beforeunload", (event) => {
  const isUnderWay = [...items.keys()].some(({ state, isDone }) => !isDone && state !== "failed");
  if (isUnderWay) event.preventDefault();
});
