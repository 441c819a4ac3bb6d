// What the pages have read from the server, by path: shown at once when a page is opened again, and read anew behind it.
import { useEffect, useState } from "./dom.js";
import { getJson } from "./api.js";

const entries = new Map();

function entryOf(path) {
  if (!entries.has(path)) entries.set(path, { data: undefined, error: null, reading: null, watchers: new Set() });
  return entries.get(path);
}

/** Read a path anew; everything on the page that shows it is drawn again. */
export function refresh(path) {
  const entry = entryOf(path);
  entry.reading ??= getJson(path)
    .then((data) => Object.assign(entry, { data, error: null }))
    // What the server no longer knows was deleted; after another error, what was known is still shown.
    .catch((error) => Object.assign(entry, { error }, error.code === "not_found" && { data: undefined }))
    .finally(() => {
      entry.reading = null;
      for (const watcher of entry.watchers) watcher();
    });
  return entry.reading;
}

/**
 * Return `{ data, error }` of a path, kept up to date every `everyMs` while the tab is visible; 0: read once.
 * `everyMs` may be a function of the data, or of the error while there is none, so that what has ended is asked for no more.
 */
export function useResource(path, everyMs = 0) {
  const [, redraw] = useState(0);
  const entry = entryOf(path);
  const period = typeof everyMs === "function" ? everyMs(entry.data ?? entry.error) : everyMs;
  useEffect(() => {
    const watcher = () => redraw((count) => count + 1);
    entry.watchers.add(watcher);
    refresh(path);
    return () => entry.watchers.delete(watcher);
  }, [path]);
  useEffect(() => {
    if (!period) return undefined;
    let timer = setInterval(() => document.hidden || refresh(path), period);
    const seen = () => document.hidden || refresh(path);
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, period]);
  return { data: entry.data, error: entry.error };
}

// Choices of this tab, such as "live" for a training; they end with it, so that no tab asks workers unseen.
export function useChoice(name, initial) {
  const stored = sessionStorage.getItem(name);
  const [value, setValue] = useState(stored === null ? initial : JSON.parse(stored));
  const choose = (next) => {
    sessionStorage.setItem(name, JSON.stringify(next));
    setValue(next);
  };
  return [value, choose];
}
