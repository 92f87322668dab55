// The camera panel: the camera's picture with an outline for the face, and a button to choose files.

import { announce, button, h, icon } from "./dom.js";
import { LONGEST_SIDE, encodeJpeg } from "./photographs.js";
import { Problem } from "./problem.js";
import { explain, t } from "./texts.js";

const RESOLUTION = { width: { ideal: 1280 }, height: { ideal: 960 } };
// The names of getUserMedia's errors.
const PROBLEMS = {
  NotAllowedError: "camera_refused",
  SecurityError: "camera_refused",
  NotFoundError: "camera_missing",
  OverconstrainedError: "camera_missing",
};

/** A panel with a camera that the user can start, switch and stop, and that takes photographs. */
export class CameraPanel {
  #stream = null;
  #facing = "user";
  #mayStart;
  #onChange = () => {};

  /**
   * Build the panel inside an element.
   *
   * - `actions`: more elements to show while the camera runs, such as a shutter button
   * - `chooser`: the element that opens the file dialog
   * - `dropText`: the hint that files can be dropped
   * - `mayStart`: called before the camera starts; if it returns false, the camera does not start
   * - `onChange`: called with each new state: "off", "starting", "on" or "failed"
   */
  constructor(element, { actions, chooser, dropText, mayStart = () => true, onChange = () => {} }) {
    this.#mayStart = mayStart;
    this.video = h("video", { playsinline: true, "aria-label": t("camera.view") });
    this.video.muted = true; // the attribute would take effect too late for autoplay
    this.view = h(
      "div",
      { class: "camera-view" },
      this.video,
      h("span", { class: "guide", "aria-hidden": "true" }),
      h("p", { class: "camera-place" }, t("camera.place")),
    );
    this.cover = h("div", { class: "camera-cover", tabindex: "-1" });
    this.view.append(this.cover);
    this.switch = button(t("camera.switch"), "switch", () => this.#switch());
    this.stopping = button(t("camera.stop"), "stop", () => {
      this.stop();
      this.cover.querySelector("button")?.focus();
    });
    this.running = h(
      "div",
      { class: "actions camera-actions" },
      ...actions,
      this.switch,
      this.stopping,
    );
    this.files = h("p", { class: "camera-files" }, chooser, h("span", { class: "hint" }, dropText));
    element.append(this.view, this.running, this.files);
    this.#show("off");
    this.#onChange = onChange;
  }

  get isRunning() {
    return this.#stream !== null;
  }

  /** Start the camera. If that fails, the panel shows the problem. */
  async start() {
    if (!this.#mayStart()) return;
    this.#show("starting");
    try {
      if (!navigator.mediaDevices) throw new Problem("camera_insecure");
      const video = { ...RESOLUTION, facingMode: this.#facing };
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

  /** Take a photograph, and return it as a JPEG that is ready to send. */
  take() {
    this.view.classList.remove("flash");
    void this.view.offsetWidth; // restarts the animation of the flash
    this.view.classList.add("flash");
    return encodeJpeg(this.video, LONGEST_SIDE);
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
