// Person ids, as the service allows them.

const ALLOWED = /^[A-Za-z0-9_.-]{1,64}$/;

export function isPersonId(text) {
  return ALLOWED.test(text);
}

/** Offer an id for a name; a name in a script without Latin letters gets the letters' codes. */
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

/** Return the id that a folder of a person stands for: its own name, if that is one. */
export function idForFolder(name) {
  return isPersonId(name) ? name : idFor(name);
}

/** Return the next id like this one: ada, ada-2, ada-3. */
export function nextId(id) {
  const [, stem, number] = id.match(/^(.*?)(?:-(\d+))?$/);
  const ending = `-${Number(number ?? 1) + 1}`;
  return stem.slice(0, 64 - ending.length) + ending;
}
