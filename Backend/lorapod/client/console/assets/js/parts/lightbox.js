// One image in full size; the arrow keys go to the one before and after it.
import { classes, html, useState } from "../dom.js";
import { contentUrl } from "../api.js";
import { Dialog } from "./dialog.js";
import { t } from "../strings.js";

/**
 * @param frames `[{ label, picture }]` in their order; those without an image are passed over
 * @param first the digest that is shown first
 */
export function Lightbox({ title, frames, first, onClose }) {
  const shown = frames.filter((frame) => frame.picture);
  const [place, setPlace] = useState(Math.max(0, shown.findIndex((frame) => frame.picture === first)));
  const [parted, setParted] = useState(null);
  const frame = shown[place];
  const go = (move) => setPlace((at) => Math.max(0, Math.min(shown.length - 1, at + move)));
  const keys = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!move || event.target.type === "range") return;
    event.preventDefault();
    go(move);
  };
  const before = shown[0];
  return html`
    <${Dialog} title=${title} onClose=${onClose} class="lightbox">
      <div class="lightbox-top" onKeyDown=${keys}>
        <p class="clamp" title=${title}>${title}</p>
        <button type="button" class="icon" aria-label=${t.samples.close} onClick=${onClose} autofocus>✕</button>
      </div>
      <div class="stage">
        <img src=${contentUrl(frame.picture)} alt=${t.samples.atStep(title, frame.label)} />
        ${parted !== null && html`
          <img class="over" src=${contentUrl(before.picture)} alt="" style=${{ clipPath: `inset(0 ${100 - parted}% 0 0)` }} />
          <span class="divider" style=${{ left: `${parted}%` }} aria-hidden="true"></span>
          <span class="tag left">${before.label}</span><span class="tag right">${frame.label}</span>`}
      </div>
      <div class="controls" onKeyDown=${keys}>
        <button type="button" onClick=${() => go(-1)} disabled=${place === 0}>‹ ${t.samples.previous}</button>
        <output>${frame.label}</output>
        <button type="button" onClick=${() => go(1)} disabled=${place === shown.length - 1}>${t.samples.next} ›</button>
        ${shown.length > 1 && html`<button type="button" class=${classes(parted !== null && "pressed")} aria-pressed=${parted !== null} onClick=${() => setParted(parted === null ? 50 : null)}>${t.samples.change}</button>`}
        ${parted !== null && html`<input type="range" min="0" max="100" value=${parted} aria-label=${t.samples.divider} onInput=${(event) => setParted(Number(event.target.value))} />`}
      </div>
    </${Dialog}>`;
}
