// One dataset: its images with captions, what is odd about them, and everything that can be done with it.
import { html, useEffect, useMemo, useState } from "../dom.js";
import { getJson } from "../api.js";
import { Link, navigate } from "../router.js";
import { useResource } from "../store.js";
import { bytes, integer } from "../format.js";
import { AskWorker, Cost, isAsking, sendAsk } from "../parts/ask.js";
import { BulkDialog } from "../parts/bulk.js";
import { Buckets } from "../parts/buckets.js";
import { CaptionerDialog, CaptioningState } from "../parts/captioner.js";
import { Confirm } from "../parts/confirm.js";
import { CaptionEditor } from "../parts/editor.js";
import { Facts } from "../parts/facts.js";
import { Gallery } from "../parts/gallery.js";
import { Empty, Notice } from "../parts/notice.js";
import { DropZone, UploadState } from "../parts/upload.js";
import { useDrafts } from "../captions.js";
import { t } from "../strings.js";

const ASKS = ["ask", "edit", "preview", "caption", "delete", "upload"];
const NOTHING = [];
const period = (view) => (view && (view.looking || ASKS.some((name) => isAsking(view[name]))) ? 1000 : 0);
const kindOf = (flag) => flag.split(":")[0];

/** The items of a version of a dataset; those before are shown until they are here. */
function useItems(name, version) {
  const [items, setItems] = useState(NOTHING);
  useEffect(() => {
    let current = true;
    if (version) getJson(`/api/datasets/${encodeURIComponent(name)}/items?v=${version}`).then((found) => current && setItems(found.items), () => {});
    return () => { current = false; };
  }, [name, version]);
  return items;
}

/** Return which items are shown, and the filter. */
function useFilter(items, drafts, selected) {
  const [words, setWords] = useState("");
  const [flag, setFlag] = useState("");
  const flags = useMemo(() => {
    const counts = new Map();
    for (const item of items) for (const kind of new Set(item.flags.map(kindOf))) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return counts;
  }, [items]);
  const marked = flag === "selected" ? selected : flag === "drafts" ? drafts.size : null;
  const shown = useMemo(() => {
    const wanted = words.toLowerCase();
    const fits = { "": () => true, selected: (item) => selected.has(item.name), drafts: (item) => drafts.has(item.name) }[flag] ?? ((item) => item.flags.some((one) => kindOf(one) === flag));
    return items.filter((item) => fits(item) && (!wanted || item.name.toLowerCase().includes(wanted) || item.caption.toLowerCase().includes(wanted)));
  }, [items, words, flag, marked]);
  const controls = html`
    <input type="search" aria-label=${t.dataset.filter} placeholder=${t.dataset.filter} value=${words} onInput=${(event) => setWords(event.target.value)} />
    <select aria-label=${t.dataset.flag} value=${flag} onChange=${(event) => setFlag(event.target.value)}>
      <option value="">${t.dataset.anyFlag}</option>
      ${[...flags].map(([kind, count]) => html`<option key=${kind} value=${kind}>${t.dataset.flags[kind] ?? kind} (${count})</option>`)}
      ${selected.size > 0 && html`<option value="selected">${t.dataset.chosen} (${selected.size})</option>`}
      ${drafts.size > 0 && html`<option value="drafts">${t.dataset.unsaved} (${drafts.size})</option>`}
    </select>
    <span class="faint" role="status">${t.dataset.shown(shown.length, items.length)}</span>`;
  return { shown, controls };
}

/** Return the names that are selected, and how to select a place or the range up to it. */
function useSelection(shownAt) {
  const [selected, setSelected] = useState(new Set());
  const [last, setLast] = useState(0);
  const select = (place, range) => {
    const next = new Set(selected);
    const shown = shownAt();
    const add = !selected.has(shown[place].name);
    for (const item of shown.slice(range ? Math.min(last, place) : place, (range ? Math.max(last, place) : place) + 1)) next[add ? "add" : "delete"](item.name);
    setLast(place);
    setSelected(next);
  };
  return { selected, select, setSelected };
}

