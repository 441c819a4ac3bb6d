// A question before something is deleted.
import { html } from "../dom.js";
import { Dialog } from "./dialog.js";
import { t } from "../strings.js";

export function Confirm({ title, text, action, onClose, onConfirm }) {
  const confirm = () => {
    onConfirm();
    onClose();
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <h2 dir="auto">${title}</h2><p>${text}</p>
      <div class="controls end"><button type="button" onClick=${onClose} autofocus>${t.training.back}</button><button type="button" class="danger" onClick=${confirm}>${action}</button></div>
    </${Dialog}>`;
}
