// Home: what runs, what ran, and whether a worker is up.
import { html } from "../dom.js";
import { Link } from "../router.js";
import { useResource } from "../store.js";
import { askPeriod, AskWorker } from "../parts/ask.js";
import { CardGrid } from "../parts/card.js";
import { EndpointPanel } from "../parts/endpoint.js";
import { Empty, Notice } from "../parts/notice.js";
import { t } from "../strings.js";

const PATH = "/api/home";
const EVERY_MS = 15_000;

export default function Home() {
  const { data, error } = useResource(PATH, (known) => askPeriod(known, EVERY_MS));
  if (error && !data) return html`<${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const knownAt = [...data.running, ...data.recent].map((one) => one.known_at).sort().at(-1);
  const ask = html`<${AskWorker} post="/api/processes/ask" path=${PATH} ask=${data.ask} look=${data.look_problem} knownAt=${knownAt} counted=${t.ask.trainings} primary=${!knownAt} />`;
  return html`
    <div class="heading"><div><h1>${t.home.title}</h1><p class="faint">${t.home.hello}</p></div>${knownAt && ask}</div>
    ${!data.trainings
      ? html`<${Empty} title=${t.home.emptyTitle} text=${t.home.empty}>${ask}</${Empty}>`
      : html`
        <section aria-labelledby="running"><h2 id="running">${t.home.running}</h2>
          ${data.running.length ? html`<${CardGrid} processes=${data.running} label=${t.home.running} wide=${true} />` : html`<p class="faint">${t.home.nothingRuns}</p>`}</section>
        ${data.recent.length > 0 && html`<section aria-labelledby="recent"><div class="heading"><h2 id="recent">${t.home.recent}</h2><${Link} href="/trainings">${t.home.all(data.trainings)}</${Link}></div>
          <${CardGrid} processes=${data.recent} label=${t.home.recent} /></section>`}`}
    <${EndpointPanel} spent=${data.spent_usd} bill=${data.bill} />`;
}
