// All trainings that the console has heard of.
import { html, useState } from "../dom.js";
import { useResource } from "../store.js";
import { askPeriod, AskWorker } from "../parts/ask.js";
import { CardGrid } from "../parts/card.js";
import { Empty, Notice } from "../parts/notice.js";
import { t } from "../strings.js";

const PATH = "/api/trainings";
const EVERY_MS = 15_000;

const matches = (process, words) =>
  [process.name, process.base_model, process.trigger_word, process.process_id].some((text) => text?.toLowerCase().includes(words.toLowerCase()));

export default function Trainings() {
  const { data, error } = useResource(PATH, (known) => askPeriod(known, EVERY_MS));
  const [words, setWords] = useState("");
  const [status, setStatus] = useState("");
  if (error && !data) return html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const shown = data.trainings.filter((one) => (!status || one.status === status) && matches(one, words));
  const knownAt = data.trainings.map((one) => one.known_at).sort().at(-1);
  const ask = html`<${AskWorker} post="/api/processes/ask" path=${PATH} ask=${data.ask} look=${data.look_problem} knownAt=${knownAt} counted=${t.ask.trainings} primary=${!knownAt} />`;
  if (!data.count) return html`<h1>${t.trainings.title}</h1><${Empty} title=${t.home.emptyTitle} text=${t.home.empty}>${ask}</${Empty}>`;
  return html`
    <div class="heading"><div><h1>${t.trainings.title}</h1></div>${ask}</div>
    <div class="controls" role="search">
      <input type="search" aria-label=${t.trainings.filter} placeholder=${t.trainings.filter} value=${words} onInput=${(event) => setWords(event.target.value)} />
      <select aria-label=${t.trainings.status} value=${status} onChange=${(event) => setStatus(event.target.value)}>
        <option value="">${t.trainings.any}</option>
        ${Object.entries(t.status).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}
      </select>
      <span class="faint" role="status">${t.trainings.count(shown.length)}</span>
    </div>
    ${shown.length ? html`<${CardGrid} processes=${shown} label=${t.trainings.title} />` : html`<p class="faint">${t.trainings.none}</p>`}`;
}
