// One comparison: the recommended checkpoint, the ranking with its reasons, and every cell.
import { classes, html, useMemo, useState } from "../dom.js";
import { useResource } from "../store.js";
import { integer, number } from "../format.js";
import { askPeriod, AskWorker, Cost } from "../parts/ask.js";
import { KeepDialog } from "../parts/keep.js";
import { Lightbox } from "../parts/lightbox.js";
import { Empty, Notice } from "../parts/notice.js";
import { Picture } from "../parts/picture.js";
import { hasEnded, Status } from "../parts/status.js";
import { t } from "../strings.js";

const EVERY_MS = 10_000;

/** Return the name of what drew a cell: what is special to its training in a sweep, its step, and its weight if that is not 1. */
export function drawnBy({ step, weight, lora, variant_label }) {
  if (weight === 0) return t.comparison.base;
  const own = step != null ? t.comparison.step(integer(step)) : String(lora ?? "LoRA");
  const name = variant_label ? `${variant_label}, ${own}` : own;
  return weight == null || weight === 1 ? name : `${name}, ${t.comparison.weight(number(weight))}`;
}

const same = (one, other) => Boolean(one && other) && ["process_id", "step", "weight"].every((name) => one[name] === other[name]);

/** Return the checkpoints of trainings that were compared, each once. */
function candidatesOf(cells) {
  const found = new Map();
  for (const { process_id, step, weight, lora, variant_label } of cells) if (process_id && step != null) found.set(`${process_id} ${step} ${weight}`, { process_id, step, weight, lora, variant_label });
  return [...found.values()];
}

function Keep({ one, keep }) {
  if (!one.process_id || one.step == null) return null;
  return html`<button type="button" class="small" aria-label=${t.comparison.keepOf(drawnBy(one))} onClick=${() => keep(one)}>${t.comparison.keep}<${Cost} reads=${true} /></button>`;
}

function Ranking({ process, cells, keep }) {
  const ranked = process.ranking ?? [];
  if (!ranked.length) {
    return html`<p class="faint">${t.comparison.noScores}</p>
      <ul class="ranking">${candidatesOf(cells).map((one, place) => html`<li key=${place}><p class="row"><span class="strong">${drawnBy(one)}</span><${Keep} one=${one} keep=${keep} /></p></li>`)}</ul>`;
  }
  return html`
    <ol class="ranking">${ranked.map((one, place) => html`
      <li key=${place} class=${classes(same(one, process.recommended) && "best")}>
        <p class="row"><span class="strong">${drawnBy(one)}</span><span class="score">${number(one.score)}</span>${same(one, process.recommended) && html`<span class="tag good">${t.comparison.recommended}</span>`}<${Keep} one=${one} keep=${keep} /></p>
        ${(one.reasons ?? []).map((reason, at) => html`<p key=${at} class="faint">${reason}</p>`)}
      </li>`)}</ol>`;
}

function Cell({ cell, best, open }) {
  const label = drawnBy(cell);
  const picture = html`<${Picture} digest=${cell.picture} alt=${t.comparison.cell(cell.prompt.slice(0, 200), label)} missing=${t.samples.missing} />`;
  const scores = Object.entries(cell.scores ?? {}).filter(([, value]) => value != null);
  return html`
    <figure class=${classes("frame", best && "best")}>
      ${cell.picture ? html`<button type="button" class="open" onClick=${open}>${picture}</button>` : picture}
      <figcaption><span>${label}</span>${best && html` <span class="tag good">${t.comparison.recommended}</span>`}
        ${scores.map(([name, value]) => html`<span key=${name} class="score faint">${t.comparison.scores[name] ?? name} ${number(value)}</span>`)}</figcaption>
    </figure>`;
}

function rowsOf(cells) {
  const rows = new Map();
  for (const cell of cells) {
    const key = `${cell.seed} ${cell.prompt}`;
    if (!rows.has(key)) rows.set(key, { key, prompt: cell.prompt, seed: cell.seed, cells: [] });
    rows.get(key).cells.push(cell);
  }
  return [...rows.values()];
}

function Cells({ cells, recommended }) {
  const rows = useMemo(() => rowsOf(cells), [cells]);
  const [shown, setShown] = useState(null);
  const seeds = new Set(rows.map((row) => row.seed)).size;
  return html`
    ${rows.map((row) => html`
      <section key=${row.key} class="prompt wide">
        <h3 class="clamp" title=${row.prompt} dir="auto">${row.prompt}${seeds > 1 && html` <span class="faint">${t.comparison.seed(row.seed)}</span>`}</h3>
        <div class="frames">${row.cells.map((cell, place) => html`<${Cell} key=${place} cell=${cell} best=${same(cell, recommended)} open=${() => setShown({ row, picture: cell.picture })} />`)}</div>
      </section>`)}
    ${shown && html`<${Lightbox} title=${shown.row.prompt} first=${shown.picture} onClose=${() => setShown(null)} frames=${shown.row.cells.map((cell) => ({ label: drawnBy(cell), picture: cell.picture }))} />`}`;
}

export default function Comparison({ id }) {
  const path = `/api/comparisons/${encodeURIComponent(id)}`;
  const { data: view, error } = useResource(path, (known) => askPeriod(known, known?.process && !hasEnded(known.process) ? EVERY_MS : 0));
  const [kept, setKept] = useState(null);
  const ask = html`<${AskWorker} post=${`${path}/ask`} path=${path} ask=${(view ?? error)?.ask} look=${(view ?? error)?.look_problem} knownAt=${view?.known_at} primary=${!view?.whole} />`;
  if (!view && error?.code === "not_found") return html`<h1 class="mono">${id}</h1><${Empty} text=${t.comparison.unknown}>${ask}</${Empty}>`;
  if (!view) return error ? html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />` : html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const { process, cells } = view;
  return html`
    <div class="heading"><div><h1 dir="auto">${process.name || id}</h1><p class="row"><${Status} process=${process} /><span class="faint mono">${id}</span></p></div><div class="actions">${ask}</div></div>
    ${process.failure && html`<${Notice} title=${t.training.why} problem=${{ error: process.failure.message, hint: process.failure.hint }} />`}
    <section class="panel" aria-labelledby="ranking"><h2 id="ranking">${t.comparison.ranking}</h2><${Ranking} process=${process} cells=${cells} keep=${setKept} /></section>
    ${kept && html`<${KeepDialog} one=${kept} label=${drawnBy(kept)} onClose=${() => setKept(null)} />`}
    <section class="panel" aria-labelledby="cells"><h2 id="cells">${t.comparison.grid}</h2>
      ${cells.length ? html`<${Cells} cells=${cells} recommended=${process.recommended} />` : html`<p class="faint">${t.comparison.empty}</p>`}</section>`;
}
