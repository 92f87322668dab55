// Read the files and folders that the user dropped or chose.

import { looksLikePhotograph } from "./photographs.js";

/**
 * Return the dropped photographs as `{files, people}`. A person is a folder: `{name, files}`.
 *
 * Every folder that contains photographs is a person. Folders that contain only folders are not.
 */
export async function readDropped(transfer) {
  // The browser empties the transfer at the first await, so take out all entries before that.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const found = [];
  for (const entry of entries) await collectFiles(entry, "", found);
  return groupByFolder(found);
}

/** Return the photographs chosen with an input for files or folders, as `{files, people}`. */
export function readChosen(input) {
  const found = [...input.files].map((file) => ({
    path: file.webkitRelativePath || file.name,
    file,
  }));
  input.value = ""; // otherwise, choosing the same files again would not fire an event
  return groupByFolder(found);
}

async function collectFiles(entry, folder, found) {
  if (entry instanceof File) {
    found.push({ path: entry.name, file: entry });
  } else if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ path: `${folder}${entry.name}`, file });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      // readEntries returns the entries in batches. The last batch is empty.
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return;
      for (const child of batch) await collectFiles(child, `${folder}${entry.name}/`, found);
    }
  }
}

function groupByFolder(found) {
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

/** Accept photographs dropped anywhere on the page, and call `onDrop` with them. */
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
    onDrop(await readDropped(event.dataTransfer));
  });
}
