// A dialog that asks a person; Escape and a press beside it close it.
import { html, useEffect, useRef } from "../dom.js";

export function Dialog({ title, onClose, children, class: name }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return html`
    <dialog ref=${dialog} class=${name} aria-label=${title} onClose=${onClose} onClick=${(event) => event.target === dialog.current && onClose()}>
      ${children}
    </dialog>`;
}
