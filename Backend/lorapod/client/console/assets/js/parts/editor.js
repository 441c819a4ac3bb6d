// The caption of one item beside its image; the keyboard goes through all of them.
import { html, useEffect, useRef } from "../dom.js";
import { contentUrl } from "../api.js";
import { bytes } from "../format.js";
import { Dialog } from "./dialog.js";
import { t } from "../strings.js";

const MOVES = { PageUp: -1, PageDown: 1 };
const words = (text) => text.trim().split(/\s+/).filter(Boolean).length;

export function CaptionEditor({ items, place, draft, onMove, onWrite, onClose, children }) {
  const item = items[place];
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  const text = draft ?? item.caption;
  const move = (by) => onMove(Math.max(0, Math.min(items.length - 1, place + by)));
  const keys = (event) => {
    const by = event.ctrlKey && event.key === "Enter" ? 1 : MOVES[event.key];
    if (!by) return;
    event.preventDefault();
    move(by);
  };
  const size = [item.width && `${item.width} × ${item.height}`, bytes(item.size_bytes)].filter(Boolean).join(" · ");
  return html`
    <${Dialog} title=${t.editor.title(item.name.slice(0, 80))} onClose=${onClose} class="editor">
      <div onKeyDown=${keys}>
        <div class="editor-top"><div><h2 dir="auto" title=${item.name}>${item.name}</h2><p class="faint">${size}</p></div>
          <button type="button" class="icon" aria-label=${t.editor.close} onClick=${onClose}>✕</button></div>
        <div class="editor-body">
          <div class="frame-wide">${item.picture ? html`<img src=${contentUrl(item.picture)} alt=${item.name.slice(0, 80)} />` : html`<p class="faint">${t.editor.noPicture}</p>`}</div>
          <div class="side">
            <textarea ref=${field} dir="auto" aria-label=${t.editor.caption} placeholder=${t.editor.caption} spellcheck="true" value=${text} onInput=${(event) => onWrite(item, event.target.value)}></textarea>
            <p class="row faint"><span>${t.editor.words(words(text))}</span>${item.flags.map((flag) => html`<span key=${flag} class="tag warn clip" title=${flag}>${t.dataset.flags[flag.split(":")[0]] ?? flag}</span>`)}
              ${draft !== undefined && html`<button type="button" onClick=${() => onWrite(item, item.caption)}>${t.editor.revert}</button>`}</p>
            <div class="controls"><button type="button" onClick=${() => move(-1)} disabled=${place === 0}>‹ ${t.editor.previous}</button><output aria-live="polite">${t.editor.place(place + 1, items.length)}</output>
              <button type="button" onClick=${() => move(1)} disabled=${place === items.length - 1}>${t.editor.next} ›</button></div>
            <p class="faint">${t.editor.keys}</p>
            ${children}
          </div>
        </div>
      </div>
    </${Dialog}>`;
}