function Saving({ drafts, clear, view, path }) {
  const [problem, setProblem] = useState(null);
  const busy = isAsking(view.edit);
  const save = () => sendAsk(`/api/datasets/${encodeURIComponent(view.name)}/edit`, path, { captions: Object.fromEntries(drafts) }).then(() => setProblem(null), (error) => setProblem({ error: error.message, hint: error.hint }));
  const failed = problem ?? (busy ? null : view.edit?.problem);
  if (!drafts.size && !busy && !failed) return null;
  return html`
    <div class="bar" role="group" aria-label=${t.dataset.unsaved}>
      ${busy ? html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${view.edit.waits ? t.ask.waiting : t.dataset.saving}</span>` : html`<span class="faint">${t.dataset.draftsNote}</span>`}
      ${drafts.size > 0 && !busy && html`<div class="controls"><button type="button" class="primary" onClick=${save}>${t.dataset.save(drafts.size)}<${Cost} reads=${true} /></button><button type="button" onClick=${clear}>${t.dataset.dropDrafts}</button></div>`}
    </div>
    ${failed && html`<${Notice} problem=${failed} />`}`;
}

const DIALOGS = { bulk: BulkDialog, captioner: CaptionerDialog };

function Known({ view, path }) {
  const items = useItems(view.name, view.version);
  let shown = items;
  const { selected, select, setSelected } = useSelection(() => shown);
  const { drafts, write, clear } = useDrafts(view.identity ?? view.name, items, view.whole);
  const filter = useFilter(items, drafts, selected);
  shown = filter.shown;
  const [open, setOpen] = useState(null);
  const [dialog, setDialog] = useState(null);
  const base = `/api/datasets/${encodeURIComponent(view.name)}`;
  const send = (body) => sendAsk(`${base}/edit`, path, body).then(() => setSelected(new Set()), () => {});
  const names = (list) => list.map((item) => item.name);
  const chosen = [...selected];
  const place = open === null ? -1 : shown.findIndex((item) => item.name === open);
  const Shown = DIALOGS[dialog];
  const saving = html`<${Saving} drafts=${drafts} clear=${clear} view=${view} path=${path} />`;
  return html`
    ${saving}
    <div class="toolbar controls" role="search">${filter.controls}
      ${selected.size > 0
        ? html`<span>${t.dataset.selected(selected.size)}</span><button type="button" onClick=${() => setSelected(new Set())}>${t.dataset.selectNone}</button><button type="button" class="danger" onClick=${() => setDialog("items")}>${t.dataset.remove(selected.size)}</button>`
        : html`<button type="button" onClick=${() => setSelected(new Set(names(shown)))} disabled=${!shown.length}>${t.dataset.selectShown}</button>`}
      <button type="button" onClick=${() => setDialog("bulk")} disabled=${!items.length}>${t.dataset.change}</button>
      <button type="button" onClick=${() => setDialog("captioner")} disabled=${isAsking(view.caption)}>${t.dataset.caption}</button>
    </div>
    ${shown.length || !items.length ? html`<${Gallery} items=${shown} drafts=${drafts} selected=${selected} onOpen=${(at) => setOpen(shown[at].name)} onSelect=${select} />` : html`<p class="faint">${t.dataset.none}</p>`}
    ${place >= 0 && html`<${CaptionEditor} items=${shown} place=${place} draft=${drafts.get(open)} onMove=${(at) => setOpen(shown[at].name)} onWrite=${write} onClose=${() => setOpen(null)}>${saving}</${CaptionEditor}>`}
    ${Shown && html`<${Shown} view=${view} path=${path} selected=${chosen} scopes=${{ all: names(items), shown: names(shown), selected: chosen }} onClose=${() => setDialog(null)} />`}
    ${dialog === "items" && html`<${Confirm} title=${t.dataset.removeTitle(selected.size)} text=${t.dataset.removeText} action=${t.dataset.doRemove} asks=${true} onClose=${() => setDialog(null)} onConfirm=${() => send({ delete_names: chosen })} />`}`;
}

function About({ view, path }) {
  const { page } = view;
  const words = page.caption_statistics;
  const facts = [
    [t.dataset.facts.images, integer(page.images)], [t.dataset.facts.videos, page.videos && integer(page.videos)], [t.dataset.facts.captions, integer(page.captions)], [t.dataset.facts.size, bytes(page.total_bytes)],
    [t.dataset.facts.words, words && `${words.words_min}–${words.words_max}`], [t.dataset.facts.path, page.path],
  ];
  return html`
    <div class="columns">
      <section class="panel" aria-label=${t.nav.dataset}><${Facts} facts=${facts} />
        ${page.problems?.length > 0 && html`<h2 class="later">${t.dataset.problems}</h2><ul>${page.problems.map((one) => html`<li key=${one.code}>${one.message.slice(0, 400)}</li>`)}</ul>`}</section>
      <${Buckets} view=${view} path=${path} />
    </div>`;
}

export default function Dataset({ name }) {
  const path = `/api/datasets/${encodeURIComponent(name)}`;
  const { data: view, error } = useResource(path, period);
  const [asked, setAsked] = useState(false);
  const [deleting, setDeleting] = useState(false);
  useEffect(() => {
    if (deleting && error?.code === "not_found") navigate("/datasets");
  }, [deleting, error]);
  const ask = (known) => html`<${AskWorker} post=${`${path}/ask`} path=${path} ask=${view?.ask} knownAt=${view?.known_at} counted=${t.dataset.reading} primary=${!known} />`;
  const unknown = view ? !view.page && !view.listed && !view.staged && !isAsking(view.upload) : error?.code === "not_found";
  if (unknown) return html`<h1 dir="auto">${name}</h1><${Empty} text=${t.dataset.unknown}>${ask(false)}</${Empty}>`;
  if (!view) return error ? html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />` : html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const undo = () => sendAsk(`${path}/edit`, path, { undo: view.newest_edit }).catch(() => {});
  const remove = () => sendAsk(`${path}/delete`, path, {}).then(() => setDeleting(true), () => {});
  return html`
    <div class="heading"><div><h1 dir="auto">${name}</h1>${view.listed && html`<p class="faint">${t.datasets.holds(view.listed.images, view.listed.videos, view.listed.captions)}</p>`}</div>
      <div class="actions">${view.newest_edit && html`<button type="button" onClick=${undo} disabled=${isAsking(view.edit)}>${t.dataset.undo}<${Cost} reads=${true} /></button>`}${(view.page || view.listed) && html`<${Link} href=${`/new?dataset=${encodeURIComponent(name)}`}>${t.dataset.train}</${Link}>${ask(Boolean(view.page))}`}</div></div>
    <${UploadState} view=${view} path=${path} />
    <${CaptioningState} ask=${view.caption} />
    ${view.delete?.problem && html`<${Notice} problem=${view.delete.problem} />`}
    ${view.page ? html`<${Known} view=${view} path=${path} />` : view.listed && html`<p class="faint">${t.dataset.unseen}</p>`}
    ${view.page && html`<${About} view=${view} path=${path} />`}
    ${(view.page || view.listed) && html`<${DropZone} dataset=${name} />
      <div class="controls end"><button type="button" class="danger" disabled=${isAsking(view.delete)} onClick=${() => setAsked(true)}>${t.dataset.removeAll}</button></div>`}
    ${asked && html`<${Confirm} title=${t.dataset.removeAllTitle(name.slice(0, 80))} text=${t.dataset.removeAllText} action=${t.dataset.doRemove} asks=${true} onClose=${() => setAsked(false)} onConfirm=${remove} />`}`;
}
