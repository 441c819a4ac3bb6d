// At which sizes the images are trained, for a resolution of the training.
import { html, useState } from "../dom.js";
import { Cost, isAsking, sendAsk } from "./ask.js";
import { t } from "../strings.js";

const SHOWN = 12;

export function Buckets({ view, path }) {
  const { buckets = [], resolution = [1024] } = view.page;
  const [text, setText] = useState(resolution.join(", "));
  const [problem, setProblem] = useState(null);
  const ask = (event) => {
    event.preventDefault();
    const wanted = text.split(/[\s,]+/).filter(Boolean).map(Number);
    sendAsk(`${path}/ask`, path, { resolution: wanted }).then(() => setProblem(null), (error) => setProblem(error.message));
  };
  const most = Math.max(1, ...buckets.map((one) => one.count));
  return html`
    <section class="panel" aria-labelledby="buckets"><h2 id="buckets">${t.dataset.buckets}</h2>
      <form class="controls" onSubmit=${ask}><label class="field">${t.dataset.bucketsNote}<input type="text" inputmode="numeric" pattern="[0-9, ]+" required size="10" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
        <button type="submit" disabled=${isAsking(view.ask)}>${t.dataset.bucketsAsk}<${Cost} reads=${true} /></button></form>
      ${problem && html`<p class="bad" role="alert">${problem}</p>`}
      ${buckets.length
        ? html`<ul class="buckets">${buckets.slice(0, SHOWN).map((one) => html`<li key=${`${one.width}x${one.height}`}><span>${one.width} × ${one.height}</span><progress max=${most} value=${one.count} aria-label=${t.dataset.bucket(one.width, one.height, one.count)}></progress><span>${one.count}</span></li>`)}</ul>`
        : html`<p class="faint">${t.dataset.bucketsNone}</p>`}
    </section>`;
}
