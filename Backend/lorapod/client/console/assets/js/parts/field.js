// A field with its name above it, and what is wrong below.
import { html } from "../dom.js";

/** Return an error of the API as a notice shows it. */
export const problemOf = ({ message, hint, details }) => ({ error: message, hint, details });

/**
 * @param choices `[[value, label]]` of a select
 * @param rows of a text with several lines
 */
export function Field({ id, label, value, onInput, note, wrong, choices, rows, wide, ...rest }) {
  const shared = { id, value: value ?? "", "aria-invalid": Boolean(wrong), "aria-describedby": note || wrong ? `${id}-about` : undefined, ...rest };
  const type = (event) => onInput(event.target.value);
  return html`
    <div class=${wide ? "knob wide" : "knob"}>
      <label for=${id}>${label}</label>
      ${choices
        ? html`<select ...${shared} onChange=${type}>${choices.map(([each, words]) => html`<option key=${each} value=${each}>${words}</option>`)}</select>`
        : rows ? html`<textarea rows=${rows} dir="auto" ...${shared} onInput=${type}></textarea>` : html`<input type="text" autocomplete="off" ...${shared} onInput=${type} />`}
      ${(note || wrong) && html`<p id=${`${id}-about`} class=${wrong ? "bad" : "faint"}>${wrong ?? note}</p>`}
    </div>`;
}
