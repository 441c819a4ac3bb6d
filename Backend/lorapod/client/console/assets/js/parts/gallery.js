// A gallery of any length: only what is near the window is in the document.
import { classes, Component, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../dom.js";
import { contentUrl } from "../api.js";
import { t } from "../strings.js";

/** As many images as the document may hold. */
const MOST = 280;
const GAP_REM = 0.875;
const WORDS_REM = 3.4375;
const NARROWEST_REM = 9.5;

/** Return the columns, the height of a row and how many rows fit the window, in pixels. */
function measure(width, height) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const gap = GAP_REM * rem;
  for (let least = width < 30 * rem ? 7.5 * rem : NARROWEST_REM * rem; ; least *= 1.25) {
    const columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
    const side = (width - gap * (columns - 1)) / columns;
    const row = side + WORDS_REM * rem + gap;
    const rows = Math.ceil(height / row) + 1;
    if (columns * rows <= MOST || columns === 2) return { columns, row, rows, gap };
  }
}

function useGrid(frame, count) {
  const [grid, setGrid] = useState(null);
  const [first, setFirst] = useState(0);
  useLayoutEffect(() => {
    const resize = () => frame.current && setGrid(measure(frame.current.clientWidth, window.innerHeight));
    const observer = new ResizeObserver(resize);
    observer.observe(frame.current);
    window.addEventListener("resize", resize);
    resize();
    return () => {
      observer.disconnect();
      window.removeEventListener("resize", resize);
    };
  }, []);
  const spare = grid ? Math.max(0, Math.min(grid.rows, Math.floor((MOST / grid.columns - grid.rows) / 2))) : 0;
  useEffect(() => {
    if (!grid) return undefined;
    const look = () => {
      // A scroll that a page's end causes may come after the gallery is gone.
      const above = Math.max(0, -(frame.current?.getBoundingClientRect().top ?? 0));
      setFirst(Math.max(0, Math.floor(above / grid.row) - spare));
    };
    look();
    window.addEventListener("scroll", look, { passive: true });
    return () => window.removeEventListener("scroll", look);
  }, [grid, spare]);
  if (!grid) return null;
  const all = Math.ceil(count / grid.columns);
  const shown = grid.rows + 2 * spare;
  const from = Math.max(0, Math.min(first, all - shown));
  return { ...grid, all, from: from * grid.columns, to: Math.min(count, (from + shown) * grid.columns), top: from * grid.row };
}

const label = (flag) => t.dataset.flags[flag.split(":")[0]] ?? flag;
/** A caption of ten thousand letters costs time to lay out, and shows no more than its beginning. */
const beginning = (text) => (text.length > 160 ? `${text.slice(0, 160)}…` : text);

/** Drawn anew only if something about it has changed: while a person scrolls, most tiles stay as they are. */
class Tile extends Component {
  shouldComponentUpdate(next) {
    return ["item", "place", "count", "draft", "selected", "active"].some((name) => next[name] !== this.props[name]);
  }

  render({ item, place, count, draft, selected, active, act }) {
    const caption = draft ?? item.caption;
    const flags = item.flags.filter((flag) => !flag.endsWith("_caption"));
    return html`
      <div class=${classes("tile", selected && "on")} role="listitem" aria-posinset=${place + 1} aria-setsize=${count}>
        <button type="button" data-place=${place} tabindex=${active ? 0 : -1} aria-label=${t.dataset.openItem(item.name.slice(0, 80), beginning(caption))} onClick=${() => act.current.onOpen(place)}>
          ${item.picture
            ? html`<span class="square"><img src=${contentUrl(item.picture)} alt="" decoding="async" /></span>`
            : html`<span class="square blank">${item.name.slice(0, 60)}</span>`}
          <span class=${classes("words", !caption && "lack")} dir="auto">${beginning(caption) || t.dataset.noCaption}</span>
        </button>
        <label class="pickbox"><span class="spoken">${t.dataset.select(item.name.slice(0, 80))}</span><input type="checkbox" checked=${selected} tabindex=${active ? 0 : -1} onClick=${(event) => act.current.onSelect(place, event.shiftKey)} /></label>
        <span class="flags">${draft !== undefined && html`<span class="tag new">${t.dataset.draft}</span>`}
          ${flags.slice(0, 2).map((flag) => html`<span key=${flag} class="tag warn clip">${label(flag)}</span>`)}${flags.length > 2 && html`<span class="tag">+${flags.length - 2}</span>`}</span>
      </div>`;
  }
}

/**
 * @param items what is shown, in order
 * @param drafts captions that are not saved, by name
 * @param selected names
 * @param onOpen called with the place of an item
 * @param onSelect called with a place, and whether the range from the last one is meant
 */
export function Gallery({ items, drafts, selected, onOpen, onSelect }) {
  const frame = useRef(null);
  const grid = useGrid(frame, items.length);
  const [active, setActive] = useState(0);
  const wanted = useRef(null);
  const act = useRef(null);
  act.current = { onOpen, onSelect };
  const shown = useMemo(() => (grid ? items.slice(grid.from, grid.to) : []), [items, grid?.from, grid?.to]);
  useLayoutEffect(() => {
    const tile = wanted.current !== null && frame.current.querySelector(`[data-place="${wanted.current}"]`);
    if (!tile) return;
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
    wanted.current = null;
  });
  const go = (event) => {
    const { columns, row } = grid;
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -items.length, End: items.length }[event.key];
    if (!move || event.target.type === "checkbox") return;
    event.preventDefault();
    const next = Math.max(0, Math.min(items.length - 1, active + move));
    wanted.current = next;
    setActive(next);
    if (next >= grid.from && next < grid.to) return;
    const top = frame.current.getBoundingClientRect().top + window.scrollY + Math.floor(next / columns) * row;
    window.scrollTo(0, top - window.innerHeight / 2);
  };
  const here = grid ? Math.max(grid.from, Math.min(active, grid.to - 1)) : 0;
  return html`
    <div class="gallery" ref=${frame} role="list" aria-label=${t.dataset.items} style=${{ height: grid ? `${grid.all * grid.row}px` : "50vh" }} onKeyDown=${go}
      onFocusIn=${(event) => event.target.dataset.place && setActive(Number(event.target.dataset.place))}>
      ${grid && html`<div class="tiles" role="presentation" style=${{ transform: `translateY(${grid.top}px)`, gridTemplateColumns: `repeat(${grid.columns}, minmax(0, 1fr))`, gridAutoRows: `${grid.row - grid.gap}px` }}>
        ${shown.map((item, index) => html`<${Tile} key=${item.name} item=${item} place=${grid.from + index} count=${items.length} draft=${drafts.get(item.name)} selected=${selected.has(item.name)} active=${here === grid.from + index} act=${act} />`)}
      </div>`}
    </div>`;
}
