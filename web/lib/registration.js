// One photograph on its way into the service: checked, sent, stored, indexed; or why not.

import * as api from "./api.js";
import { nextId } from "./ids.js";
import { needsUpload, prepare } from "./photographs.js";
import { Problem } from "./problem.js";

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

  /** `asItIs` sends the file unchanged; `isNew` makes sure that the id is nobody else's. */
  constructor(file, person, { asItIs = false, isNew = false } = {}) {
    this.file = file;
    this.person = person;
    this.asItIs = asItIs;
    this.isNew = isNew;
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
      if (this.isNew) await this.#refuseOthersId(blob);
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
    const { imageKey, face } = await api.register(blob, this.person);
    this.box = face?.boundingBox;
    return imageKey;
  }

  async #upload(blob) {
    const { imageKey, upload } = await api.allowUpload({ ...this.person, contentType: blob.type });
    await api.upload(blob, upload);
    return imageKey;
  }

  /** Two people of one name get the same id offered: look whether its owner has this face. */
  async #refuseOthersId(blob) {
    if (needsUpload(blob)) return;
    try {
      const { verified } = await api.verify(blob, this.person.personId);
      if (!verified) {
        throw new Problem("person_exists", { personId: nextId(this.person.personId) });
      }
    } catch (problem) {
      // Nobody has it; or the photograph is no good, which registering tells more exactly.
      const isNoObjection = ["person_unknown", "no_face"].includes(problem.code);
      if (!isNoObjection) throw problem;
    }
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
