// The doctor: findings, the worst first, with what mends them.
import { classes, html, useState } from "../dom.js";
import { useResource } from "../store.js";
import { since } from "../format.js";
import { askPeriod, isAsking, sendAsk } from "../parts/ask.js";
import { Confirm } from "../parts/confirm.js";
import { useEndpoint } from "../parts/endpoint.js";
import { Empty, Notice } from "../parts/notice.js";
import { t } from "../strings.js";

const PATH = "/api/doctor";
const KINDS = { problem: "failed", note: "cancelled", ok: "completed" };

function Finding({ finding, onFix }) {
  return html`
    <li class=${classes("finding", finding.severity)}>
      <p class="row"><span class=${classes("status", KINDS[finding.severity])}>${t.doctor.severity[finding.severity] ?? finding.severity}</span><span class="strong">${finding.check}</span></p>
      <p>${finding.message}</p>
      ${finding.lines.length > 0 && html`<pre class="log" tabindex="0">${finding.lines.join("\n")}</pre>`}
      ${finding.mend && html`<p class="row"><span class="faint">${t.doctor.next}</span><code class="mend">${finding.mend}</code>${finding.fixable && html`<button type="button" onClick=${onFix}>${t.doctor.fix}</button>`}</p>`}
    </li>`;
}

export default function Doctor() {
  const { data, error } = useResource(PATH, askPeriod);
  const endpoint = useEndpoint();
  const [asked, setAsked] = useState(null);
  const [refused, setRefused] = useState(null);
  if (error && !data) return html`<h1>${t.doctor.title}</h1><${Notice} problem=${{ error: error.message, hint: error.hint }} />`;
  if (!data) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  const send = (post, body) => sendAsk(post, PATH, body).then(() => setRefused(null), (failed) => setRefused({ error: failed.message, hint: failed.hint }));
  const cost = !data.wakes_worker ? t.doctor.free : endpoint?.worker_up ? t.ask.warm : t.ask.cold;
  const look = isAsking(data.ask)
    ? html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${t.doctor.looking}</span>`
    : html`<div class="ask"><button type="button" class=${data.known_at ? "" : "primary"} onClick=${() => send(`${PATH}/look`, {})}>${data.known_at ? t.doctor.again : t.doctor.look}<span class="cost">${cost}</span></button>${data.known_at && html`<span class="faint">${t.ask.knownAt(since(data.known_at))}</span>`}</div>`;
  const problem = refused ?? (isAsking(data.ask) ? null : data.ask?.problem);
  const problems = data.findings.filter((one) => one.severity === "problem").length;
  return html`
    <div class="heading"><div><h1>${t.doctor.title}</h1><p class="faint">${t.doctor.lead}</p></div>${data.known_at && look}</div>
    ${problem && html`<${Notice} problem=${problem} />`}
    ${data.known_at
      ? html`<p class="strong" role="status">${t.doctor.problems(problems)}</p><ul class="findings">${data.findings.map((one, place) => html`<${Finding} key=${place} finding=${one} onFix=${() => setAsked(one.check)} />`)}</ul>`
      : html`<${Empty} title=${t.doctor.none} text=${t.doctor.noneHint}>${look}</${Empty}>`}
    ${asked && html`<${Confirm} title=${t.doctor.fixTitle(asked)} text=${t.doctor.fixText} action=${t.doctor.fix} onClose=${() => setAsked(null)} onConfirm=${() => send(`${PATH}/fix`, { check: asked })} />`}`;
}
