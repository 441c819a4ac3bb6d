// A new training: a model, a dataset, a few values; the same request as a form and as YAML.
import { html, useEffect, useRef, useState } from "../dom.js";
import { postJson } from "../api.js";
import { integer } from "../format.js";
import { navigate } from "../router.js";
import { useChoice, useResource } from "../store.js";
import { askPeriod, isAsking, sendAsk } from "../parts/ask.js";
import { Estimate } from "../parts/estimate.js";
import { Knobs } from "../parts/knobs.js";
import { Models } from "../parts/models.js";
import { Notice } from "../parts/notice.js";
import { withValues } from "../request.js";
import { t } from "../strings.js";

const FORM = "/api/new-training";
const STATE = "/api/new-training/state";
const KEPT = "new-training";
const TYPED_MS = 350;
const LIVE_MS = 1200;
const keyOf = (request) => JSON.stringify(request).length + ":" + hash(JSON.stringify(request));

/** A number that tells two requests apart; it need not be a secret. */
function hash(text) {
  let value = 5381;
  for (let place = 0; place < text.length; place += 1) value = ((value << 5) + value + text.charCodeAt(place)) >>> 0;
  return value.toString(36);
}

function initial() {
  const dataset = new URLSearchParams(location.search).get("dataset");
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    kept = {};
  }
  return dataset ? { ...kept, dataset: { training_name: dataset } } : kept;
}

/** Return what is wrong as far as this machine can tell, a moment after the last change. */
function useProblems(request) {
  const [problems, setProblems] = useState([]);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      postJson(`${FORM}/check`, { request }).then((found) => current && setProblems(found.problems), () => {});
    }, TYPED_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [request]);
  return problems;
}

function DatasetChoice({ form, request, problems, onChange }) {
  const name = request.dataset?.training_name ?? "";
  const known = form.datasets.find((one) => one.training_name === name);
  const [other, setOther] = useState(!form.datasets.length || (name !== "" && !known));
  const wrong = problems.filter((one) => one.field.startsWith("dataset"));
  const set = (value) => onChange(withValues(request, "dataset.training_name", value ? [value] : []));
  const choose = (event) => {
    setOther(event.target.value === "\0");
    set(event.target.value === "\0" ? "" : event.target.value);
  };
  return html`
    <div class="knob">
      ${form.datasets.length > 0 && html`<select aria-label=${t.newTraining.dataset} value=${other ? "\0" : name} onChange=${choose}>
        <option value="">${t.newTraining.chooseDataset}</option>
        ${form.datasets.map((one) => html`<option key=${one.training_name} value=${one.training_name}>${one.training_name.slice(0, 80)} (${t.newTraining.holds(one.images ?? 0, one.captions ?? 0)})</option>`)}
        <option value=${"\0"}>${t.newTraining.otherDataset}</option></select>`}
      ${other && html`<input type="text" aria-label=${t.newTraining.otherDataset} placeholder=${t.newTraining.otherDataset} value=${name} onInput=${(event) => set(event.target.value)} />`}
      ${!form.datasets.length && html`<p class="faint">${t.newTraining.noDatasets}</p>`}
      ${wrong.length > 0 && html`<p class="bad">${wrong.map((one) => one.message ?? one.error).join("; ")}</p>`}
    </div>`;
}

