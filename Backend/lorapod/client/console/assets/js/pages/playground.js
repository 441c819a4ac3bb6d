// The playground: draw with LoRAs, see what was drawn, draw it again.
import { html, useEffect, useState } from "../dom.js";
import { contentUrl, postJson } from "../api.js";
import { useChoice, useResource } from "../store.js";
import { AskProgress, askPeriod, isAsking, sendAsk } from "../parts/ask.js";
import { useEndpoint } from "../parts/endpoint.js";
import { Field, problemOf } from "../parts/field.js";
import { History } from "../parts/history.js";
import { Loras, missingWords, originOf } from "../parts/loras.js";
import { Notice } from "../parts/notice.js";
import { t } from "../strings.js";

const PATH = "/api/playground";
const HISTORY = `${PATH}/history`;
const NUMBERS = ["width", "height", "steps", "guidance_scale", "seed", "num_images"];
const EMPTY = { prompt: "", negative_prompt: "", model: "", loras: [] };

/** Return the request of what is on the page: numbers as numbers, and nothing that is empty. */
function requestOf(draft) {
  const { picture, ...wanted } = draft;
  const number = (text) => (String(text).trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));
  for (const name of [...NUMBERS, "strength"]) if (name in wanted) wanted[name] = number(wanted[name]);
  wanted.loras = wanted.loras.filter(({ path }) => path).map(({ path, weight }) => ({ path, weight: number(weight === "" ? 1 : weight) }));
  if (!wanted.image) delete wanted.strength;
  return wanted;
}

function useDraft(form) {
  const [draft, setDraft] = useChoice("playground", EMPTY);
  const withLoras = (before, loras) => {
    const base = (list) => list.map(({ path }) => originOf(form, path)?.base_model).find(Boolean) ?? "";
    // The model follows the LoRAs until a person writes another one.
    return { ...before, loras, model: before.model === "" || before.model === base(before.loras) ? base(loras) : before.model };
  };
  useEffect(() => {
    const lora = new URLSearchParams(location.search).get("lora");
    if (!lora) return;
    history.replaceState(null, "", location.pathname);
    if (!draft.loras.some(({ path }) => path === lora)) setDraft(withLoras(draft, [...draft.loras, { path: lora, weight: "1" }]));
  }, []);
  return { draft, setDraft, setLoras: (loras) => setDraft(withLoras(draft, loras)) };
}

function Price({ cost }) {
  const endpoint = useEndpoint();
  return html`<span class="cost">${endpoint?.worker_up ? t.playground.warm(cost) : t.playground.wakes(cost)}</span>`;
}

function Input({ draft, setDraft, wrong }) {
  if (!draft.image) return null;
  return html`
    <div class="input-image"><img src=${contentUrl(draft.picture, 192)} alt=${t.playground.input} />
      <${Field} id="strength" type="number" min="0" max="1" step="0.05" label=${t.playground.field.strength} value=${draft.strength} wrong=${wrong("strength")} onInput=${(strength) => setDraft({ ...draft, strength })} />
      <button type="button" class="icon" aria-label=${t.playground.removeInput} onClick=${() => setDraft({ ...draft, image: undefined, picture: undefined })}>✕</button></div>`;
}

