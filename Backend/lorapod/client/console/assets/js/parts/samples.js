// Samples as prompt by step: one step at a time, before and after, or all of them.
import { html, useMemo, useState } from "../dom.js";
import { Lightbox } from "./lightbox.js";
import { Picture } from "./picture.js";
import { integer } from "../format.js";
import { t } from "../strings.js";

const stepLabel = (step) => t.samples.stepOf(integer(step));

/** Return the samples by prompt, and all steps in order. */
function rowsOf(samples) {
  const rows = new Map();
  for (const sample of samples) {
    if (!rows.has(sample.index)) rows.set(sample.index, { index: sample.index, prompt: sample.prompt, byStep: new Map() });
    rows.get(sample.index).byStep.set(sample.step, sample);
  }
  const steps = [...new Set(samples.map((sample) => sample.step))].sort((one, other) => one - other);
  return { rows: [...rows.values()].sort((one, other) => one.index - other.index), steps };
}

function Frame({ row, step, label = stepLabel(step), open, side }) {
  const sample = row.byStep.get(step);
  const alt = t.samples.atStep(row.prompt || t.samples.prompt(row.index + 1), stepLabel(step));
  const picture = html`<${Picture} digest=${sample?.picture} side=${side} alt=${alt} missing=${t.samples.missing} />`;
  return html`
    <figure class="frame">
      ${sample?.picture ? html`<button type="button" class="open" onClick=${() => open(row, sample.picture)}>${picture}</button>` : picture}
      <figcaption>${label}</figcaption>
    </figure>`;
}

function framesOf(view, row, steps, step, open) {
  if (view === "all") return steps.map((one) => html`<${Frame} key=${one} row=${row} step=${one} open=${open} side=${192} />`);
  const now = html`<${Frame} key="now" row=${row} step=${step} open=${open} />`;
  if (view === "one") return now;
  return [html`<${Frame} key="before" row=${row} step=${steps[0]} label=${`${stepLabel(steps[0])}, ${t.samples.before}`} open=${open} />`, now];
}

export function Samples({ samples }) {
  const { rows, steps } = useMemo(() => rowsOf(samples), [samples]);
  const [chosen, setChosen] = useState(null);
  const [view, setView] = useState("one");
  const [shown, setShown] = useState(null);
  if (!rows.length) return html`<p class="faint">${t.training.samplesNone}</p>`;
  // Without a choice the newest step is followed.
  const place = chosen === null ? steps.length - 1 : Math.min(chosen, steps.length - 1);
  const choose = (next) => setChosen(next >= steps.length - 1 ? null : Math.max(0, next));
  const open = (row, picture) => setShown({ row, picture });
  return html`
    <div class="controls samples-controls">
      <span class="segments" role="group" aria-label=${t.samples.views}>
        ${["one", "change", "all"].map((name) => html`<button key=${name} type="button" aria-pressed=${view === name} onClick=${() => setView(name)}>${t.samples[name]}</button>`)}
      </span>
      ${view !== "all" && html`
        <label class="slider">${t.samples.step}<input type="range" min="0" max=${steps.length - 1} value=${place} aria-valuetext=${stepLabel(steps[place])} onInput=${(event) => choose(Number(event.target.value))} /></label>
        <output>${stepLabel(steps[place])}</output>`}
    </div>
    <div class=${`prompts ${view}`}>
      ${rows.map((row) => html`
        <section key=${row.index} class="prompt">
          <h3 class="clamp" title=${row.prompt} dir="auto">${row.prompt || t.samples.prompt(row.index + 1)}</h3>
          <div class="frames">${framesOf(view, row, steps, steps[place], open)}</div>
        </section>`)}
    </div>
    ${shown && html`
      <${Lightbox} title=${shown.row.prompt || t.samples.prompt(shown.row.index + 1)} first=${shown.picture} onClose=${() => setShown(null)}
        frames=${steps.map((step) => ({ label: stepLabel(step), picture: shown.row.byStep.get(step)?.picture }))} />`}`;
}
