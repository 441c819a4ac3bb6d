// Captions that were typed and not saved: kept in this browser, by dataset and item.
import { useEffect, useState } from "./dom.js";

const watchers = new Set();
const stores = new Map();
const key = (dataset) => `captions:${dataset}`;

/** Return `texts` and `sizes` by item; an image of another size is another image, for which the text was not typed. */
function storeOf(dataset) {
  if (!stores.has(dataset)) {
    const [texts, sizes] = [new Map(), new Map()];
    try {
      for (const [name, [text, size]] of JSON.parse(localStorage.getItem(key(dataset)) ?? "[]")) {
        texts.set(name, text);
        sizes.set(name, size);
      }
    } catch {
      // What is kept there is not from this console.
    }
    stores.set(dataset, { texts, sizes });
  }
  return stores.get(dataset);
}

function keep(dataset) {
  const { texts, sizes } = storeOf(dataset);
  try {
    if (texts.size) localStorage.setItem(key(dataset), JSON.stringify([...texts].map(([name, text]) => [name, [text, sizes.get(name)]])));
    else localStorage.removeItem(key(dataset));
  } catch {
    // The browser keeps no more: the drafts live as long as this tab.
  }
  for (const watcher of watchers) watcher();
}

/**
 * Return the drafts of a dataset, `write(item, text)` and `clear()`; a draft that says what is saved goes away, and so does
 * one of an image that is gone.
 *
 * @param dataset what tells the dataset from one that had its name before
 * @param items what is known of it
 * @param whole whether there are no other items
 */
export function useDrafts(dataset, items, whole) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const watcher = () => redraw((count) => count + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  const { texts, sizes } = storeOf(dataset);
  useEffect(() => {
    if (!items.length || !texts.size) return;
    const known = new Map(items.map((item) => [item.name, item]));
    const over = [...texts].filter(([name, text]) => {
      const item = known.get(name);
      return item ? text.trim() === item.caption.trim() || sizes.get(name) !== item.size_bytes : whole;
    });
    if (!over.length) return;
    for (const [name] of over) texts.delete(name);
    keep(dataset);
  }, [dataset, items, whole]);
  const write = (item, text) => {
    if (text === item.caption) texts.delete(item.name);
    else texts.set(item.name, text);
    sizes.set(item.name, item.size_bytes);
    keep(dataset);
  };
  const clear = () => {
    texts.clear();
    keep(dataset);
  };
  return { drafts: texts, write, clear };
}
