// A new LoRA of old ones: the form of a merge, and what has become of the newest request.
import { html, useState } from "../dom.js";
import { bytes, percent } from "../format.js";
import { Link } from "../router.js";
import { AskProgress, Cost, isAsking, sendAsk } from "./ask.js";
import { Dialog } from "./dialog.js";
import { Field, problemOf } from "./field.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

export const LIBRARY = "/api/library";
export const modelLink = (path) => `/library/${encodeURIComponent(path)}`;
export const nameOf = (model) => model.title || model.name.replace(/^trained\/[^/]*\//, "");
export const lastPart = (model) => model.name.split("/").at(-1);

export function Making({ making }) {
  if (!making) return null;
  if (isAsking(making)) return html`<div class="notice" role="status"><${AskProgress} ask=${making} counted=${() => t.library.making} /></div>`;
  if (making.problem) return html`<${Notice} problem=${making.problem} />`;
  const { path, rank, size_bytes: size, kept_energy: kept, warnings = [] } = making.answer ?? {};
  if (!path) return null;
  return html`
    <div class="notice" role="status"><p class="strong"><${Link} href=${modelLink(path)}>${t.library.made(path)}</${Link}></p>
      <p class="faint">${[rank && t.library.rank(rank), bytes(size), kept != null && t.library.kept(percent(kept * 100))].filter(Boolean).join(" · ")}</p>
      ${warnings.map((text, place) => html`<p key=${place}>${text}</p>`)}</div>`;
}

/** Send the request for a new LoRA; `path` is read anew. */
export function useMaking(path) {
  const [problem, setProblem] = useState(null);
  const make = (action, body, done = () => {}) =>
    sendAsk(`${LIBRARY}/${action}`, path, body).then(() => { setProblem(null); done(); }, (error) => setProblem(problemOf(error)));
  return { problem, make };
}

export function MergeDialog({ models, onClose }) {
  const [weights, setWeights] = useState(() => models.map(() => "1"));
  const [method, setMethod] = useState("cat");
  const [rank, setRank] = useState("");
  const [name, setName] = useState("");
  const { problem, make } = useMaking(LIBRARY);
  const send = (event) => {
    event.preventDefault();
    const loras = models.map(({ path }, place) => ({ path, weight: Number(weights[place]) }));
    make("merge_loras", { loras, method, name, ...(rank && method !== "cat" && { rank: Number(rank) }) }, onClose);
  };
  return html`
    <${Dialog} title=${t.library.mergeTitle} onClose=${onClose}>
      <form onSubmit=${send}>
        <h2>${t.library.mergeTitle}</h2><p class="faint">${t.library.mergeText}</p>
        <div class="knobs">
          ${models.map((model, place) => html`<${Field} key=${model.path} id=${`weight-${place}`} type="number" step="any" required label=${t.library.weight(nameOf(model).slice(0, 60))} value=${weights[place]} onInput=${(value) => setWeights(weights.map((old, at) => (at === place ? value : old)))} />`)}
          <${Field} id="merge-method" label=${t.library.method} value=${method} onInput=${setMethod} choices=${Object.entries(t.library.methods)} wide />
          ${method !== "cat" && html`<${Field} id="merge-rank" type="number" min="1" label=${t.library.resultRank} value=${rank} onInput=${setRank} />`}
          <${Field} id="merge-name" label=${t.library.name} value=${name} onInput=${setName} required maxlength="200" wide />
        </div>
        ${problem && html`<${Notice} problem=${problem} />`}
        <div class="controls end"><button type="button" onClick=${onClose}>${t.training.back}</button><button type="submit" class="primary">${t.library.make}<${Cost} /></button></div>
      </form>
    </${Dialog}>`;
}
