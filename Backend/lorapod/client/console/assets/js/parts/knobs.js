// The fields of a training, made from the published schema; what is wrong stands beside the field.
import { classes, html, useEffect, useState } from "../dom.js";
import { readValues, shownValues, SWEPT, valuesOf, withValues } from "../request.js";
import { small } from "../format.js";
import { t } from "../strings.js";

const FIRST = ["name", "trigger_word", "steps", "learning_rate", "rank", "resolution"];
const WIDE = new Set(["sample_prompts"]);
/** What has a control of its own, or is for the editor alone. */
const ELSEWHERE = /^(preset|config|dataset\..*|start_from\..*|tier|network\.rank|strict)$/;

const shownDefault = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "number" ? small(value) : value);

/** A text that a person types stays as it was typed until the request is changed elsewhere. */
function TypedInput({ field, request, onChange, ...rest }) {
  const several = SWEPT.has(field.name);
  const shown = shownValues(field.kind, valuesOf(request, field.name));
  const [text, setText] = useState(shown);
  useEffect(() => {
    if (shown !== shownValues(field.kind, readValues(field.kind, text, several))) setText(shown);
  }, [shown]);
  const type = (event) => {
    setText(event.target.value);
    onChange(withValues(request, field.name, readValues(field.kind, event.target.value, several)));
  };
  if (field.kind === "lines") return html`<textarea ...${rest} value=${text} onInput=${type}></textarea>`;
  return html`<input type="text" autocomplete="off" inputmode=${field.kind === "integer" ? "numeric" : undefined} ...${rest} value=${text} onInput=${type} />`;
}

function Choice({ field, request, onChange, placeholder, ...rest }) {
  const values = valuesOf(request, field.name);
  const choices = field.choices ?? [true, false];
  const set = (event) => onChange(withValues(request, field.name, event.target.value === "" ? [] : [JSON.parse(event.target.value)]));
  const words = (value) => (value === true ? t.newTraining.yes : value === false ? t.newTraining.no : value);
  return html`<select ...${rest} value=${values.length === 1 ? JSON.stringify(values[0]) : ""} onChange=${set}><option value="">${values.length > 1 ? values.join(", ") : placeholder || t.newTraining.preset}</option>
    ${choices.map((value) => html`<option key=${String(value)} value=${JSON.stringify(value)}>${words(value)}</option>`)}</select>`;
}

export function Knob({ field, request, problems, preset, onChange }) {
  const id = `knob-${field.name.replace(".", "-")}`;
  const wrong = problems.filter((one) => one.field === field.name || one.field.startsWith(`${field.name}.`) || (one.field.startsWith("variants.") && one.field.endsWith(`.${field.name}`)));
  const placeholder = t.newTraining.unset(shownDefault(preset?.values[field.name]));
  const shared = { id, "aria-invalid": wrong.length > 0, "aria-describedby": `${id}-about` };
  const control = field.kind === "choice" || field.kind === "flag" ? Choice : TypedInput;
  return html`
    <div class=${classes("knob", WIDE.has(field.name) && "wide")}>
      <label for=${id}>${t.newTraining.field[field.name] ?? field.name}</label>
      <${control} ...${shared} field=${field} request=${request} onChange=${onChange} placeholder=${placeholder} />
      <p id=${`${id}-about`} class=${wrong.length ? "bad" : "faint"}>${wrong.length ? [...new Set(wrong.map((one) => one.message ?? one.error))].join("; ") : field.description.replaceAll("`", "")}</p>
    </div>`;
}

export function Knobs({ form, request, problems, preset, onChange }) {
  const byName = new Map(form.fields.map((field) => [field.name, field]));
  const tier = { name: "tier", kind: "choice", choices: Object.keys(preset?.tiers ?? {}), description: byName.get("tier")?.description ?? "" };
  const shared = { request, problems, preset, onChange };
  const first = [...FIRST.map((name) => byName.get(name)), tier, byName.get("sample_prompts")].filter(Boolean);
  const shown = new Set(first.map((field) => field.name));
  const rest = form.fields.filter((field) => !shown.has(field.name) && !ELSEWHERE.test(field.name));
  const set = rest.some((field) => valuesOf(request, field.name).length > 0);
  return html`
    <p class="faint">${t.newTraining.severalNote}</p>
    <div class="knobs">${first.map((field) => html`<${Knob} key=${field.name} field=${field} ...${shared} />`)}</div>
    <details class="later" open=${set}><summary>${t.newTraining.more}</summary><div class="knobs">${rest.map((field) => html`<${Knob} key=${field.name} field=${field} ...${shared} />`)}</div></details>`;
}