function Page({ form, data }) {
  const { draft, setDraft, setLoras } = useDraft(form);
  const [problem, setProblem] = useState(null);
  const set = (name) => (value) => setDraft({ ...draft, [name]: value });
  const wrong = (name) => (problem?.details ?? []).find((one) => String(one.field).split(".")[0] === name)?.error;
  const busy = isAsking(data.ask);
  const generate = (event) => {
    event.preventDefault();
    sendAsk(`${PATH}/generate`, HISTORY, requestOf(draft)).then(({ problems }) => setProblem(problems ? { error: t.playground.wrong(problems[0].field), details: problems } : null), (error) => setProblem(problemOf(error)));
  };
  const again = ({ request, seed }) => {
    const { loras = [], ...rest } = request;
    const same = rest.image === draft.image ? draft.picture : data.history.flatMap((entry) => entry.images).find((image) => image.path === rest.image)?.picture;
    setDraft({ ...EMPTY, ...rest, picture: same, seed: seed ?? rest.seed ?? "", loras: loras.map((lora) => ({ ...lora, weight: String(lora.weight) })) });
    document.getElementById("prompt").focus();
  };
  const into = ({ path, picture }) => setDraft({ ...draft, image: path, picture, strength: draft.strength ?? 0.6 });
  const words = missingWords(form, draft.loras, draft.prompt);
  const models = [...new Set([...form.trainings.map((one) => one.base_model), ...form.models.filter((one) => one.kind === "checkpoint" || one.kind === "diffusion_model").map((one) => one.path)].filter(Boolean))];
  return html`
    <div class="desk play">
      <form class="panel" aria-label=${t.playground.title} onSubmit=${generate}>
        <div class="knobs">
          <${Field} id="prompt" label=${t.playground.prompt} rows=${3} wide value=${draft.prompt} wrong=${wrong("prompt")} onInput=${set("prompt")} />
          ${words.length > 0 && html`<p class="row knob wide">${words.map((word) => html`<button key=${word} type="button" class="small" dir="auto" onClick=${() => set("prompt")(`${word} ${draft.prompt}`.trim())}>${t.playground.trigger(word.slice(0, 60))}</button>`)}</p>`}
          <${Field} id="negative" label=${t.playground.negative} rows=${2} wide value=${draft.negative_prompt} wrong=${wrong("negative_prompt")} onInput=${set("negative_prompt")} />
        </div>
        <${Loras} form=${form} loras=${draft.loras} onChange=${setLoras} />
        ${wrong("loras") && html`<p class="bad">${wrong("loras")}</p>`}
        <${Input} draft=${draft} setDraft=${setDraft} wrong=${wrong} />
        <div class="knobs">
          <${Field} id="model" label=${t.playground.model} wide list="models" note=${t.playground.modelHint} value=${draft.model} wrong=${wrong("model")} onInput=${set("model")} />
          ${NUMBERS.map((name) => html`<${Field} key=${name} id=${name} inputmode="decimal" label=${t.playground.field[name]} placeholder=${name === "seed" ? t.playground.random : name === "num_images" ? "1" : t.playground.unset} value=${draft[name]} wrong=${wrong(name)} onInput=${set(name)} />`)}
        </div>
        <datalist id="models">${models.map((one) => html`<option key=${one} value=${one}></option>`)}</datalist>
        ${problem && html`<${Notice} problem=${{ ...problem, details: [] }} />`}
        ${!busy && data.ask?.problem && html`<${Notice} problem=${data.ask.problem} />`}
        <div class="controls">${busy
          ? html`<${AskProgress} ask=${data.ask} counted=${t.playground.drawing} /><button type="button" class="danger" onClick=${() => postJson(`${PATH}/stop`)}>${t.playground.stop}</button>`
          : html`<button type="submit" class="primary">${t.playground.generate}<${Price} cost=${data.cost} /></button>`}</div>
      </form>
      <section class="main" aria-labelledby="drawn"><h2 id="drawn">${t.playground.history}</h2><${History} history=${data.history} path=${PATH} read=${HISTORY} onAgain=${again} onInto=${into} /></section>
    </div>`;
}

export default function Playground() {
  const { data: form, error } = useResource(PATH, askPeriod);
  const { data } = useResource(HISTORY, askPeriod);
  if (error && !form) return html`<${Notice} problem=${problemOf(error)} />`;
  if (!form || !data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  return html`<div class="heading"><div><h1>${t.playground.title}</h1><p class="faint">${t.playground.lead}</p></div></div><${Page} form=${form} data=${data} />`;
}
