// One training: how far it is, what it draws, how its loss goes; on a failure the reason comes first.
import { html, useEffect, useState } from "../dom.js";
import { getJson, postJson } from "../api.js";
import { Link, navigate } from "../router.js";
import { refresh, useChoice, useResource } from "../store.js";
import { save } from "../files.js";
import { at, bytes, duration, integer, number, percent, secondsBetween, small } from "../format.js";
import { askPeriod, AskWorker, Cost, isAsking, sendAsk } from "../parts/ask.js";
import { LossChart } from "../parts/chart.js";
import { Facts } from "../parts/facts.js";
import { Log } from "../parts/log.js";
import { LogPages } from "../parts/log_pages.js";
import { Empty, Notice } from "../parts/notice.js";
import { Picture } from "../parts/picture.js";
import { Samples } from "../parts/samples.js";
import { hasEnded, Status } from "../parts/status.js";
import { Steering } from "../parts/steer.js";
import { t } from "../strings.js";

const LIVE_MS = 3000;
const FREE_MS = 10_000;
const LOSS = "loss/loss";
/** Trainings that are laid over one: there are eight colours. */
const MOST_BESIDE = 7;

/** Ask the worker again and again while this tab is visible and the training runs. */
function useLive(on, id, path, ask) {
  const asking = isAsking(ask);
  useEffect(() => {
    if (!on || asking) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) sendAsk(`${path}/ask`, path).catch(() => refresh(path));
    }, LIVE_MS);
    return () => clearInterval(timer);
  }, [on, asking, id]);
}

const pair = (name, show = (value) => value) => (process) => [t.training.fact[name], show((process.settings ?? {})[name] ?? process[name])];
const list = (value) => (Array.isArray(value) ? value.join(", ") : value);
const SETTINGS = [
  ...["base_model", "arch", "trigger_word", "trainer", "rank", "alpha"].map((name) => pair(name)),
  pair("learning_rate", small), pair("batch_size"), pair("resolution", list), pair("optimizer"),
  ...["created_at", "ended_at"].map((name) => pair(name, at)), pair("gpu"), pair("worker_id"), pair("process_id"),
];

function Failure({ process }) {
  if (!process.failure) return null;
  return html`
    <section class="failure" aria-label=${t.training.why}>
      <${Notice} title=${t.training.why} problem=${{ error: process.failure.message, hint: process.failure.hint }} />
      ${process.log_tail?.length > 0 && html`<h3>${t.training.logEnd}</h3><${Log} lines=${process.log_tail.slice(-20)} label=${t.training.logEnd} />`}
    </section>`;
}

function Progress({ process, cost, gpus }) {
  const { progress = {} } = process;
  const running = !hasEnded(process);
  const facts = [
    [t.training.step, progress.total_steps ? `${integer(progress.step)} / ${integer(progress.total_steps)}` : integer(progress.step)],
    [t.training.phase, running ? process.phase : null],
    [t.training.left, running && progress.eta_s ? duration(progress.eta_s) : null],
    [t.training.ran, duration(process.ran_s ?? secondsBetween(process.started_at, process.ended_at))],
    [t.training.loss, number(progress.loss)],
    [t.training.speed, progress.steps_per_s ? t.training.perSecond(number(progress.steps_per_s)) : null],
    [t.training.cost, cost?.text],
    [t.training.gpu, process.gpu],
    ...gpus.map((one) => [t.training.load, t.training.loadOf(percent(one.utilization_percent), bytes(one.memory_used_bytes), bytes(one.memory_total_bytes))]),
  ];
  return html`
    <section class="panel" aria-label=${t.training.progress}>
      ${progress.total_steps && html`<progress max=${progress.total_steps} value=${progress.step} aria-label=${t.training.progress}></progress>`}
      <${Facts} facts=${facts} />
    </section>`;
}

