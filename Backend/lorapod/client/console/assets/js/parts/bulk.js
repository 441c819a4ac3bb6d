// Changes to many captions at once: what would change is shown first.
import { html, useState } from "../dom.js";
import { Cost, isAsking, sendAsk } from "./ask.js";
import { Dialog } from "./dialog.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

const SHOWN = 40;
const FINDS = new Set(["replace", "remove", "regex"]);

function Changes({ answer }) {
  if (!answer.changed_count) return html`<p>${t.bulk.nothing}</p>`;
  const shown = answer.changed.slice(0, SHOWN);
  return html`
    <p class="strong" role="status">${t.bulk.changes(answer.changed_count)}</p>
    <ul class="changes" tabindex="0" aria-label=${t.bulk.preview}>${shown.map((one) => html`
      <li key=${one.name}><span class="mono faint">${one.name}</span><del dir="auto" aria-label=${t.bulk.before}>${(one.before ?? "").slice(0, 600)}</del><ins dir="auto" aria-label=${t.bulk.after}>${(one.after ?? "").slice(0, 600)}</ins></li>`)}
      ${answer.changed_count > shown.length && html`<li class="faint">${t.bulk.more(answer.changed_count - shown.length)}</li>`}</ul>`;
}

/** @param scopes `{ all, shown, selected }`: the names that each means */
export function BulkDialog({ view, path, scopes, onClose }) {
  const [kind, setKind] = useState("prepend");
  const [find, setFind] = useState("");
  const [text, setText] = useState("");
  const [scope, setScope] = useState(scopes.selected.length ? "selected" : "all");
  const [asked, setAsked] = useState(null);
  const [problem, setProblem] = useState(null);
  const operation = { op: kind, ...(FINDS.has(kind) && { find }), ...(kind !== "remove" && { text }), ...(scope !== "all" && { names: scopes[scope] }) };
  const wish = JSON.stringify(operation);
  const preview = view.preview;
  const mine = asked?.wish === wish && preview?.began_at === asked.beganAt;
  const base = `/api/datasets/${encodeURIComponent(view.name)}`;
  const failed = (error) => setProblem({ error: error.message, hint: error.hint });
  const look = (event) => {
    event.preventDefault();
    setProblem(null);
    sendAsk(`${base}/preview`, path, { operations: [operation] }).then((started) => setAsked({ wish, beganAt: started.began_at }), failed);
  };
  const apply = () => sendAsk(`${base}/edit`, path, { operations: [operation] }).then(onClose, failed);
  const shown = problem ?? (mine && preview.ended ? preview.problem : null);
  return html`
    <${Dialog} title=${t.bulk.title} onClose=${onClose} class="wide-dialog">
      <form class="stack" onSubmit=${look}>
        <h2>${t.bulk.title}</h2>
        <label class="field">${t.bulk.kind}<select value=${kind} onChange=${(event) => setKind(event.target.value)}>${Object.entries(t.bulk.kinds).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}</select></label>
        ${FINDS.has(kind) && html`<label class="field">${kind === "regex" ? t.bulk.pattern : t.bulk.find}<input type="text" required value=${find} onInput=${(event) => setFind(event.target.value)} /></label>`}
        ${kind !== "remove" && html`<label class="field">${FINDS.has(kind) ? t.bulk.by : t.bulk.text}<input type="text" required=${!FINDS.has(kind)} value=${text} onInput=${(event) => setText(event.target.value)} /></label>`}
        <label class="field">${t.bulk.scope}<select value=${scope} onChange=${(event) => setScope(event.target.value)}>${Object.entries(t.bulk.scopes).filter(([name]) => scopes[name].length).map(([name, label]) => html`<option key=${name} value=${name}>${label(scopes[name].length)}</option>`)}</select></label>
        ${shown && html`<${Notice} problem=${shown} />`}
        ${mine && isAsking(preview) && html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${preview.waits ? t.ask.waiting : t.ask.asking}</span>`}
        ${mine && preview.answer && html`<${Changes} answer=${preview.answer} />`}
        <div class="controls end"><button type="button" onClick=${onClose}>${t.training.back}</button>
          <button type="submit">${t.bulk.preview}<${Cost} reads=${true} /></button>
          <button type="button" class="primary" disabled=${!mine || !preview.answer?.changed_count} onClick=${apply}>${t.bulk.apply(mine ? preview.answer?.changed_count ?? 0 : 0)}</button></div>
      </form>
    </${Dialog}>`;
}
