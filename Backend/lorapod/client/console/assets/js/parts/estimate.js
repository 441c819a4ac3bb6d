// What the worker says of a training before it starts: how long, how much, and the button that starts it.
import { html } from "../dom.js";
import { bytes, duration } from "../format.js";
import { countOf } from "../request.js";
import { isAsking } from "./ask.js";
import { useEndpoint } from "./endpoint.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

function Words({ answer, fresh }) {
  const { estimate = {}, cost, warnings = [] } = answer;
  const known = estimate.duration_s != null;
  return html`
    ${known ? html`<p class="big">${t.newTraining.estimate(duration(estimate.duration_s), estimate.basis)}</p>` : estimate.explanation && html`<p>${estimate.explanation}</p>`}
    <p class="faint">${[cost?.text, estimate.gpu_memory_bytes && t.newTraining.needs(bytes(estimate.gpu_memory_bytes)), estimate.gpu, answer.trainer].filter(Boolean).join(" · ")}</p>
    <p class="row"><span class=${answer.accepted ? "tag good" : "tag warn"}>${answer.accepted ? t.newTraining.accepted : t.newTraining.refused}</span>${!fresh && html`<span class="faint">${t.newTraining.stale}</span>`}</p>
    ${warnings.length > 0 && html`<ul class="faults faint">${warnings.slice(0, 12).map((text, place) => html`<li key=${place}>${text}</li>`)}</ul>`}`;
}

export function Estimate({ request, state, fresh, blocked, live, onLive, onCheck, onStart, problem }) {
  const endpoint = useEndpoint();
  const { dry_run: dryRun, start } = state;
  const cost = endpoint?.worker_up ? t.ask.warm : endpoint?.ask_cost ?? t.ask.cold;
  const busy = isAsking(dryRun);
  const starting = isAsking(start);
  const count = countOf(request);
  return html`
    <section class="panel estimate" aria-label=${t.newTraining.check}>
      ${dryRun?.answer && "accepted" in dryRun.answer ? html`<${Words} answer=${dryRun.answer} fresh=${fresh} />` : html`<p class="faint">${t.newTraining.estimateNone}</p>`}
      ${dryRun?.problem && !busy && html`<${Notice} problem=${dryRun.problem} />`}
      <div class="controls"><label class="switch"><input type="checkbox" role="switch" checked=${live} onChange=${(event) => onLive(event.target.checked)} /><span>${t.newTraining.live}</span><span class="faint note">${t.newTraining.liveNote}</span></label>
        ${busy ? html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${dryRun.waits ? t.ask.waiting : t.newTraining.checking}</span>`
          : !live && html`<button type="button" onClick=${onCheck} disabled=${blocked}>${t.newTraining.check}<span class="cost">${cost}</span></button>`}</div>
      ${(problem ?? (!starting && start?.problem)) && html`<${Notice} problem=${problem ?? start.problem} />`}
      <div class="controls">${starting
        ? html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${start.waits ? t.ask.waiting : t.newTraining.starting}</span>`
        : html`<button type="button" class="primary" disabled=${blocked} onClick=${onStart}>${count > 1 ? t.newTraining.startSeveral(count) : t.newTraining.start}</button>`}</div>
      <p class="faint note">${t.newTraining.startNote}</p>
    </section>`;
}