function StartFrom({ form, request, onChange }) {
  const from = request.start_from ?? {};
  if (!form.trainings.length && !form.loras.length) return null;
  const steps = form.trainings.find((one) => one.process_id === from.process_id)?.steps ?? [];
  const without = (field) => ({ ...request, start_from: undefined, ...(field && { start_from: field }) });
  const begin = (event) => {
    const [kind, value] = JSON.parse(event.target.value);
    onChange(JSON.parse(JSON.stringify(without(kind && { [kind]: value }))));
  };
  const option = (kind, value, words) => html`<option key=${value} value=${JSON.stringify([kind, value])}>${words}</option>`;
  const chosen = from.process_id ? ["process_id", from.process_id] : from.path ? ["path", from.path] : [null, null];
  return html`
    <div class="knob later"><label for="begin-with">${t.newTraining.from}</label>
      <select id="begin-with" value=${JSON.stringify(chosen)} onChange=${begin}>
        ${option(null, null, t.newTraining.fromNone)}
        ${form.trainings.length > 0 && html`<optgroup label=${t.newTraining.fromTrainings}>${form.trainings.map((one) => option("process_id", one.process_id, `${(one.name || one.process_id).slice(0, 60)} (${one.process_id.slice(-4)}${one.base_model ? `, ${one.base_model}` : ""})`))}</optgroup>`}
        ${form.loras.length > 0 && html`<optgroup label=${t.newTraining.fromLoras}>${form.loras.map((one) => option("path", one.path, `${one.name.slice(0, 60)}${one.base_model ? ` (${one.base_model})` : ""}`))}</optgroup>`}
      </select></div>
    ${steps.length > 1 && html`
      <div class="knob later"><label for="begin-step">${t.newTraining.fromStep}</label>
        <select id="begin-step" value=${String(from.step ?? "")} onChange=${(event) => onChange(withValues(request, "start_from.step", event.target.value ? [Number(event.target.value)] : []))}>
          <option value="">${t.newTraining.fromNewest}</option>
          ${steps.map((step) => html`<option key=${step} value=${String(step)}>${t.samples.stepOf(integer(step))}</option>`)}
        </select></div>`}`;
}

function Editor({ text, onText, problem }) {
  return html`
    <section class="panel" aria-labelledby="editor"><h2 id="editor">${t.newTraining.editor}</h2>
      <textarea class="yaml" aria-labelledby="editor" aria-invalid=${Boolean(problem)} aria-describedby="editor-note" spellcheck="false" autocapitalize="off" value=${text} onInput=${(event) => onText(event.target.value)}></textarea>
      <p id="editor-note" class=${problem ? "bad" : "faint"} role="status">${problem ? t.newTraining.badYaml(problem.reason, problem.line) : t.newTraining.editorNote}</p>
    </section>`;
}

/** The request in both its forms, kept in this tab. */
function useRequest() {
  const [request, setRequest] = useState(initial);
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  const [waits, setWaits] = useState(false);
  const newest = useRef(0);
  const keep = (next) => {
    sessionStorage.setItem(KEPT, JSON.stringify(next));
    setRequest(next);
    setProblem(null);
  };
  /** The server reads and writes the text; an answer that a later change overtook is dropped. */
  const send = (body, take) => {
    const mine = (newest.current += 1);
    setWaits(true);
    const settle = (then) => (answer) => {
      if (mine !== newest.current) return;
      setWaits(false);
      then(answer);
    };
    postJson(`${FORM}/yaml`, body).then(settle(take), settle((error) => setProblem({ reason: error.message, line: null })));
  };
  const change = (next) => {
    keep(next);
    send({ request: next }, (answer) => setText(answer.text));
  };
  const type = (next) => {
    setText(next);
    send({ text: next }, (read) => (read.problem ? setProblem(read.problem) : keep(read.request)));
  };
  // Effects run after the first drawing: a text that was typed before this one stays.
  useEffect(() => void (Object.keys(request).length && !newest.current && change(request)), []);
  return { request, text, problem, waits, change, type };
}

/** Ask the worker for a dry run; while `live` is on, a moment after each change. */
function useDryRun(request, state, blocked, live) {
  const key = keyOf(request);
  const fresh = state?.dry_run?.answer?.key === key;
  const busy = isAsking(state?.dry_run);
  const check = () => sendAsk(`${FORM}/dry-run`, STATE, { request, key }).catch(() => {});
  useEffect(() => {
    if (!live || blocked || fresh || busy || !state) return undefined;
    const timer = setTimeout(() => document.hidden || check(), LIVE_MS);
    return () => clearTimeout(timer);
  }, [live, blocked, fresh, busy, key]);
  return { fresh, check };
}

