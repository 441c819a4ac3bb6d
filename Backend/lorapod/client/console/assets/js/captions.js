// Captions that were typed and not saved: kept in this browser, by dataset and item.
import { useEffect, useState } from "./dom.js";

const watchers = new Set();
const stores = new Map();
const key = (dataset) => `captions:${dataset}`;

function storeOf(dataset) {
  if (!stores.has(dataset)) {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(key(dataset)) ?? "{}");
    } catch {
      kept = {};
    }
    stores.set(dataset, new Map(Object.entries(kept)));
  }
  return stores.get(dataset);
}

function keep(dataset) {
  const drafts = storeOf(dataset);
  try {
    if (drafts.size) localStorage.setItem(key(dataset), JSON.stringify(Object.fromEntries(drafts)));
    else localStorage.removeItem(key(dataset));
  } catch {
    // The browser keeps no more: the drafts live as long as this tab.
  }
  for (const watcher of watchers) watcher();
}

/** Return the drafts of a dataset, `write(item, text)` and `clear()`; a draft that says what is saved goes away. */
export function useDrafts(dataset, items) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const watcher = () => redraw((count) => count + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  const drafts = storeOf(dataset);
  useEffect(() => {
    const saved = items.filter((item) => drafts.get(item.name)?.trim() === item.caption.trim());
    if (!saved.length) return;
    for (const item of saved) drafts.delete(item.name);
    keep(dataset);
  }, [dataset, items]);
  const write = (item, text) => {
    if (text === item.caption) drafts.delete(item.name);
    else drafts.set(item.name, text);
    keep(dataset);
  };
  const clear = () => {
    drafts.clear();
    keep(dataset);
  };
  return { drafts, write, clear };
}
