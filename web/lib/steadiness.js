// When to check by itself: somebody has come before the camera and holds still.
//
// Only the pixels are looked at: small grey pictures, several a second. A check is due when the
// picture has been still for a while and is another than the one that was checked last.

export const EVERY = 200; // milliseconds between two looks
const STILL_FOR = 3; // looks
const STILL = 6; // mean difference of two looks in a row, of 255, that noise of a camera makes
const ANOTHER = 14; // mean difference from the checked picture, from which on it is another
const [WIDTH, HEIGHT] = [32, 24];

/** Tells from one look after another when a check is due. */
export class Steadiness {
  #last = null;
  #checked = null;
  #stillFor = 0;

  /** Take a look (grey values); say "check", "left" (who was checked) or nothing. */
  look(grey) {
    const isStill = this.#last !== null && difference(grey, this.#last) < STILL;
    this.#last = grey;
    this.#stillFor = isStill ? this.#stillFor + 1 : 0;
    if (this.#checked && difference(grey, this.#checked) >= ANOTHER) {
      this.#checked = null;
      return "left";
    }
    if (this.#checked || this.#stillFor < STILL_FOR) return undefined;
    this.#checked = grey;
    return "check";
  }

  /** Have the next still picture checked, whatever was before. */
  forget() {
    this.#checked = null;
    this.#stillFor = 0;
  }
}

const canvas = document.createElement("canvas");
canvas.width = WIDTH;
canvas.height = HEIGHT;
const context = canvas.getContext("2d", { willReadFrequently: true });

/** Look at a video: its grey values, small. */
export function grey(video) {
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
