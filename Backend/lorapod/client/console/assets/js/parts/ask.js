// The button that asks a worker, and what has become of the question. Nothing else on a page may wake a GPU.
import { html, useState } from "../dom.js";
import { postJson } from "../api.js";
import { refresh } from "../store.js";
import { since } from "../format.js";
import { useEndpoint } from "./endpoint.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

export const isAsking = (ask) => Boolean(ask && !ask.ended);

/** How often a page that shows a question is read: quickly while it, or a look at the volume, is under way. */
export const askPeriod = (data, otherwise = 0) => (isAsking(data?.ask) || data?.looking ? 1000 : otherwise);

/** Send a request that a worker answers, then read `path` anew. */
export async function sendAsk(post, path, body) {
  const started = await postJson(post, body);
  await refresh(path);
  return started;
}

export function AskProgress({ ask, counted = t.ask.files }) {
  if (!isAsking(ask)) return null;
  const words = ask.waits ? t.ask.waiting : ask.total ? counted(ask.done, ask.total) : t.ask.asking;
  return html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${words}</span>`;
}

/** What it costs to ask: questions that only read go to the front door, if there is one. */
export function Cost({ reads = false }) {
  const endpoint = useEndpoint();
  const words = reads && endpoint?.front_door ? t.ask.door : endpoint?.worker_up ? t.ask.warm : endpoint?.ask_cost ?? t.ask.cold;
  return html`<span class="cost">${words}</span>`;
}

/** What a file costs: nothing if the volume can be read. */
export const FileCost = () => (useEndpoint()?.volume ? null : html`<${Cost} reads=${true} />`);

/**
 * @param post where the question is sent
 * @param body what the question is about, if `post` does not say it
 * @param path what is read anew when it was sent
 * @param ask the newest question, as the server shows it
 * @param look why the volume could not be read, if it could not
 * @param reads whether the front door answers it, if there is one
 */
export function AskWorker({ post, body, path, ask, look, knownAt, counted, primary = false, reads = true }) {
  const [refused, setRefused] = useState(null);
  const problem = refused ?? ask?.problem;
  const press = () => sendAsk(post, path, body).then(() => setRefused(null), (error) => setRefused({ error: error.message, hint: error.hint }));
  return html`
    <div class="ask">
      ${isAsking(ask)
        ? html`<${AskProgress} ask=${ask} counted=${counted} />`
        : html`<button type="button" class=${primary ? "primary" : ""} onClick=${press}>${knownAt ? t.ask.again : t.ask.button}<${Cost} reads=${reads} /></button>`}
      ${knownAt && html`<span class="faint">${t.ask.knownAt(since(knownAt))}</span>`}
    </div>
    ${problem && !isAsking(ask) && html`<${Notice} problem=${problem} />`}
    ${look && html`<${Notice} kind="quiet" title=${t.ask.volume} problem=${look} />`}`;
}
