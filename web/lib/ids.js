// Person ids: which ones the service accepts, and suggestions for new ones.

const ALLOWED = /^[A-Za-z0-9_.-]{1,64}$/;

/** Return whether the service accepts a text as a person id. */
export function isPersonId(text) {
  return ALLOWED.test(text);
}

/** Suggest an id for a name. If the name has no Latin letters, build it from their code points. */
export function idFor(name) {
  const plain = name
    .trim()
    .normalize("NFKD")
    .replace(/\p{Mark}/gu, "")
    .toLowerCase();
  const latin = plain.replace(/[^a-z0-9_.]+/g, "-").replace(/^-+|-+$/g, "");
  const id =
    latin || [...name.trim()].map((letter) => letter.codePointAt(0).toString(36)).join("-");
  return id.slice(0, 64).replace(/-+$/, "");
}

/** Return the person id for a folder: its own name if that is a valid id, else a suggestion. */
export function idForFolder(name) {
  return isPersonId(name) ? name : idFor(name);
}

/** Return the next id in the series ada, ada-2, ada-3. */
export function nextId(id) {
  const [, stem, number] = id.match(/^(.*?)(?:-(\d+))?$/);
  const ending = `-${Number(number ?? 1) + 1}`;
  return stem.slice(0, 64 - ending.length) + ending;
}
