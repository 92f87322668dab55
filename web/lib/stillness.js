// Detect when somebody holds still in front of the camera, to check them automatically.
//
// The detector compares small greyscale pictures, several per second. A check is due when the
// picture has been still for a while and differs from the picture that was checked last.

export const INTERVAL = 200; // milliseconds between two pictures
const STILL_PICTURES = 3; // number of still pictures in a row before a check
const [WIDTH, HEIGHT] = [32, 24];

// Mean difference between two pictures, on the scale of grey values, 0 to 255.
const NOISE = 6; // below this, the difference is noise of the camera
const CHANGE = 14; // from here on, the picture shows somebody or something else

/** Decides after each picture whether a check is due. */
export class StillnessDetector {
  #last = null;
  #checked = null;
  #stillPictures = 0;

  /**
   * Process the grey values of the next picture.
   *
   * Return "check" if a check is due, "left" if the checked person has left, else undefined.
   */
  update(grey) {
    const isStill = this.#last !== null && difference(grey, this.#last) < NOISE;
    this.#last = grey;
    this.#stillPictures = isStill ? this.#stillPictures + 1 : 0;
    if (this.#checked && difference(grey, this.#checked) >= CHANGE) {
      this.#checked = null;
      return "left";
    }
    if (this.#checked || this.#stillPictures < STILL_PICTURES) return undefined;
    this.#checked = grey;
    return "check";
  }

  /** Make the next still picture due for a check, even if it shows the same person. */
  reset() {
    this.#checked = null;
    this.#stillPictures = 0;
  }
}

const canvas = document.createElement("canvas");
canvas.width = WIDTH;
canvas.height = HEIGHT;
const context = canvas.getContext("2d", { willReadFrequently: true });

/** Return the current picture of a video as grey values, scaled down. */
export function greyValues(video) {
  context.drawImage(video, 0, 0, WIDTH, HEIGHT);
  const { data } = context.getImageData(0, 0, WIDTH, HEIGHT);
  const values = new Float32Array(WIDTH * HEIGHT);
  for (let i = 0; i < values.length; i += 1) {
    values[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
  }
  return values;
}

function difference(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i += 1) sum += Math.abs(one[i] - other[i]);
  return sum / one.length;
}
