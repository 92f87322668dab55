// Register photographs: prepare, send and index each one, and keep track of its state.

import * as api from "./api.js";
import { nextId } from "./ids.js";
import { needsUpload, prepare } from "./photographs.js";
import { Problem } from "./problem.js";
import { t } from "./texts.js";

const MAX_CONCURRENT = 3;
// Problems of the photograph itself. Sending it again would not help.
const PHOTOGRAPH_PROBLEMS = new Set([
  "no_face",
  "several_faces",
  "poor_quality",
  "image_too_small",
  "image_too_large",
  "unsupported_image",
]);

/**
 * The registration of one photograph.
 *
 * `state` is "waiting", "preparing", "sending", "stored", "indexed", "slow" (stored, but not
 * indexed yet) or "failed"; then `problem` says why.
 */
export class Registration {
  state = "waiting";
  problem = null;
  thumbnail = null;
  box = null;

  /**
   * `asItIs` sends the file unchanged. With an `idChecker`, the registration fails if the id
   * belongs to somebody else.
   */
  constructor(file, person, { asItIs = false, idChecker = null } = {}) {
    this.file = file;
    this.person = person;
    this.asItIs = asItIs;
    this.idChecker = idChecker;
  }

  /** Register the photograph. Call `onChange` after each change of the state. */
  async run(onChange) {
    const step = (state) => {
      this.state = state;
      onChange(this);
    };
    this.problem = null;
    try {
      step("preparing");
      const { blob, thumbnail } = await prepare(this.file, { asItIs: this.asItIs });
      this.releaseThumbnail();
      this.thumbnail = thumbnail;
      step("sending");
      if (this.idChecker) await this.idChecker.requireSamePerson(this.person.personId, blob);
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

  /** Whether the registration failed for a reason other than the photograph itself. */
  get canRetry() {
    return this.state === "failed" && !PHOTOGRAPH_PROBLEMS.has(this.problem.code);
  }

  /** Free the memory of the thumbnail. */
  releaseThumbnail() {
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
 * Detects ids that belong to somebody else. Two people with the same name get the same suggestion.
 *
 * The checker compares the first photograph for an id with the faces registered under that id. The
 * result applies to all further photographs for the id, until `reset`.
 */
export class IdChecker {
  #belongsToOther = new Map(); // id: promise of a boolean

  /** Throw the problem person_exists if an id belongs to a person with another face. */
  async requireSamePerson(personId, blob) {
    if (needsUpload(blob)) return; // too large for a comparison
    if (!this.#belongsToOther.has(personId)) {
      this.#belongsToOther.set(personId, looksDifferent(blob, personId));
    }
    try {
      if (!(await this.#belongsToOther.get(personId))) return;
    } catch (problem) {
      this.#belongsToOther.delete(personId);
      // The registration itself gives a more exact reason for an unusable photograph.
      if (problem.code === "no_face") return;
      throw problem;
    }
    throw new Problem("person_exists", { personId: nextId(personId) });
  }

  /** Accept all photographs for an id: the user has confirmed that it is the same person. */
  confirm(personId) {
    this.#belongsToOther.set(personId, Promise.resolve(false));
  }

  /** Discard all results. */
  reset() {
    this.#belongsToOther.clear();
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

/** Index a stored photograph now, and return whether that worked. S3's event indexes it anyway. */
async function isIndexed(imageKey) {
  let report;
  try {
    report = await api.index(imageKey);
  } catch {
    return false; // not everybody who may register may also call create-index
  }
  const [failure] = report.failed;
  if (failure) throw new Problem(failure.code, { detail: failure.detail });
  return true;
}

/** Runs registrations in order, at most `MAX_CONCURRENT` at the same time. */
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
    if (this.#running >= MAX_CONCURRENT || !this.#waiting.length) return;
    this.#running += 1;
    await this.#waiting.shift().run(this.onChange);
    this.#running -= 1;
    this.#next();
  }
}
