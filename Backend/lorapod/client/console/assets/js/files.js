// Files and folders that a person drops or chooses, and their way to the console's server.
import { postFile, postJson } from "./api.js";

const AT_ONCE = 4;
const REPEATS = /^\d+_/;

const entriesOf = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

async function walk(entry, above, found) {
  const path = above ? `${above}/${entry.name}` : entry.name;
  if (entry.isFile) {
    found.push({ path, file: await fileOf(entry) });
    return;
  }
  const reader = entry.createReader();
  // A reader gives its entries in parts, and an empty part at the end.
  for (let part = await entriesOf(reader); part.length; part = await entriesOf(reader)) {
    for (const each of part) await walk(each, path, found);
  }
}

/** Return the files of a drop, `{ path, file }` each, folders walked through. */
export async function droppedFiles(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // The transfer is empty once this function waits: everything is taken from it first.
  const taken = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const found = [];
  for (const { entry, file } of taken) {
    if (entry) await walk(entry, "", found);
    else if (file) found.push({ path: file.name, file });
  }
  return found;
}

/** Have the browser save what a link of the console leads to; a link that fails leaves the page where it is. */
export function save(url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  link.click();
}

export const chosenFiles = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** Return the files without a folder that all are in, and its name; a folder such as `10_cat` says repeats and stays. */
export function withoutTop(files) {
  const top = files[0]?.path.split("/")[0];
  const shared = files.length > 0 && files.every(({ path }) => path.startsWith(`${top}/`));
  if (!shared) return { files, name: files.length === 1 ? files[0].path.replace(/\.[^.]*$/, "") : "" };
  if (REPEATS.test(top)) return { files, name: top.replace(REPEATS, "") };
  return { files: files.map(({ path, file }) => ({ path: path.slice(top.length + 1), file })), name: top };
}

/** Send files to the console's server; those that it has are left out. Return the names that are not for a dataset. */
export async function stage(name, files, onProgress) {
  const base = `/api/datasets/${encodeURIComponent(name)}/upload`;
  const plan = await postJson(`${base}/plan`, { files: files.map(({ path, file }) => ({ path, size_bytes: file.size })) });
  const wanted = new Set(plan.wanted);
  const queue = files.filter(({ path }) => wanted.has(path));
  const total = queue.length + plan.present.length;
  let done = plan.present.length;
  if (!total) return { total, skipped: plan.skipped };
  const send = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      await postFile(`${base}/file?path=${encodeURIComponent(next.path)}`, next.file);
      done += 1;
      onProgress(done, total);
    }
  };
  onProgress(done, total);
  await Promise.all(Array.from({ length: AT_ONCE }, send));
  return { total, skipped: plan.skipped };
}
