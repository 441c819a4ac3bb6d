// "Keep this one": the other checkpoints of its training are named, and deleted if the person says so.
import { html, useEffect, useState } from "../dom.js";
import { postJson } from "../api.js";
import { bytes } from "../format.js";
import { Dialog } from "./dialog.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

/** @param one the checkpoint, with `process_id` and `step` */
export function KeepDialog({ one, label, onClose }) {
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState(null);
  const [done, setDone] = useState(null);
  const send = (dryRun) => postJson(`/api/trainings/${one.process_id}/keep`, { steps: [one.step], dry_run: dryRun });
  const refused = (error) => setProblem({ error: error.message, hint: error.hint, details: error.details });
  useEffect(() => void send(true).then(setPlan, refused), []);
  const remove = () => send(false).then(setDone, refused);
  return html`
    <${Dialog} title=${t.comparison.keepTitle(label)} onClose=${onClose}>
      <h2>${t.comparison.keepTitle(label)}</h2>
      ${problem ? html`<${Notice} problem=${problem} />` : done ? html`<p role="status">${t.comparison.keepDone(bytes(done.freed_bytes))}</p>` : html`<${Plan} plan=${plan} />`}
      <div class="controls end">
        <button type="button" onClick=${onClose}>${t.training.back}</button>
        ${plan?.deleted.length > 0 && !done && !problem && html`<button type="button" class="danger" onClick=${remove}>${t.comparison.keepDelete}</button>`}
      </div>
    </${Dialog}>`;
}

function Plan({ plan }) {
  if (!plan) return html`<p class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${t.comparison.keepLooking}</p>`;
  if (!plan.deleted.length) return html`<p>${t.comparison.keepNothing}</p>`;
  return html`
    <p>${t.comparison.keepText(plan.deleted.length, bytes(plan.freed_bytes))}</p>
    <ul class="mono faint">${plan.deleted.map((path) => html`<li key=${path}>${path}</li>`)}</ul>
    ${(plan.warnings ?? []).map((text, place) => html`<p key=${place} class="bad">${text}</p>`)}`;
}
