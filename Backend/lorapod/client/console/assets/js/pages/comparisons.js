// The comparisons that the console has heard of.
import { html } from "../dom.js";
import { Link } from "../router.js";
import { useResource } from "../store.js";
import { since } from "../format.js";
import { askPeriod, AskWorker } from "../parts/ask.js";
import { Empty, Notice } from "../parts/notice.js";
import { Status } from "../parts/status.js";
import { t } from "../strings.js";

const PATH = "/api/comparisons";

export default function Comparisons() {
  const { data, error } = useResource(PATH, (known) => askPeriod(known));
  if (error && !data) return html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const knownAt = data.comparisons.map((one) => one.known_at).sort().at(-1);
  const ask = html`<${AskWorker} post="/api/processes/ask" path=${PATH} ask=${data.ask} look=${data.look_problem} knownAt=${knownAt} counted=${t.ask.trainings} primary=${!knownAt} />`;
  if (!data.comparisons.length) return html`<h1>${t.comparisons.title}</h1><${Empty} title=${t.comparisons.none} text=${t.comparisons.noneHint}>${ask}</${Empty}>`;
  return html`
    <div class="heading"><div><h1>${t.comparisons.title}</h1><p class="faint">${t.comparisons.lead}</p></div>${ask}</div>
    <ul class="rows">${data.comparisons.map((one) => html`
      <li key=${one.process_id}><${Link} href=${`/comparisons/${one.process_id}`}>${one.name || one.process_id}</${Link}>
        <${Status} process=${one} /><span class="faint">${since(one.created_at)}</span><span class="faint mono">${one.process_id}</span></li>`)}</ul>`;
}
