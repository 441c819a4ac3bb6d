// Addresses and pages: a link changes the address without loading the page anew.
import { html, useEffect, useState } from "./dom.js";

const watchers = new Set();

export function navigate(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  window.scrollTo(0, 0);
  for (const watcher of watchers) watcher();
}

/** Return the present path, and draw again when it changes. */
export function usePath() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const watcher = () => setPath(location.pathname);
    watchers.add(watcher);
    window.addEventListener("popstate", watcher);
    return () => {
      watchers.delete(watcher);
      window.removeEventListener("popstate", watcher);
    };
  }, []);
  return path;
}

/** Return a part of an address as text; as it is if it is none. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Return the page of a path, with the values of its `:names`; null if there is none. */
export function match(pages, path) {
  const parts = path.split("/");
  for (const page of pages) {
    const wanted = page.path.split("/");
    if (wanted.length !== parts.length) continue;
    const values = {};
    const fits = wanted.every((part, place) => {
      if (!part.startsWith(":")) return part === parts[place];
      values[part.slice(1)] = decoded(parts[place]);
      return parts[place] !== "";
    });
    if (fits) return { page, values };
  }
  return null;
}

/** A link within the console. */
export function Link({ href, children, ...rest }) {
  const follow = (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
  };
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}
