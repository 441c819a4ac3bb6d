// The LoRAs that a generation uses: each from a training, with one of its checkpoints, or from the library.
import { html } from "../dom.js";
import { integer } from "../format.js";
import { t } from "../strings.js";

const trainingOf = (form, path) => form.trainings.find((one) => one.checkpoints.some((saved) => saved.path === path));

/** Return what is known of the training or the model behind a LoRA. */
export const originOf = (form, path) => trainingOf(form, path) ?? form.models.find((one) => one.path === path);

const newest = (training) => (training.checkpoints.find((one) => one.final) ?? training.checkpoints.at(-1)).path;
const wordOf = (origin) => origin?.trigger_word ?? origin?.trigger_words?.[0];

/** Return the trigger words of the LoRAs that a prompt lacks. */
export const missingWords = (form, loras, prompt) => [...new Set(loras.map(({ path }) => wordOf(originOf(form, path))).filter((word) => word && !prompt.includes(word)))];

function Lora({ form, lora, place, onChange, onRemove }) {
  const training = trainingOf(form, lora.path);
  const own = new Set(form.trainings.flatMap((one) => one.checkpoints.map((saved) => saved.path)));
  const library = form.models.filter((one) => one.kind === "lora" && (!own.has(one.path) || one.path === lora.path));
  const known = training || library.some((one) => one.path === lora.path);
  const choose = (event) => {
    const chosen = form.trainings.find((one) => one.process_id === event.target.value);
    onChange({ ...lora, path: chosen ? newest(chosen) : event.target.value });
  };
  return html`
    <li class="lora">
      <select aria-label=${t.playground.source(place)} value=${training?.process_id ?? lora.path} onChange=${choose}>
        <option value="">${t.playground.noSource}</option>
        ${lora.path && !known && html`<option value=${lora.path}>${lora.path.split("/").at(-1)}</option>`}
        ${form.trainings.length > 0 && html`<optgroup label=${t.playground.trainings}>${form.trainings.map((one) => html`<option key=${one.process_id} value=${one.process_id}>${(one.name || one.process_id).slice(0, 60)} (${one.process_id.slice(-4)})</option>`)}</optgroup>`}
        ${library.length > 0 && html`<optgroup label=${t.playground.library}>${library.map((one) => html`<option key=${one.path} value=${one.path}>${(one.title || one.name).slice(0, 80)}</option>`)}</optgroup>`}
      </select>
      ${training && html`<select aria-label=${t.playground.checkpoint(place)} value=${lora.path} onChange=${(event) => onChange({ ...lora, path: event.target.value })}>${[...training.checkpoints].reverse().map((saved) => html`<option key=${saved.path} value=${saved.path}>${t.library.step(integer(saved.step))}${saved.final ? ` (${t.playground.final})` : ""}</option>`)}</select>`}
      <input type="number" step="0.05" min="-10" max="10" aria-label=${t.playground.weight(place)} value=${lora.weight} onInput=${(event) => onChange({ ...lora, weight: event.target.value })} />
      <button type="button" class="icon" aria-label=${t.playground.removeLora(place)} onClick=${onRemove}>✕</button>
    </li>`;
}

export function Loras({ form, loras, onChange }) {
  const set = (at, lora) => onChange(loras.map((old, place) => (place === at ? lora : old)));
  return html`
    <fieldset class="loras"><legend>${t.playground.loras}</legend>
      <ul>${loras.map((lora, place) => html`<${Lora} key=${place} form=${form} lora=${lora} place=${place + 1} onChange=${(next) => set(place, next)} onRemove=${() => onChange(loras.filter((_, at) => at !== place))} />`)}</ul>
      <button type="button" class="small" onClick=${() => onChange([...loras, { path: "", weight: "1" }])}>${t.playground.addLora}</button>
    </fieldset>`;
}
