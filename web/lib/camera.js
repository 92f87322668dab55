// The stage: the camera's picture with a frame for the face, or a place for files.

import { announce, button, h, icon } from "./dom.js";
import { scaled } from "./photographs.js";
import { Problem } from "./problem.js";
import { explain, t } from "./texts.js";

const PICTURE = { width: { ideal: 1280 }, height: { ideal: 960 } };
const PROBLEMS = {
  NotAllowedError: "camera_refused",
  SecurityError: "camera_refused",
  NotFoundError: "camera_missing",
  OverconstrainedError: "camera_missing",
};

/** A camera that can be started, switched, stopped, and asked for a photograph. */
export class Stage {
  #stream = null;
  #facing = "user";
  #mayStart;
  #onChange = () => {};

  /**
   * Build the stage into an element.
   *
   * `actions` are further buttons, shown while the camera runs; `mayStart` is asked before it
   * starts; `chooser` is what opens the choice of files.
   */
  constructor(element, { actions, chooser, dropText, mayStart = () => true, onChange = () => {} }) {
    this.#mayStart = mayStart;
    this.video = h("video", { playsinline: true, "aria-label": t("camera.view") });
    this.video.muted = true; // as an attribute it would come too late for autoplay
    this.view = h(
      "div",
      { class: "stage-view" },
      this.video,
      h("span", { class: "guide", "aria-hidden": "true" }),
      h("p", { class: "stage-place" }, t("camera.place")),
    );
    this.cover = h("div", { class: "stage-cover", tabindex: "-1" });
    this.view.append(this.cover);
    this.switch = button(t("camera.switch"), "switch", () => this.#switch());
    this.stopping = button(t("camera.stop"), "stop", () => {
      this.stop();
      this.cover.querySelector("button")?.focus();
    });
    this.running = h(
      "div",
      { class: "actions stage-actions" },
      ...actions,
      this.switch,
      this.stopping,
    );
    this.files = h("p", { class: "stage-files" }, chooser, h("span", { class: "hint" }, dropText));
    element.append(this.view, this.running, this.files);
    this.#show("off");
    this.#onChange = onChange;
  }

  get isRunning() {
    return this.#stream !== null;
  }

  /** Start the camera; what goes wrong is told on the stage. */
  async start() {
    if (!this.#mayStart()) return;
    this.#show("starting");
    try {
      if (!navigator.mediaDevices) throw new Problem("camera_insecure");
      const video = { ...PICTURE, facingMode: this.#facing };
      const stream = await navigator.mediaDevices.getUserMedia({ video });
      this.#release();
      this.#stream = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => this.#fail("camera_busy"));
      this.video.srcObject = stream;
      await this.video.play();
      const devices = await navigator.mediaDevices.enumerateDevices();
      this.switch.hidden = devices.filter(({ kind }) => kind === "videoinput").length < 2;
      const { facingMode } = stream.getVideoTracks()[0].getSettings();
      this.view.classList.toggle("mirrored", facingMode !== "environment");
      this.#show("on");
    } catch (error) {
      this.#fail(error instanceof Problem ? error.code : (PROBLEMS[error.name] ?? "camera_busy"));
    }
  }

  /** Stop the camera. */
  stop() {
    this.#release();
    this.#show("off");
  }

  /** Take a photograph: as large as the camera gives it, up to what is sent. */
  take() {
    this.view.classList.remove("flash");
    void this.view.offsetWidth; // so that the flash begins anew
    this.view.classList.add("flash");
    return scaled(this.video, 1600);
  }

  #switch() {
    this.#facing = this.#facing === "user" ? "environment" : "user";
    return this.start();
  }

  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
  }

  #fail(code) {
    this.#release();
    this.#show("failed", explain(new Problem(code)));
  }

  #show(state, problem) {
    const hadFocus = this.cover.contains(document.activeElement);
    this.view.dataset.state = state;
    this.running.hidden = state !== "on";
    this.cover.hidden = state === "on";
    const start = (text) => button(text, "camera", () => this.start(), { class: "button primary" });
    if (state === "starting") {
      this.cover.replaceChildren(h("p", { role: "status" }, t("camera.starting")));
    } else if (state === "failed") {
      this.cover.replaceChildren(
        icon("warning"),
        h("p", { class: "cover-title" }, problem.title),
        h("p", {}, problem.advice),
        start(t("again")),
      );
      announce(`${problem.title}. ${problem.advice}`);
    } else {
      this.cover.replaceChildren(icon("face"), start(t("camera.start")));
    }
    const place = state === "on" ? this.running : this.cover;
    if (hadFocus) (place.querySelector("button") ?? place).focus();
    this.#onChange(state);
  }
}
