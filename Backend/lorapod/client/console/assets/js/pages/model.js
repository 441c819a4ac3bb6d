// One model: what is known of it, what people wrote about it, and what can be made of it.
import { html, useEffect, useState } from "../dom.js";
import { contentUrl, postJson } from "../api.js";
import { Link, navigate } from "../router.js";
import { useResource } from "../store.js";
import { at, bytes, integer, small } from "../format.js";
import { AskWorker, AskProgress, Cost, FileCost, isAsking, sendAsk } from "../parts/ask.js";
import { Confirm } from "../parts/confirm.js";
import { Facts } from "../parts/facts.js";
import { Field, problemOf } from "../parts/field.js";
import { lastPart, LIBRARY, Making, nameOf, useMaking } from "../parts/making.js";
import { Empty, Notice } from "../parts/notice.js";
import { t } from "../strings.js";

const NOTES = Object.keys(t.library.note);
const LISTS = new Set(["trigger_words", "tags"]);
const LONG = { usage_hint: 2, description: 6 };
const shownNote = (card, name) => (LISTS.has(name) ? (card[name] ?? []).join(", ") : card[name] ?? "");
const writtenNote = (name, text) => (LISTS.has(name) ? text.split(",").map((one) => one.trim()).filter(Boolean) : text.trim() || null);

function CardForm({ path, card, edit, read }) {
  const [changes, setChanges] = useState({});
  const [problem, setProblem] = useState(null);
  const changed = NOTES.filter((name) => name in changes && changes[name] !== shownNote(card, name));
  const save = (event) => {
    event.preventDefault();
    const notes = Object.fromEntries(changed.map((name) => [name, writtenNote(name, changes[name])]));
    sendAsk(`${LIBRARY}/edit`, read, { model: path, ...notes }).then(() => setProblem(null), (error) => setProblem(problemOf(error)));
  };
  useEffect(() => {
    if (edit?.ended && !edit.problem) setChanges({});
  }, [edit?.ended, edit?.began_at]);
  return html`
    <form onSubmit=${save}>
      <div class="knobs">${NOTES.map((name) => html`<${Field} key=${name} id=${`note-${name}`} dir="auto" label=${t.library.note[name]} rows=${LONG[name]} wide=${Boolean(LONG[name])} value=${changes[name] ?? shownNote(card, name)} onInput=${(text) => setChanges({ ...changes, [name]: text })} />`)}</div>
      <p class="faint spaced">${t.library.cardNote}</p>
      ${(problem ?? edit?.problem) && html`<${Notice} problem=${problem ?? edit.problem} />`}
      <div class="controls end">${isAsking(edit) ? html`<${AskProgress} ask=${edit} />` : html`${edit?.ended && !edit.problem && !changed.length && html`<span role="status">${t.library.saved}</span>`}<button type="submit" class="primary" disabled=${!changed.length}>${t.library.save}<${Cost} reads=${true} /></button>`}</div>
    </form>`;
}

function Tools({ model, read, making }) {
  const [rank, setRank] = useState(String(Math.max(1, Math.floor((model.rank ?? 16) / 2))));
  const [format, setFormat] = useState("kohya");
  const { problem, make } = useMaking(read);
  const busy = isAsking(making);
  const send = (action, body) => (event) => {
    event.preventDefault();
    make(action, { path: model.path, ...body });
  };
  const button = (label) => html`<button type="submit" disabled=${busy}>${label}<${Cost} /></button>`;
  return html`
    <section class="panel" aria-labelledby="tools"><h2 id="tools">${t.library.tools}</h2><p class="faint">${t.library.toolsNote}</p>
      <div class="lines">
        <form class="line" onSubmit=${send("resize_lora", { rank: Number(rank), name: `${lastPart(model)}-rank${rank}` })}><${Field} id="new-rank" type="number" min="1" required label=${t.library.newRank} value=${rank} onInput=${setRank} />${button(t.library.resize)}</form>
        <form class="line" onSubmit=${send("convert_lora", { format, name: `${lastPart(model)}-${format}` })}><${Field} id="new-format" label=${t.library.format} value=${format} onInput=${setFormat} choices=${Object.entries(t.library.formats)} />${button(t.library.convert)}</form>
      </div>
      ${problem && html`<${Notice} problem=${problem} />`}<${Making} making=${making} />
    </section>`;
}

function Publish({ model, read, publish }) {
  const [repo, setRepo] = useState("");
  const [isPublic, setPublic] = useState(false);
  const [samples, setSamples] = useState(true);
  const [problem, setProblem] = useState(null);
  const send = (event) => {
    event.preventDefault();
    sendAsk(`${LIBRARY}/publish`, read, { model: model.path, huggingface: { repo_id: repo.trim(), private: !isPublic }, samples }).then(() => setProblem(null), (error) => setProblem(problemOf(error)));
  };
  const done = publish?.ended && publish.answer;
  const trouble = problem ?? (publish?.ended && publish.problem);
  return html`
    <section class="panel" aria-labelledby="publish"><h2 id="publish">${t.library.publish}</h2><p class="faint">${t.library.publishNote}</p>
      <form class="lines" onSubmit=${send}>
        <${Field} id="repo" label=${t.library.repo} placeholder=${t.library.repoHint} required value=${repo} onInput=${setRepo} />
        <div class="controls"><label class="check"><input type="checkbox" checked=${isPublic} onChange=${(event) => setPublic(event.target.checked)} />${t.library.isPublic}</label>
          ${model.process_id && html`<label class="check"><input type="checkbox" checked=${samples} onChange=${(event) => setSamples(event.target.checked)} />${t.library.withSamples}</label>`}
          ${isAsking(publish) ? html`<${AskProgress} ask=${publish} />` : html`<button type="submit">${t.library.publish}<${Cost} reads=${true} /></button>`}</div>
      </form>
      ${trouble && html`<${Notice} problem=${trouble} />`}
      ${done && html`<p role="status"><span class="strong">${t.library.published(done.file, done.samples?.length ?? 0)}</span> <span class="mono">${done.url}</span>${!done.card && html`<br />${t.library.cardKept}`}</p>`}
    </section>`;
}

