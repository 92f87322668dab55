// Calls to the service over HTTP. Every function throws a Problem when it fails.

import { config } from "../config.js";
import * as access from "./access.js";
import { Problem } from "./problem.js";

export const INLINE_BYTES = 4 * 1024 * 1024;
export const STORED_BYTES = 15 * 1024 * 1024;

const TIMEOUT = 20_000; // milliseconds
const UPLOAD_TIMEOUT = 120_000; // milliseconds, for up to 15 MB
const MAX_ATTEMPTS = 3;
const RETRYABLE = new Set(["throttled", "service_unavailable"]);

/** Ask whose face a photograph shows or, with a personId, whether it is that person's face. */
export function verify(photograph, personId) {
  return call("verify", photograph, { personId });
}

/** Register a photograph of a person. `consent` is the version of the text they agreed to. */
export function register(photograph, { name, personId }, consent) {
  return call("register", photograph, { name, personId, consent });
}

/** Request the permission to upload a photograph that is too large for `register`. */
export function allowUpload({ name, personId }, consent, contentType) {
  return call("register", JSON.stringify({ name, personId, consent, contentType }));
}

/** Index one stored photograph, and return the report. */
export function index(imageKey) {
  return call("create-index", JSON.stringify({ imageKey }));
}

/** Upload a photograph to S3, with the url and the fields that `allowUpload` returned. */
export async function upload(photograph, { url, fields }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", photograph);
  const response = await send(url, { body: form }, UPLOAD_TIMEOUT);
  if (!response.ok) throw new Problem("upload_failed");
}

async function call(path, body, fields = {}) {
  const given = Object.entries(fields).filter(([, value]) => value);
  const url = `${config.apiUrl}/${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
  const type = body instanceof Blob ? body.type : "application/json";
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await callOnce(url, body, type);
    } catch (problem) {
      // After a rejected key the dialog asks for a new one, without limit: the user can cancel it.
      if (problem.code === "key_rejected") continue;
      if (attempt >= MAX_ATTEMPTS || !RETRYABLE.has(problem.code)) throw problem;
      await new Promise((wake) => setTimeout(wake, (problem.retryAfter ?? attempt) * 1000));
    }
  }
}

async function callOnce(url, body, type) {
  const authorization = await access.headers();
  const request = { body, headers: { "Content-Type": type, ...authorization } };
  const response = await send(url, request, TIMEOUT).catch((problem) => {
    const isDoubtful =
      problem.code === "unreachable" && access.rejectDoubtfulKey(authorization);
    throw isDoubtful ? new Problem("unreachable_or_key") : problem;
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) {
    access.acceptKey();
    return answer;
  }
  if (access.isNeeded && [401, 403].includes(response.status)) {
    access.rejectKey(authorization);
    throw new Problem("key_rejected");
  }
  const { detail, personId } = answer; // the service answers with problem details
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  throw new Problem(answer.code ?? codeOf(response.status), { detail, personId, retryAfter });
}

async function send(url, request, timeout) {
  if (!navigator.onLine) throw new Problem("offline");
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Problem("timeout")), timeout);
  try {
    return await fetch(url, { method: "POST", signal: controller.signal, ...request });
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(navigator.onLine ? "unreachable" : "offline");
  } finally {
    clearTimeout(timer);
  }
}

/** Return a code for a status of API Gateway, whose own answers have no code. */
function codeOf(status) {
  if (status === 401 || status === 403) return "forbidden";
  if (status === 413) return "image_too_large";
  if (status === 429) return "throttled";
  return [502, 503, 504].includes(status) ? "service_unavailable" : "internal";
}
