// All datasets that the console has heard of, and the place to drop a new one.
import { classes, html } from "../dom.js";
import { contentUrl } from "../api.js";
import { Link } from "../router.js";
import { useResource } from "../store.js";
import { bytes, since } from "../format.js";
import { askPeriod, AskWorker } from "../parts/ask.js";
import { Empty, Notice } from "../parts/notice.js";
import { DropZone } from "../parts/upload.js";
import { t } from "../strings.js";

const PATH = "/api/datasets";

function Cover({ pictures = [] }) {
  if (!pictures.length) return html`<div class="quad"><span class="picture missing"><span>${t.datasets.noPicture}</span></span></div>`;
  const few = pictures.length < 4 ? pictures.slice(0, 1) : pictures;
  return html`<div class=${classes("quad", few.length === 1 && "one")}>${few.map((digest, place) => html`<img key=${place} src=${contentUrl(digest, 384)} alt="" loading="lazy" decoding="async" />`)}</div>`;
}

function DatasetCard({ dataset, staged }) {
  const name = dataset.training_name;
  return html`
    <article class="card">
      <${Link} href=${`/datasets/${encodeURIComponent(name)}`} class="cover"><${Cover} pictures=${dataset.pictures} /><h3 dir="auto" title=${name}>${name}</h3></${Link}>
      <div class="card-text">
        <p>${t.datasets.holds(dataset.images ?? 0, dataset.videos ?? 0, dataset.captions ?? 0)}</p>
        <p class="row faint"><span>${bytes(dataset.total_bytes)}</span><span>${dataset.modified_at && since(dataset.modified_at)}</span></p>
        ${(staged || dataset.used_by?.length > 0) && html`<p class="row">${staged && html`<span class="tag warn">${t.datasets.waits(staged.files)}</span>`}${dataset.used_by?.length > 0 && html`<span class="faint">${t.datasets.used(dataset.used_by.length)}</span>`}</p>`}
      </div>
    </article>`;
}

export default function Datasets() {
  const { data, error } = useResource(PATH, askPeriod);
  if (error && !data) return html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const waiting = new Map(data.uploads.map((one) => [one.training_name, one]));
  const known = new Set(data.datasets.map((one) => one.training_name));
  const shown = [...data.datasets, ...data.uploads.filter((one) => !known.has(one.training_name)).map(({ training_name, total_bytes }) => ({ training_name, total_bytes }))];
  const knownAt = data.datasets.map((one) => one.known_at).sort().at(-1);
  const ask = html`<${AskWorker} post=${`${PATH}/ask`} path=${PATH} ask=${data.ask} knownAt=${knownAt} primary=${!knownAt} />`;
  return html`
    <div class="heading"><div><h1>${t.datasets.title}</h1><p class="faint">${t.datasets.lead}</p></div>${shown.length > 0 && ask}</div>
    <${DropZone} />
    ${shown.length
      ? html`<ul class="cards" aria-label=${t.datasets.title}>${shown.map((one) => html`<li key=${one.training_name}><${DatasetCard} dataset=${one} staged=${waiting.get(one.training_name)} /></li>`)}</ul>`
      : html`<${Empty} title=${t.datasets.none} text=${t.datasets.noneHint}>${ask}</${Empty}>`}`;
}
