// The service over HTTP. Whatever goes wrong is thrown as a Problem.

import { config } from "../config.js";
import * as access from "./access.js";
import { Problem } from "./problem.js";

export const INLINE_BYTES = 4 * 1024 * 1024;
export const STORED_BYTES = 15 * 1024 * 1024;

const PATIENCE = 20_000; // milliseconds for an answer
const UPLOAD_PATIENCE = 120_000; // the same with up to 15 MB to be sent
const TRIES = 3;
const WORTH_ANOTHER_TRY = new Set(["throttled", "service_unavailable"]);

/** Ask whose face a photograph shows, or with a personId whether it is that person's. */
export function verify(photograph, personId) {
  return call("verify", photograph, { personId });
}

/** Register a photograph of a person, who agreed to the text of a version. */
export function register(photograph, { name, personId }, consent) {
  return call("register", photograph, { name, personId, consent });
}

/** Have an upload allowed, for a photograph that is too large for a request. */
export function allowUpload({ name, personId }, consent, contentType) {
  return call("register", JSON.stringify({ name, personId, consent, contentType }));
}

/** Bring the index in line with one photograph; the answer says what came of it. */
export function index(imageKey) {
  return call("create-index", JSON.stringify({ imageKey }));
}

/** Send a photograph straight to S3, as an answer of allowUpload says. */
export async function upload(photograph, { url, fields }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", photograph);
  const response = await send(url, { body: form }, UPLOAD_PATIENCE);
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
      // A new key is asked for as often as one is refused: the dialog can be cancelled.
      if (problem.code === "key_refused") continue;
      if (attempt >= TRIES || !WORTH_ANOTHER_TRY.has(problem.code)) throw problem;
      await new Promise((wake) => setTimeout(wake, (problem.retryAfter ?? attempt) * 1000));
    }
  }
}

async function callOnce(url, body, type) {
  const key = await access.headers();
  const request = { body, headers: { "Content-Type": type, ...key } };
  const response = await send(url, request, PATIENCE).catch((problem) => {
    const isKey = problem.code === "unreachable" && access.doubted(key);
    throw isKey ? new Problem("unreachable_or_key") : problem;
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) {
    access.accepted();
    return answer;
  }
  if (access.isNeeded && [401, 403].includes(response.status)) {
    access.refused(key);
    throw new Problem("key_refused");
  }
  const { detail, personId } = answer; // of a problem, as the service describes it
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  throw new Problem(answer.code ?? codeOf(response.status), { detail, personId, retryAfter });
}

async function send(url, request, patience) {
  if (!navigator.onLine) throw new Problem("offline");
  const patienceEnds = new AbortController();
  const timer = setTimeout(() => patienceEnds.abort(new Problem("timeout")), patience);
  try {
    return await fetch(url, { method: "POST", signal: patienceEnds.signal, ...request });
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(navigator.onLine ? "unreachable" : "offline");
  } finally {
    clearTimeout(timer);
  }
}

/** Name what API Gateway answers by itself, which gives no code. */
function codeOf(status) {
  if (status === 401 || status === 403) return "forbidden";
  if (status === 413) return "image_too_large";
  if (status === 429) return "throttled";
  return [502, 503, 504].includes(status) ? "service_unavailable" : "internal";
}
