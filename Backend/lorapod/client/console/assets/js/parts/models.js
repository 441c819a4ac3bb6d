// What can be trained: a card for each preset, with what it needs.
import { classes, html, useState } from "../dom.js";
import { bytes, duration } from "../format.js";
import { AskWorker } from "./ask.js";
import { t } from "../strings.js";

const GB = 1e9;
const GPUS = [12, 16, 24, 32, 48, 80, 141];
const least = (preset) => Math.min(...Object.values(preset.tiers));
const short = (size) => bytes(size).replace(".0 ", " ");

/** The arrow keys choose one after the other; a press or Enter is the decision. */
function Model({ preset, perHour, chosen, onChoose, onDone }) {
  const { last } = preset;
  return html`
    <label class=${classes("model", preset.reason && "away")}>
      <input type="radio" name="preset" value=${preset.name} checked=${chosen} onChange=${() => onChoose(preset.name)} onClick=${(event) => event.detail && onDone(preset.name)} onKeyDown=${(event) => event.key === "Enter" && onDone(preset.name)} />
      <span class="strong">${preset.name}</span><span>${preset.description}</span>
      <span class="faint">${t.newTraining.memory(short(least(preset)))}</span>
      <span class="faint">${last ? t.newTraining.last(last.ran_s && duration(last.ran_s), last.gpu, last.cost) : t.newTraining.lastNone(perHour)}</span>
      ${preset.reason && html`<span class="faint">${preset.reason}</span>`}
      <span class="row">${preset.learns.map((kind) => html`<span key=${kind} class="tag">${t.newTraining.learns[kind] ?? kind}</span>`)}<span class="tag">${preset.licence}</span>
        ${preset.gated && html`<span class="tag warn">${t.newTraining.gated}</span>`}${preset.reason && html`<span class="tag warn">${t.newTraining.notHere}</span>`}</span>
    </label>`;
}

export function Models({ form, path, chosen, onChoose }) {
  const [open, setOpen] = useState(!chosen);
  const [words, setWords] = useState("");
  const [learns, setLearns] = useState("");
  const [gpu, setGpu] = useState("");
  const preset = form.presets.find((one) => one.name === chosen);
  if (!open && preset) {
    return html`<div class="chosen"><p><span class="strong">${preset.name}</span> · ${preset.description}<br /><span class="faint">${t.newTraining.memory(short(least(preset)))}${preset.gated ? ` · ${t.newTraining.gated}` : ""} · ${preset.licence}</span></p>
      <button type="button" onClick=${() => setOpen(true)}>${t.newTraining.change}</button></div>`;
  }
  // The list goes before the browser tells of the change: the name is taken here.
  const done = (name) => {
    onChoose(name);
    setOpen(false);
  };
  const wanted = words.toLowerCase();
  const shown = form.presets.filter((one) => (!learns || one.learns.includes(learns)) && (!gpu || least(one) <= Number(gpu) * GB)
    && [one.name, one.description, one.base_model].some((text) => text.toLowerCase().includes(wanted)));
  return html`
    <div class="controls" role="search">
      <input type="search" aria-label=${t.newTraining.filter} placeholder=${t.newTraining.filter} value=${words} onInput=${(event) => setWords(event.target.value)} />
      <select aria-label=${t.newTraining.any} value=${learns} onChange=${(event) => setLearns(event.target.value)}><option value="">${t.newTraining.any}</option>${Object.entries(t.newTraining.learns).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}</select>
      <select aria-label=${t.newTraining.fits} value=${gpu} onChange=${(event) => setGpu(event.target.value)}><option value="">${t.newTraining.anyGpu}</option>${GPUS.map((size) => html`<option key=${size} value=${size}>${size} GB</option>`)}</select>
    </div>
    ${shown.length
      ? html`<div class="models" role="radiogroup" aria-label=${t.newTraining.models}>${shown.map((one) => html`<${Model} key=${one.name} preset=${one} perHour=${form.per_hour} chosen=${one.name === chosen} onChoose=${onChoose} onDone=${done} />`)}</div>`
      : html`<p class="faint">${t.newTraining.none}</p>`}
    <details><summary>${t.newTraining.askPresets}</summary><${AskWorker} post="/api/new-training/presets" path=${path} ask=${form.ask} reads=${false} /></details>`;
}
