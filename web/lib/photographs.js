// Prepare photographs for sending: upright, as JPEG, and no larger than recognition needs.

import { INLINE_BYTES, STORED_BYTES } from "./api.js";
import { Problem } from "./problem.js";

export const LONGEST_SIDE = 1600; // pixels; larger photographs do not give better results
const THUMBNAIL_SIDE = 480;
const QUALITY = 0.9;
const SIGNATURES = { "image/jpeg": [0xff, 0xd8, 0xff], "image/png": [0x89, 0x50, 0x4e, 0x47] };

/**
 * Prepare a file for sending. Return `{blob, thumbnail}`; the thumbnail is a URL or null.
 *
 * The browser applies the EXIF orientation when it decodes the picture. With `asItIs`, a JPEG or
 * PNG stays unchanged. So does a JPEG or PNG that the browser cannot decode: the service decides
 * about it.
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
    const blob = keep ? file.slice(0, file.size, type) : await encodeJpeg(picture, LONGEST_SIDE);
    if (blob.size > STORED_BYTES) throw new Problem("image_too_large");
    const small = picture && (await encodeJpeg(picture, THUMBNAIL_SIDE));
    return { blob, thumbnail: small ? URL.createObjectURL(small) : null };
  } finally {
    picture?.close();
  }
}

/** Return whether a photograph is too large for a request, and has to be uploaded to S3. */
export function needsUpload(blob) {
  return blob.size > INLINE_BYTES;
}

/** Return whether a file may be a photograph, judged by its name and media type. */
export function looksLikePhotograph(file) {
  const hidden = file.name.startsWith(".");
  return !hidden && (file.type.startsWith("image/") || /\.(jpe?g|png|hei[cf])$/i.test(file.name));
}

/** Scale a picture or video frame to at most `longestSide` pixels, and encode it as JPEG. */
export async function encodeJpeg(picture, longestSide) {
  const width = picture.videoWidth ?? picture.width;
  const height = picture.videoHeight ?? picture.height;
  const scale = Math.min(1, longestSide / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // the background of a transparent PNG
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