function About({ model, card }) {
  const { training = {}, architecture } = card ?? {};
  const known = { kind: t.library.kinds[model.kind] ?? model.kind, base_model: model.base_model, rank: model.rank && integer(model.rank), step: model.step && integer(model.step), words: model.trigger_words?.join(", "), size: bytes(model.size_bytes), format: model.format, changed: at(model.modified_at), architecture, alpha: training.alpha, learning_rate: training.learning_rate && small(training.learning_rate), resolution: training.resolution, images: training.images && integer(training.images) };
  return html`<${Facts} facts=${Object.entries(t.library.fact).map(([name, label]) => [label, known[name]])} />
    <p class="faint mono spaced">${model.path}</p>
    ${model.process_id?.startsWith("train_") && html`<p><${Link} href=${`/trainings/${model.process_id}`}>${t.library.training}: ${model.training ?? model.process_id}</${Link}></p>`}`;
}

export default function Model({ path }) {
  const read = `${LIBRARY}/model?path=${encodeURIComponent(path)}`;
  const { data, error } = useResource(read, (known) => (["ask", "edit", "publish", "delete", "making"].some((name) => isAsking(known?.[name])) ? 1000 : 0));
  const [asked, setAsked] = useState(false);
  const [problem, setProblem] = useState(null);
  const refused = (failed) => setProblem(problemOf(failed));
  const gone = error?.code === "not_found";
  useEffect(() => void (gone && asked === "sent" && navigate("/library", { replace: true })), [gone, asked]);
  if (error && !gone && !data) return html`<${Notice} problem=${problemOf(error)} />`;
  if (gone) return html`<h1 class="mono">${path}</h1><${Empty} text=${t.library.unknown}><${Link} href="/library">${t.library.title}</${Link}></${Empty}>`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const { model, card } = data;
  const name = nameOf(model);
  const download = () => postJson(`${LIBRARY}/download`, { model: path }).then(({ url }) => location.assign(url), refused);
  const remove = () => { setAsked("sent"); sendAsk(`${LIBRARY}/delete`, read, { model: path }).catch(refused); };
  const trouble = problem ?? (!isAsking(data.delete) && data.delete?.problem);
  return html`
    <div class="heading"><div><h1 dir="auto">${name}</h1><p class="row">${(model.tags ?? []).map((tag) => html`<span key=${tag} class="tag clip" dir="auto">${tag}</span>`)}</p></div>
      <div class="actions"><${AskWorker} post=${`${LIBRARY}/ask`} body=${{ model: path }} path=${read} ask=${data.ask} knownAt=${null} primary=${!card} /></div></div>
    ${trouble && html`<${Notice} problem=${trouble} />`}
    <div class="desk">
      <div class="main">
        <section class="panel" aria-labelledby="facts"><h2 id="facts">${t.library.facts}</h2><div class=${model.picture ? "about" : ""}>${model.picture && html`<img class="picture" src=${contentUrl(model.picture, 768)} alt="" />`}<div><${About} model=${model} card=${card} /></div></div>
          <div class="controls spaced">
            ${model.kind === "lora" && html`<button type="button" class="primary" onClick=${() => navigate(`/playground?lora=${encodeURIComponent(path)}`)}>${t.library.use}</button>`}
            ${model.format !== "diffusers" && html`<button type="button" onClick=${download}>${t.library.download}<${FileCost} /></button>`}
            ${isAsking(data.delete) ? html`<${AskProgress} ask=${data.delete} />` : html`<button type="button" class="danger" onClick=${() => setAsked("delete")}>${t.library.remove}<${Cost} reads=${true} /></button>`}
          </div></section>
        ${model.kind === "lora" && html`<${Tools} model=${model} read=${read} making=${data.making} />`}
        ${model.format !== "diffusers" && html`<${Publish} model=${model} read=${read} publish=${data.publish} />`}
      </div>
      <section class="panel" aria-labelledby="card"><h2 id="card">${t.library.card}</h2>${card ? html`<${CardForm} path=${path} card=${card} edit=${data.edit} read=${read} />` : html`<p class="faint">${t.library.cardUnread}</p>`}</section>
    </div>
    ${asked === "delete" && html`<${Confirm} title=${t.library.removeTitle(name.slice(0, 120))} text=${t.library.removeText} action=${t.library.remove} onClose=${() => setAsked((now) => (now === "sent" ? now : false))} onConfirm=${remove} />`}`;
}
