// A model that writes captions: what it shall do, and how far it is.
import { html, useState } from "../dom.js";
import { postJson } from "../api.js";
import { Cost, isAsking, sendAsk } from "./ask.js";
import { Dialog } from "./dialog.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

export function CaptionerDialog({ view, path, selected, onClose }) {
  const [problem, setProblem] = useState(null);
  const send = (event) => {
    event.preventDefault();
    const { style, trigger, model, which } = Object.fromEntries(new FormData(event.target));
    const body = { style: style || null, trigger_word: trigger || null, model: model || null };
    if (which !== "missing") body.overwrite = "all";
    if (which === "chosen") body.limit_names = selected;
    sendAsk(`/api/datasets/${encodeURIComponent(view.name)}/caption`, path, body).then(onClose, (error) => setProblem({ error: error.message, hint: error.hint }));
  };
  const choice = (value, label, checked) => html`<label class="check"><input type="radio" name="which" value=${value} checked=${checked} />${label}</label>`;
  return html`
    <${Dialog} title=${t.captioner.title} onClose=${onClose}>
      <form class="stack" onSubmit=${send}>
        <h2>${t.captioner.title}</h2><p>${t.captioner.text}</p>
        <fieldset><legend>${t.captioner.which}</legend>${choice("missing", t.captioner.missing, !selected.length)}${choice("all", t.captioner.all)}${selected.length > 0 && choice("chosen", t.captioner.chosen(selected.length), true)}</fieldset>
        <label class="field">${t.captioner.style}<select name="style">${Object.entries(t.captioner.styles).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}</select></label>
        <label class="field">${t.captioner.trigger}<input type="text" name="trigger" maxlength="100" autocomplete="off" /></label>
        <label class="field">${t.captioner.model}<input type="text" name="model" autocomplete="off" /></label>
        ${problem && html`<${Notice} problem=${problem} />`}
        <div class="controls end"><button type="button" onClick=${onClose}>${t.training.back}</button><button type="submit" class="primary">${t.captioner.start}<${Cost} /></button></div>
      </form>
    </${Dialog}>`;
}

export function CaptioningState({ ask }) {
  const [stopping, setStopping] = useState(false);
  if (!ask) return null;
  const { answer, problem } = ask;
  if (isAsking(ask)) {
    const text = ask.waits || !answer ? t.ask.waiting : t.captioner.progress(ask.done, ask.total);
    const stop = () => {
      setStopping(true);
      postJson(`/api/trainings/${answer.process_id}/cancel`, {}).catch(() => setStopping(false));
    };
    return html`<div class="bar" role="status"><span>${text}</span><progress max=${ask.total || 1} value=${ask.done} aria-label=${text}></progress>
      ${answer && html`<div class="controls"><button type="button" disabled=${stopping} onClick=${stop}>${t.captioner.stop}</button></div>`}</div>`;
  }
  const failure = problem ?? (answer?.failure && { error: answer.failure.message, hint: answer.failure.hint });
  const outcome = answer?.outcome;
  return html`
    ${failure && html`<${Notice} problem=${failure} />`}
    ${outcome && html`<div class="notice quiet" role="status"><p>${t.captioner.done(outcome.captioned ?? 0, outcome.skipped ?? 0, outcome.failed_count ?? outcome.failed?.length ?? 0)}</p>
      <ul>${(outcome.failed ?? []).slice(0, 10).map((one) => html`<li key=${one.name}>${one.name}: ${one.error}</li>`)}</ul></div>`}`;
}