function useStart(request, state) {
  const [began, setBegan] = useState(null);
  const [problem, setProblem] = useState(null);
  const start = () => sendAsk(`${FORM}/start`, STATE, { request }).then((asked) => { setBegan(asked.began_at); setProblem(null); }, (error) => setProblem({ error: error.message, hint: error.hint }));
  const done = state?.start;
  useEffect(() => {
    if (began && done?.ended && done.began_at === began && done.answer) navigate(`/trainings/${done.answer.process_id}`);
  }, [began, done?.ended, done?.began_at]);
  return { start, problem };
}

function Page({ form }) {
  const { request, text, problem, waits, change, type } = useRequest();
  const { data: state } = useResource(STATE, (known) => (isAsking(known?.dry_run) || isAsking(known?.start) ? 700 : 0));
  const [live, setLive] = useChoice("live:new-training", false);
  const here = useProblems(request);
  const blocked = here.length > 0 || problem !== null || waits;
  const dryRun = useDryRun(request, state, blocked, live);
  const start = useStart(request, state);
  const said = dryRun.fresh ? state?.dry_run?.answer?.refused ?? [] : [];
  const problems = [...here, ...said].map((one) => ({ ...one, field: String(one.field ?? "") }));
  const known = new Set(form.fields.map((field) => field.name));
  const beside = (one) => known.has(one.field) || [...known].some((name) => one.field.startsWith(`${name}.`)) || one.field.startsWith("dataset") || one.field.startsWith("variants.");
  const others = problems.filter((one) => !beside(one) || one.field === "preset");
  const preset = form.presets.find((one) => one.name === request.preset);
  const config = dryRun.fresh && state?.dry_run?.answer?.config;
  const shared = { form, request, problems, onChange: change };
  const model = useRef(null);
  return html`
    <div class="desk">
      <div class="main">
        <section class="panel" aria-labelledby="models" ref=${model}><h2 id="models">${request.preset ? t.newTraining.models : t.newTraining.chooseModel}</h2>
          ${request.config ? html`<p class="faint">${t.newTraining.config}</p>` : html`<${Models} form=${form} path=${FORM} chosen=${request.preset} onChoose=${(name) => change(withValues(withValues(request, "tier", []), "preset", [name]))} />`}</section>
        <section class="panel" aria-labelledby="of-dataset"><h2 id="of-dataset">${t.newTraining.dataset}</h2><${DatasetChoice} ...${shared} /><${StartFrom} ...${shared} /></section>
        ${!request.config && html`<section class="panel" aria-labelledby="knobs"><h2 id="knobs">${t.newTraining.knobs}</h2><${Knobs} ...${shared} preset=${preset} /></section>`}
      </div>
      <div class="side">
        ${others.length > 0 && (request.preset || request.config) && html`<div class="notice bad" role="status"><h2>${t.newTraining.problems}</h2><ul class="faults">${others.slice(0, 12).map((one, place) => html`<li key=${place}>${one.message ?? `${one.field}: ${one.error}`} ${one.hint ?? ""}</li>`)}</ul></div>`}
        <${Estimate} request=${request} state=${state ?? {}} fresh=${dryRun.fresh} blocked=${blocked} live=${live} onLive=${setLive} onCheck=${dryRun.check} onStart=${start.start} problem=${start.problem} />
        <${Editor} text=${text} onText=${type} problem=${problem} />
        ${config && !request.config && html`<details class="panel"><summary>${t.newTraining.config}</summary><pre class="log" tabindex="0">${dryRun.fresh && state.dry_run.answer.config_text}</pre><div class="controls end"><button type="button" onClick=${() => change({ ...(request.name && { name: request.name }), config })}>${t.newTraining.useConfig}</button></div></details>`}
      </div>
    </div>`;
}

export default function NewTraining() {
  const { data: form, error } = useResource(FORM, askPeriod);
  if (error && !form) return html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!form) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  return html`<div class="heading"><div><h1>${t.newTraining.title}</h1><p class="faint">${t.newTraining.lead}</p></div></div><${Page} form=${form} />`;
}
