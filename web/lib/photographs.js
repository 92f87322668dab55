// Photographs as they are sent: upright, no larger than recognition needs, JPEG.

import { INLINE_BYTES, STORED_BYTES } from "./api.js";
import { Problem } from "./problem.js";

const LONGEST_SIDE = 1600; // pixels; more of them find and compare faces no better
const THUMBNAIL_SIDE = 480;
const QUALITY = 0.9;
const SIGNATURES = { "image/jpeg": [0xff, 0xd8, 0xff], "image/png": [0x89, 0x50, 0x4e, 0x47] };

/**
 * Prepare a file for sending: `{blob, thumbnail}`, the latter as a URL or null.
 *
 * The browser turns the picture by its EXIF orientation when it decodes it. With `asItIs` a JPEG
 * or PNG is left alone; so is one that this browser cannot decode, for the service to judge.
 */
export async function prepare(file, { asItIs = false } = {}) {
  const type = await typeOf(file);
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    if (!type) throw new Problem("unsupported_image");
  }
  try {
    const keep = type && (asItIs || !picture);
    const blob = keep ? file.slice(0, file.size, type) : await scaled(picture, LONGEST_SIDE);
    if (blob.size > STORED_BYTES) throw new Problem("image_too_large");
    const small = picture && (await scaled(picture, THUMBNAIL_SIDE));
    return { blob, thumbnail: small ? URL.createObjectURL(small) : null };
  } finally {
    picture?.close();
  }
}

/** Say whether a photograph is too large to be sent inside a request. */
export function needsUpload(blob) {
  return blob.size > INLINE_BYTES;
}

/** Say whether a file might be a photograph, judged by its name and what the browser says. */
export function looksLikePhotograph(file) {
  const hidden = file.name.startsWith(".");
  return !hidden && (file.type.startsWith("image/") || /\.(jpe?g|png|hei[cf])$/i.test(file.name));
}

/** Draw a picture with a longest side of so many pixels at most, and encode it as JPEG. */
export async function scaled(picture, longestSide) {
  const width = picture.videoWidth ?? picture.width;
  const height = picture.videoHeight ?? picture.height;
  const scale = Math.min(1, longestSide / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // behind a transparent PNG
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new Problem("unsupported_image")));
    canvas.toBlob(done, "image/jpeg", QUALITY);
  });
}

async function typeOf(file) {
  const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const fits = ([, signature]) => signature.every((byte, place) => start[place] === byte);
  return Object.entries(SIGNATURES).find(fits)?.[0];
}
