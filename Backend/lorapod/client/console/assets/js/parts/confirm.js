// A question before something is deleted.
import { html } from "../dom.js";
import { Cost } from "./ask.js";
import { Dialog } from "./dialog.js";
import { t } from "../strings.js";

/** @param asks whether a worker is asked to do it */
export function Confirm({ title, text, action, asks = false, onClose, onConfirm }) {
  const confirm = () => {
    onConfirm();
    onClose();
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <h2 dir="auto">${title}</h2><p>${text}</p>
      <div class="controls end"><button type="button" onClick=${onClose} autofocus>${t.training.back}</button><button type="button" class="danger" onClick=${confirm}>${action}${asks && html`<${Cost} reads=${true} />`}</button></div>
    </${Dialog}>`;
}
