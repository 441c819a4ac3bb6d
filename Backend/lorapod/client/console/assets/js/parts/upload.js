// Uploads: a place to drop files, and what has become of them.
import { classes, html, useState } from "../dom.js";
import { chosenFiles, droppedFiles, stage, withoutTop } from "../files.js";
import { bytes } from "../format.js";
import { navigate } from "../router.js";
import { postJson } from "../api.js";
import { refresh } from "../store.js";
import { Cost, isAsking, sendAsk } from "./ask.js";
import { Dialog } from "./dialog.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

const plain = (name) => name.replace(/[^\p{L}\p{N} _.+()[\]-]+/gu, "_").replace(/^[^\p{L}\p{N}]+/u, "").slice(0, 60).trim();
const problemOf = (error) => ({ error: error.message, hint: error.hint });

function UploadDialog({ dropped, fixed, onClose }) {
  const { files, name } = withoutTop(dropped);
  const [progress, setProgress] = useState(null);
  const [problem, setProblem] = useState(null);
  const size = bytes(files.reduce((sum, { file }) => sum + file.size, 0));
  const send = async (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    const dataset = fixed ?? form.name;
    try {
      setProgress([0, files.length]);
      const { total } = await stage(dataset, files, (...done) => setProgress(done));
      if (!total) {
        setProblem({ error: t.upload.none });
        setProgress(null);
        return;
      }
      const base = `/api/datasets/${encodeURIComponent(dataset)}`;
      await sendAsk(`${base}/upload/send`, base, { trigger_word: form.trigger, fix: form.fix === "on" });
      onClose();
      navigate(`/datasets/${encodeURIComponent(dataset)}`);
    } catch (error) {
      setProblem(problemOf(error));
      setProgress(null);
    }
  };
  return html`
    <${Dialog} title=${t.upload.title(files.length, size)} onClose=${onClose}>
      <form class="stack" onSubmit=${send}>
        <h2>${t.upload.title(files.length, size)}</h2>
        ${!fixed && html`<label class="field">${t.upload.name}<input type="text" name="name" required value=${plain(name)} maxlength="100" /></label>`}
        <label class="field">${t.upload.trigger}<input type="text" name="trigger" maxlength="100" autocomplete="off" /></label>
        <label class="check"><input type="checkbox" name="fix" />${t.upload.fix}</label>
        ${problem && html`<${Notice} problem=${problem} />`}
        ${progress
          ? html`<div role="status"><p>${t.upload.copying(...progress)}</p><progress max=${progress[1]} value=${progress[0]} aria-label=${t.upload.copying(...progress)}></progress></div>`
          : html`<div class="controls end"><button type="button" onClick=${onClose}>${t.training.back}</button><button type="submit" class="primary">${t.upload.start}<${Cost} reads=${true} /></button></div>`}
      </form>
    </${Dialog}>`;
}

/** @param dataset the name, if the files go to one that is there */
export function DropZone({ dataset }) {
  const [over, setOver] = useState(false);
  const [dropped, setDropped] = useState(null);
  const take = (files) => files.length && setDropped(files);
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    droppedFiles(event.dataTransfer).then(take);
  };
  const choose = (event) => {
    take(chosenFiles(event.target));
    event.target.value = "";
  };
  return html`
    <div class=${classes("drop", over && "over")} onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
      <p>${t.upload.drop}</p>
      <label class="pick">${t.upload.files}<input type="file" multiple onChange=${choose} /></label>
      <label class="pick">${t.upload.folder}<input type="file" webkitdirectory multiple onChange=${choose} /></label>
    </div>
    ${dropped && html`<${UploadDialog} dropped=${dropped} fixed=${dataset} onClose=${() => setDropped(null)} />`}`;
}

/** What became of the last upload of a dataset: under way, waiting on this machine, or done. */
export function UploadState({ view, path }) {
  const { upload, staged } = view;
  const [problem, setProblem] = useState(null);
  const base = `/api/datasets/${encodeURIComponent(view.name)}/upload`;
  const send = () => sendAsk(`${base}/send`, path, {}).catch((error) => setProblem(problemOf(error)));
  const discard = () => postJson(`${base}/discard`).then(() => refresh(path), (error) => setProblem(problemOf(error)));
  if (isAsking(upload)) {
    const text = upload.waits ? t.ask.waiting : t.upload.sending(bytes(upload.done), bytes(upload.total));
    return html`<div class="bar" role="status"><span>${text}</span><progress max=${upload.total || 1} value=${upload.done} aria-label=${text}></progress></div>`;
  }
  const failed = problem ?? upload?.problem;
  return html`
    ${failed && html`<${Notice} problem=${failed} />`}
    ${staged && html`<div class="bar"><div><p class="strong">${t.upload.waits(staged.files, bytes(staged.total_bytes))}</p><p class="faint">${t.upload.waitsHint}</p></div>
      <div class="controls"><button type="button" class="primary" onClick=${send}>${t.upload.send}<${Cost} reads=${true} /></button><button type="button" onClick=${discard}>${t.upload.discard}</button></div></div>`}
    ${upload?.answer && html`<div class="notice quiet" role="status"><p>${t.upload.done(upload.answer.images, upload.answer.captions)}</p>
      ${upload.answer.rejected.length > 0 && html`<p>${t.upload.rejected}:</p>`}<ul>${[...upload.answer.rejected.map((one) => `${one.filename}: ${one.error}`), ...upload.answer.warnings].slice(0, 20).map((text, place) => html`<li key=${place}>${text}</li>`)}</ul></div>`}`;
}
