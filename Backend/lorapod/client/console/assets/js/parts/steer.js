// What a person may ask of a training: a checkpoint, samples, its end, more steps.
import { html, useState } from "../dom.js";
import { integer } from "../format.js";
import { Cost, sendAsk } from "./ask.js";
import { Dialog } from "./dialog.js";
import { Notice } from "./notice.js";
import { hasEnded } from "./status.js";
import { t } from "../strings.js";

function Confirm({ title, text, onClose, onConfirm, children }) {
  const send = (event) => {
    event.preventDefault();
    onConfirm(Object.fromEntries(new FormData(event.target)));
    onClose();
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form onSubmit=${send}>
        <h2>${title}</h2><p>${text}</p>${children}
        <div class="controls end"><button type="button" onClick=${onClose}>${t.training.back}</button><button type="submit" class="primary">${t.training.confirm}</button></div>
      </form>
    </${Dialog}>`;
}

export function Steering({ process, path }) {
  const [asked, setAsked] = useState(null);
  const [problem, setProblem] = useState(null);
  const send = (action, body) =>
    sendAsk(`/api/trainings/${process.process_id}/${action}`, path, body).then(() => setProblem(null), (error) => setProblem({ error: error.message, hint: error.hint }));
  const steps = process.progress?.total_steps ?? 0;
  const resume = ({ steps: total }) => send("resume", Number(total) > steps ? { steps: Number(total) } : {});
  const more = process.status === "completed";
  const running = process.status === "running";
  if (hasEnded(process) && !process.resumable && process.status !== "completed") return null;
  return html`
    <div class="controls" role="group" aria-label=${t.training.actions}>
      ${running && html`<button type="button" onClick=${() => send("save_now")}>${t.training.save}</button><button type="button" onClick=${() => send("sample_now")}>${t.training.sample}</button>`}
      ${!hasEnded(process) && html`<button type="button" class="danger" onClick=${() => setAsked("cancel")}>${t.training.cancel}</button>`}
      ${hasEnded(process) && (process.resumable || process.status === "completed") && html`
        <button type="button" onClick=${() => setAsked("resume")}>${more ? t.training.resumeMore : t.training.resume}<${Cost} /></button>`}
    </div>
    ${problem && html`<${Notice} problem=${problem} />`}
    ${asked === "cancel" && html`<${Confirm} title=${t.training.cancelTitle} text=${t.training.cancelText} onClose=${() => setAsked(null)} onConfirm=${() => send("cancel", { save: true })} />`}
    ${asked === "resume" && html`
      <${Confirm} title=${t.training.resumeTitle} text=${t.training.resumeText} onClose=${() => setAsked(null)} onConfirm=${resume}>
        ${process.type !== "sweep" && steps > 0 && html`<label class="field">${t.training.totalSteps(integer(process.progress?.step ?? 0))}<input type="number" name="steps" min=${more ? steps + 1 : steps} value=${more ? steps * 2 : steps} required /></label>`}
      </${Confirm}>`}`;
}
