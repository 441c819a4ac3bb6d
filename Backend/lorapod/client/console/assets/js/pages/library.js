// The models of the volume: LoRAs first of all.
import { html, useState } from "../dom.js";
import { Link } from "../router.js";
import { useResource } from "../store.js";
import { bytes, integer, since } from "../format.js";
import { askPeriod, AskWorker, isAsking } from "../parts/ask.js";
import { LIBRARY, Making, MergeDialog, modelLink, nameOf } from "../parts/making.js";
import { Empty, Notice } from "../parts/notice.js";
import { Picture } from "../parts/picture.js";
import { t } from "../strings.js";

const MOST = 200;

const matches = (model, words) =>
  [model.name, model.title, model.training, model.base_model, ...(model.trigger_words ?? []), ...(model.tags ?? [])].some((text) => text?.toLowerCase().includes(words.toLowerCase()));

function ModelCard({ model, chosen, onChoose }) {
  const name = nameOf(model);
  const measures = [model.rank && t.library.rank(model.rank), model.step && t.library.step(integer(model.step)), bytes(model.size_bytes)];
  return html`
    <article class="card">
      <${Link} href=${modelLink(model.path)} class="cover"><${Picture} digest=${model.picture} alt="" missing=${t.library.noPicture} /><h3 dir="auto" title=${name}>${name}</h3></${Link}>
      <div class="card-text">
        <p class="row"><span class="tag">${t.library.kinds[model.kind] ?? model.kind ?? t.library.unread}</span>${model.whole === false && html`<span class="tag warn">${t.library.damaged}</span>`}<span class="faint">${since(model.modified_at)}</span></p>
        ${model.base_model && html`<p class="clamp" dir="auto">${model.base_model}</p>`}
        <p class="faint">${measures.filter(Boolean).join(" · ")}</p>
        ${model.trigger_words?.length > 0 && html`<p class="row">${model.trigger_words.slice(0, 3).map((word) => html`<span key=${word} class="tag good clip" dir="auto" title=${word}>${word}</span>`)}</p>`}
        ${model.kind === "lora" && html`<label class="check"><input type="checkbox" checked=${chosen} onChange=${onChoose} aria-label=${t.library.choose(name.slice(0, 80))} /><span aria-hidden="true">${t.library.merge(1)}</span></label>`}
      </div>
    </article>`;
}

export default function Library() {
  const { data, error } = useResource(LIBRARY, (known) => (isAsking(known?.making) ? 1000 : askPeriod(known)));
  const [words, setWords] = useState("");
  const [kind, setKind] = useState("");
  const [chosen, setChosen] = useState([]);
  const [merges, setMerges] = useState(false);
  if (error && !data) return html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const { models } = data;
  const kinds = [...new Set(models.map((one) => one.kind).filter(Boolean))].sort();
  const shown = models.filter((one) => (!kind || one.kind === kind) && matches(one, words));
  const picked = models.filter((one) => chosen.includes(one.path));
  const toggle = (path) => setChosen(chosen.includes(path) ? chosen.filter((one) => one !== path) : [...chosen, path]);
  const ask = html`<${AskWorker} post=${`${LIBRARY}/list`} path=${LIBRARY} ask=${data.ask} look=${data.look_problem} knownAt=${data.known_at} primary=${!data.known_at} />`;
  if (!models.length) return html`<h1>${t.library.title}</h1><${Making} making=${data.making} /><${Empty} title=${t.library.none} text=${t.library.noneHint}>${ask}</${Empty}>`;
  return html`
    <div class="heading"><div><h1>${t.library.title}</h1><p class="faint">${t.library.lead}</p></div>${ask}</div>
    <${Making} making=${data.making} />
    <div class="controls" role="search">
      <input type="search" aria-label=${t.library.filter} placeholder=${t.library.filter} value=${words} onInput=${(event) => setWords(event.target.value)} />
      <select aria-label=${t.library.kind} value=${kind} onChange=${(event) => setKind(event.target.value)}><option value="">${t.library.any}</option>${kinds.map((one) => html`<option key=${one} value=${one}>${t.library.kinds[one] ?? one}</option>`)}</select>
      <button type="button" disabled=${picked.length < 2} title=${t.library.mergeHint} onClick=${() => setMerges(true)}>${t.library.merge(picked.length)}</button>
      <span class="faint" role="status">${t.library.count(shown.length)}</span>
    </div>
    <ul class="cards" aria-label=${t.library.title}>${shown.slice(0, MOST).map((model) => html`<li key=${model.path}><${ModelCard} model=${model} chosen=${chosen.includes(model.path)} onChoose=${() => toggle(model.path)} /></li>`)}</ul>
    ${merges && html`<${MergeDialog} models=${picked} onClose=${() => setMerges(false)} />`}`;
}
