// Files and folders, dropped or chosen.

import { looksLikePhotograph } from "./photographs.js";

/**
 * Read what was dropped: `{files, people}`, where people are folders as `{name, files}`.
 *
 * A folder that holds only folders holds people; one with photographs in it is a person.
 */
export async function dropped(transfer) {
  // The transfer is emptied as soon as this function waits, so all is taken out first.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return grouped(found);
}

/** Read what was chosen with an input, for files or for a folder. */
export function chosen(input) {
  const found = [...input.files].map((file) => ({
    path: file.webkitRelativePath || file.name,
    file,
  }));
  input.value = ""; // so that the same can be chosen again
  return grouped(found);
}

async function walk(entry, folder, found) {
  if (entry instanceof File) {
    found.push({ path: entry.name, file: entry });
  } else if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ path: `${folder}${entry.name}`, file });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      // A directory is read in parts: the last is empty.
      const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!part.length) return;
      for (const child of part) await walk(child, `${folder}${entry.name}/`, found);
    }
  }
}

function grouped(found) {
  const files = [];
  const folders = new Map();
  for (const { path, file } of found.sort((a, b) => a.path.localeCompare(b.path))) {
    if (!looksLikePhotograph(file)) continue;
    const name = path.split("/").at(-2);
    if (!name) files.push(file);
    else if (folders.has(name)) folders.get(name).push(file);
    else folders.set(name, [file]);
  }
  return { files, people: [...folders].map(([name, members]) => ({ name, files: members })) };
}

/** Let photographs be dropped anywhere on the page. */
export function acceptDrops(onDrop) {
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (on) => document.documentElement.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && mark(false));
  addEventListener("drop", async (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    mark(false);
    onDrop(await dropped(event.dataTransfer));
  });
}
