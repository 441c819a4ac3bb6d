// The endpoint's state: is a worker up, so that asking costs little, or does everything sleep?
import { classes, html } from "../dom.js";
import { useResource } from "../store.js";
import { dollars, integer, since } from "../format.js";
import { Facts } from "./facts.js";
import { t } from "../strings.js";

const PATH = "/api/endpoint";
const EVERY_MS = 10_000;

export const useEndpoint = () => useResource(PATH, EVERY_MS).data;

const CLOSED = { away: t.endpoint.closed, session: t.endpoint.session };

/** Return the state in one word for the style, and in words for a person. */
export function endpointState(endpoint) {
  if (!endpoint) return { kind: "unknown", words: t.endpoint.unknown };
  if (!endpoint.health) return { kind: "away", words: t.endpoint.away };
  const workers = endpoint.health.workers ?? {};
  const up = Math.max((workers.idle ?? 0) + (workers.running ?? 0), workers.ready ?? 0);
  if (endpoint.worker_up) return { kind: "up", words: t.endpoint.up(up) };
  if (workers.initializing) return { kind: "starting", words: t.endpoint.starting(workers.initializing) };
  return { kind: "asleep", words: t.endpoint.asleep };
}

export function EndpointPill() {
  const { data, error } = useResource(PATH, EVERY_MS);
  const closed = CLOSED[error?.code];
  const { kind, words } = closed ? { kind: "away", words: closed } : endpointState(data);
  return html`<span class=${classes("pill", kind)} role="status"><span class="dot" aria-hidden="true"></span>${words}</span>`;
}

export function EndpointPanel({ spent, bill }) {
  const endpoint = useEndpoint();
  const { kind, words } = endpointState(endpoint);
  const jobs = endpoint?.health?.jobs ?? {};
  const facts = [
    [t.endpoint.waiting, integer(jobs.inQueue)],
    [t.endpoint.running, integer(jobs.inProgress)],
    [t.endpoint.done, integer(jobs.completed)],
    [t.endpoint.failed, integer(jobs.failed)],
    [t.endpoint.volume, [...(bill?.volumes ?? []).map((one) => t.endpoint.volumeSize(one.name, one.size_gb)), endpoint?.volume ? t.endpoint.volumeRead : t.endpoint.volumeNone].join(", ")],
    [t.endpoint.door, endpoint?.front_door && t.endpoint.doorCpu],
    [t.endpoint.spent, spent != null && dollars(spent)],
    [t.endpoint.billed(bill?.days), bill?.total_usd != null && t.endpoint.billedText(dollars(bill.total_usd), dollars(bill.volumes_usd))],
    [t.endpoint.billedToday, bill?.today_usd != null && dollars(bill.today_usd)],
  ];
  return html`
    <section class="panel" aria-labelledby="endpoint-title">
      <h2 id="endpoint-title">${t.endpoint.title}</h2>
      <p class="lead"><span class=${classes("pill", kind)}><span class="dot" aria-hidden="true"></span>${words}</span>
        <span class="faint mono">${endpoint?.url}</span></p>
      ${kind === "asleep" && html`<p class="faint">${t.endpoint.asleepNote}</p>`}
      ${endpoint?.problem && html`<p class="bad">${endpoint.problem.error}</p><p class="faint">${t.endpoint.awayNote}</p>`}
      <${Facts} facts=${facts} />
      ${endpoint?.small_pictures === false && html`<p class="faint">${t.endpoint.largePictures} <code>pip install "lorapod-client[report]"</code></p>`}
      ${bill?.problem && html`<p class="faint">${t.endpoint.billNone} ${bill.problem}</p>`}
      ${bill?.known_at && html`<p class="faint">${t.endpoint.billKnown(since(bill.known_at))}</p>`}
    </section>`;
}
