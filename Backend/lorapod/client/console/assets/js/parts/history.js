// What the playground drew: the newest first, each with the request that drew it.
import { html, useState } from "../dom.js";
import { contentUrl, postJson } from "../api.js";
import { refresh } from "../store.js";
import { duration, number, since } from "../format.js";
import { FileCost } from "./ask.js";
import { Lightbox } from "./lightbox.js";
import { Notice } from "./notice.js";
import { Picture } from "./picture.js";
import { t } from "../strings.js";

const lastPart = (path) => path.split("/").at(-1).replace(/\.safetensors$/, "");

function Image({ image, place, prompt, open, into, fetchFile }) {
  const label = `${t.playground.image(place)}: ${prompt.slice(0, 160)}`;
  if (!image.picture) return html`<figure class="frame"><${Picture} missing=${t.playground.gone} /><figcaption><button type="button" class="small" onClick=${() => fetchFile(image.path)}>${t.playground.save}<${FileCost} /></button></figcaption></figure>`;
  return html`
    <figure class="frame"><button type="button" class="open" onClick=${open}><${Picture} digest=${image.picture} alt=${label} /></button>
      <figcaption class="controls"><a class="button small" href=${contentUrl(image.picture)} download=${image.filename}>${t.playground.save}</a><button type="button" class="small" onClick=${into}>${t.playground.into}</button></figcaption></figure>`;
}

function Drawn({ entry, path, read, onAgain, onInto }) {
  const { request, images, others = [] } = entry;
  const [shown, setShown] = useState(null);
  const forget = () => postJson(`${path}/forget`, { job_id: entry.job_id }).then(() => refresh(read));
  const fetchFile = (file) => postJson(`${path}/download`, { path: file }).then(({ url }) => location.assign(url));
  const facts = [
    entry.seed != null && t.playground.seed(entry.seed), request.width && request.height && `${request.width} × ${request.height}`, request.steps && `${request.steps} ${t.playground.field.steps.toLowerCase()}`,
    request.model, ...(request.loras ?? []).map((lora) => `${lastPart(lora.path)} × ${number(Number(lora.weight))}`), entry.took_s && t.playground.took(duration(entry.took_s)), since(entry.created_at),
  ];
  return html`
    <li class="panel drawn">
      <p class="clamp strong" dir="auto" title=${request.prompt}>${request.prompt}</p>
      <p class="faint clamp" dir="auto">${facts.filter(Boolean).join(" · ")}</p>
      ${entry.status !== "completed" && html`<p><span class=${entry.status === "running" ? "tag" : "tag warn"}>${t.playground.status[entry.status]}</span></p>`}
      ${entry.problem && html`<${Notice} kind="quiet" problem=${entry.problem} />`}
      ${(entry.warnings ?? []).map((text, place) => html`<p key=${place} class="faint">${text}</p>`)}
      <div class="frames">${images.map((image, place) => html`<${Image} key=${place} image=${image} place=${place + 1} prompt=${request.prompt} open=${() => setShown(image.picture)} into=${() => onInto(image)} fetchFile=${fetchFile} />`)}</div>
      <div class="controls"><button type="button" onClick=${() => onAgain(entry)}>${t.playground.again}</button>
        ${others.map((file) => html`<button key=${file.path} type="button" onClick=${() => fetchFile(file.path)}>${t.playground.save} ${file.filename}</button>`)}
        ${entry.status !== "running" && html`<button type="button" class="small" onClick=${forget}>${t.playground.forget}</button>`}</div>
      ${shown && html`<${Lightbox} title=${request.prompt} first=${shown} onClose=${() => setShown(null)} frames=${images.map((image, place) => ({ label: t.playground.image(place + 1), picture: image.picture }))} />`}
    </li>`;
}

export function History({ history, path, read, onAgain, onInto }) {
  if (!history.length) return html`<p class="faint">${t.playground.historyNone}</p>`;
  return html`<ul class="drawings" aria-label=${t.playground.history}>${history.map((entry) => html`<${Drawn} key=${entry.job_id} entry=${entry} path=${path} read=${read} onAgain=${onAgain} onInto=${onInto} />`)}</ul>`;
}
