// One photograph on its way into the service: checked, sent, stored, indexed; or why not.

import * as api from "./api.js";
import { nextId } from "./ids.js";
import { needsUpload, prepare } from "./photographs.js";
import { Problem } from "./problem.js";
import { t } from "./texts.js";

const AT_ONCE = 3;
const OF_THE_PHOTOGRAPH = new Set([
  "no_face",
  "several_faces",
  "poor_quality",
  "image_too_small",
  "image_too_large",
  "unsupported_image",
]);

/** A photograph and what has become of it so far. */
export class Registration {
  state = "waiting";
  problem = null;
  thumbnail = null;
  box = null;

  /** `asItIs` sends the file unchanged; with `owners` the id must not be somebody else's. */
  constructor(file, person, { asItIs = false, owners = null } = {}) {
    this.file = file;
    this.person = person;
    this.asItIs = asItIs;
    this.owners = owners;
  }

  /** Go the whole way; `onChange` is told of every step. */
  async run(onChange) {
    const step = (state) => {
      this.state = state;
      onChange(this);
    };
    this.problem = null;
    try {
      step("preparing");
      const { blob, thumbnail } = await prepare(this.file, { asItIs: this.asItIs });
      this.forget();
      this.thumbnail = thumbnail;
      step("sending");
      if (this.owners) await this.owners.refuseOthers(this.person.personId, blob);
      const imageKey = needsUpload(blob) ? await this.#upload(blob) : await this.#send(blob);
      step("stored");
      step((await isIndexed(imageKey)) ? "indexed" : "slow");
    } catch (error) {
      this.problem = error instanceof Problem ? error : new Problem("internal");
      if (!(error instanceof Problem)) console.error(error);
      step("failed");
    }
  }

  get isDone() {
    return ["indexed", "slow"].includes(this.state);
  }

  /** Say whether it is worth another try: a photograph that is no good stays so. */
  get canBeTriedAgain() {
    return this.state === "failed" && !OF_THE_PHOTOGRAPH.has(this.problem.code);
  }

  /** Let go of the picture. */
  forget() {
    if (this.thumbnail) URL.revokeObjectURL(this.thumbnail);
    this.thumbnail = null;
  }

  async #send(blob) {
    const { imageKey, face } = await api.register(blob, this.person, t("register.consentVersion"));
    this.box = face?.boundingBox;
    return imageKey;
  }

  async #upload(blob) {
    const consent = t("register.consentVersion");
    const { imageKey, upload } = await api.allowUpload(this.person, consent, blob.type);
    await api.upload(blob, upload);
    return imageKey;
  }
}

/**
 * Knows of ids whether they are somebody else's: two people of one name are offered the same id.
 *
 * The first photograph for an id is compared with the faces under it, if there are any. What comes
 * of that holds for all that follow, until it is forgotten.
 */
export class Owners {
  #isOthers = new Map(); // promises by id

  async refuseOthers(personId, blob) {
    if (needsUpload(blob)) return; // too large to be compared beforehand
    if (!this.#isOthers.has(personId)) this.#isOthers.set(personId, looksDifferent(blob, personId));
    try {
      if (!(await this.#isOthers.get(personId))) return;
    } catch (problem) {
      this.#isOthers.delete(personId);
      // Registering tells more exactly what is wrong with a photograph.
      if (problem.code === "no_face") return;
      throw problem;
    }
    throw new Problem("person_exists", { personId: nextId(personId) });
  }

  /** Take somebody's word for whose id it is. */
  accept(personId) {
    this.#isOthers.set(personId, Promise.resolve(false));
  }

  forget() {
    this.#isOthers.clear();
  }
}

async function looksDifferent(blob, personId) {
  try {
    return !(await api.verify(blob, personId)).verified;
  } catch (problem) {
    if (problem.code === "person_unknown") return false;
    throw problem;
  }
}

/** Say whether a stored photograph has come into the index; it does so without us too. */
async function isIndexed(imageKey) {
  let report;
  try {
    report = await api.index(imageKey);
  } catch {
    return false; // whoever may register is not always allowed to ask this
  }
  const [failure] = report.failed;
  if (failure) throw new Problem(failure.code, { detail: failure.detail });
  return true;
}

/** Runs registrations, a few at a time, in order. */
export class Queue {
  #waiting = [];
  #running = 0;

  constructor(onChange) {
    this.onChange = onChange;
  }

  add(registration) {
    registration.state = "waiting";
    this.onChange(registration);
    this.#waiting.push(registration);
    this.#next();
  }

  async #next() {
    if (this.#running >= AT_ONCE || !this.#waiting.length) return;
    this.#running += 1;
    await this.#waiting.shift().run(this.onChange);
    this.#running -= 1;
    this.#next();
  }
}