function Curves({ view, name }) {
  const keys = Object.keys(view.curves).sort((one, other) => (other === LOSS) - (one === LOSS) || one.localeCompare(other));
  const [key, setKey] = useState(LOSS);
  const [beside, setBeside] = useState([]);
  const others = useResource("/api/trainings").data?.trainings.filter((one) => one.spark?.length && one.process_id !== view.process.process_id && !beside.includes(one.process_id)) ?? [];
  const views = useViews(beside);
  const chosen = keys.includes(key) ? key : keys[0];
  if (!chosen) return html`<p class="faint">${t.training.curveNone}</p>`;
  const nameOf = (one) => `${one.process.name.slice(0, 60)} (${one.process.process_id.slice(-4)})`;
  const overlaid = views.filter((one) => one.curves[chosen]);
  const runs = [{ name, digest: view.curves[chosen].digest }, ...overlaid.map((one) => ({ name: nameOf(one), digest: one.curves[chosen].digest }))];
  return html`
    <${LossChart} key=${chosen} runs=${runs}>
      ${keys.length > 1 && html`<label class="check">${t.curve.key}<select value=${chosen} onChange=${(event) => setKey(event.target.value)}>${keys.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select></label>`}
      ${others.length > 0 && beside.length < MOST_BESIDE && html`<label class="check">${t.curve.beside}<select value="" onChange=${(event) => event.target.value && setBeside([...beside, event.target.value])}>
        <option value="">${t.curve.besideNone}</option>${others.map((one) => html`<option key=${one.process_id} value=${one.process_id}>${one.name.slice(0, 60)} (${one.process_id.slice(-4)})</option>`)}</select></label>`}
      ${overlaid.map((one) => html`<button key=${one.process.process_id} type="button" class="small" aria-label=${t.curve.besideRemove(nameOf(one))} onClick=${() => setBeside(beside.filter((id) => id !== one.process.process_id))}>${nameOf(one)} ✕</button>`)}
    </${LossChart}>`;
}

/** The views of other trainings, each read once. */
function useViews(ids) {
  const [views, setViews] = useState([]);
  const wanted = ids.join();
  useEffect(() => {
    let current = true;
    Promise.all(ids.map((id) => getJson(`/api/trainings/${id}`).catch(() => null))).then((found) => current && setViews(found.filter(Boolean)));
    return () => { current = false; };
  }, [wanted]);
  return views;
}

/** The trainings of a sweep, each with what is special to it. */
function Sweep({ members }) {
  if (!members?.length) return null;
  return html`
    <section class="panel" aria-labelledby="sweep"><h2 id="sweep">${t.training.sweep}</h2>
      <ul class="rows">${members.map((one, place) => {
        const label = Object.entries(one.variant).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
        return html`<li key=${place}>${one.process_id ? html`<${Link} href=${`/trainings/${one.process_id}`}>${label || one.process_id}</${Link}>` : html`<span class="strong">${label}</span>`}
          <${Status} process=${one} />${one.loss != null && html`<span class="faint">${t.card.loss(number(one.loss))}</span>`}${one.error && html`<span class="bad">${one.error}</span>`}</li>`;
      })}</ul>
    </section>`;
}

/** The checkpoints, each with its download, and the way to a comparison of them. */
function Checkpoints({ process, path, ask, free }) {
  const checkpoints = [...(process.checkpoints ?? [])].reverse();
  const [problem, setProblem] = useState(null);
  const [asked, setAsked] = useState(false);
  const [chosen, setChosen] = useState(new Set());
  const refused = (error) => setProblem({ error: error.message, hint: error.hint });
  const download = (file) => postJson(`${path}/download`, { path: file }).then(({ url }) => save(url), refused);
  const compare = () => sendAsk(`${path}/compare`, path, chosen.size > 1 ? { steps: [...chosen] } : {}).then(() => setAsked(true), refused);
  const choose = (step) => setChosen(new Set(chosen.has(step) ? [...chosen].filter((one) => one !== step) : [...chosen, step]));
  const comparable = checkpoints.length > 1 && hasEnded(process);
  useEffect(() => {
    if (asked && ask?.made?.startsWith("compare_")) navigate(`/comparisons/${ask.made}`);
  }, [asked, ask?.made]);
  if (!checkpoints.length) return html`<p class="faint">${t.training.checkpointsNone}</p>`;
  return html`
    <ul class="files">${checkpoints.map((one) => html`
      <li key=${one.path}>${comparable && html`<input type="checkbox" aria-label=${t.training.compareOf(integer(one.step))} checked=${chosen.has(one.step)} onChange=${() => choose(one.step)} />`}<span class="strong">${t.samples.stepOf(integer(one.step))}${one.final && html` <span class="tag">${t.training.final}</span>`}</span>
        <span class="faint">${bytes(one.size_bytes)}</span>
        <button type="button" class="small" aria-label=${t.training.downloadOf(integer(one.step))} onClick=${() => download(one.path)}>${t.training.download}${!free && html`<${Cost} reads=${true} />`}</button>
        <span class="mono faint">${one.path}</span></li>`)}</ul>
    ${comparable && !isAsking(ask) && html`<p class="spaced"><button type="button" disabled=${chosen.size === 1} onClick=${compare}>${chosen.size > 1 ? t.training.compareChosen(chosen.size) : t.training.compare}<${Cost} /></button></p>`}
    ${problem && html`<${Notice} problem=${problem} />`}`;
}

function Dataset({ dataset, sheet }) {
  if (!dataset) return null;
  return html`
    <section class="panel" aria-labelledby="dataset"><h2 id="dataset">${t.training.dataset}</h2>
      <p>${t.training.images(dataset.images ?? 0, dataset.captions ?? 0)} <span class="mono faint">${dataset.path}</span></p>
      ${sheet && html`<${Picture} digest=${sheet} side=${768} alt=${t.training.dataset} class="sheet" />`}
      ${dataset.warnings?.length > 0 && html`<ul class="faint">${dataset.warnings.map((text, place) => html`<li key=${place}>${text}</li>`)}</ul>`}
    </section>`;
}

export default function Training({ id }) {
  const path = `/api/trainings/${encodeURIComponent(id)}`;
  const [live, setLive] = useChoice(`live:${id}`, false);
  const { data: view, error } = useResource(path, (known) => askPeriod(known, known?.process && !hasEnded(known.process) ? FREE_MS : 0));
  const process = view?.process;
  const isLive = live && process && !hasEnded(process);
  useLive(isLive, id, path, view?.ask);
  const post = `${path}/ask`;
  if (!view && error?.code === "not_found") {
    return html`<h1 class="mono">${id}</h1><${Empty} text=${t.training.unknown}><${AskWorker} post=${post} path=${path} ask=${error.ask} look=${error.look_problem} primary=${true} /></${Empty}>`;
  }
  if (!view) return error ? html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />` : html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const name = process.name || id;
  return html`
    <div class="heading">
      <div><h1 dir="auto">${name}</h1><p class="row"><${Status} process=${process} /><span class="faint mono">${id}</span>
        ${process.sweep_id && process.sweep_id !== id && html`<${Link} href=${`/trainings/${process.sweep_id}`}>${t.training.inSweep}</${Link}>`}</p></div>
      <div class="actions">
        ${!hasEnded(process) && view.follows && html`<span class="faint">${t.training.followed}</span>`}
        ${!hasEnded(process) && !view.follows && html`<label class="switch"><input type="checkbox" role="switch" checked=${live} onChange=${(event) => setLive(event.target.checked)} /><span>${t.training.live}</span><span class="faint">${t.training.liveNote}</span></label>`}
        ${!isLive && html`<${AskWorker} post=${post} path=${path} ask=${view.ask} look=${view.look_problem} knownAt=${view.known_at} primary=${!view.whole} />`}
      </div>
    </div>
    <${Failure} process=${process} />
    ${!view.whole && html`<p class="faint">${t.training.partly}</p>`}
    <${Progress} process=${process} cost=${view.cost} gpus=${view.gpus} />
    <${Steering} process=${process} path=${path} />
    ${process.warnings?.length > 0 && html`<div class="notice quiet"><ul>${process.warnings.map((text, place) => html`<li key=${place}>${text}</li>`)}</ul></div>`}
    <${Sweep} members=${process.processes} />
    ${process.type !== "sweep" && html`<${TrainingParts} view=${view} path=${path} name=${name.slice(0, 60)} />`}
    <section class="panel" aria-labelledby="log"><h2 id="log">${t.training.log}</h2><${LogPages} lines=${process.log_tail} path=${path} free=${view.follows} /></section>`;
}

function TrainingParts({ view, path, name }) {
  const { process } = view;
  return html`
    <section class="panel" aria-labelledby="samples"><h2 id="samples">${t.training.samples}</h2><${Samples} samples=${view.samples} /></section>
    <section class="panel" aria-labelledby="curve"><h2 id="curve">${t.training.curve}</h2><${Curves} view=${view} name=${name} /></section>
    <div class="columns">
      <section class="panel" aria-labelledby="checkpoints"><h2 id="checkpoints">${t.training.checkpoints}</h2><${Checkpoints} process=${process} path=${path} ask=${view.ask} free=${view.follows} /></section>
      <section class="panel" aria-labelledby="settings"><h2 id="settings">${t.training.settings}</h2><${Facts} facts=${SETTINGS.map((fact) => fact(process))} /></section>
    </div>
    <${Dataset} dataset=${process.dataset} sheet=${view.sheet} />`;
}
