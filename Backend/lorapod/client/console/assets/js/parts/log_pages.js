// The whole log: its end, which follows what comes, and every page before it back to the start.
import { html, useEffect, useRef, useState } from "../dom.js";
import { getJson, postJson } from "../api.js";
import { Cost } from "./ask.js";
import { Log } from "./log.js";
import { Notice } from "./notice.js";
import { t } from "../strings.js";

/** As many bytes as a page has on the server, and by how much two pages overlap: the server leaves out lines that are not whole. */
const PAGE = 128_000;
const OVERLAP = 4_000;

/**
 * @param lines the end of the log, as it is known
 * @param path the training's path in the API
 * @param free whether the log is read from the volume, which asks no worker
 */
export function LogPages({ lines, path, free }) {
  const [page, setPage] = useState(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const current = useRef(true);
  useEffect(() => () => { current.current = false; }, []);
  const read = (offset, end) => {
    setBusy(true);
    const asked = free ? getJson(`${path}/log?offset=${offset}`) : postJson(`${path}/log`, { offset });
    asked.then(
      (found) => current.current && (setPage({ ...found, end }), setProblem(null)),
      (error) => current.current && setProblem({ error: error.message, hint: error.hint }),
    ).finally(() => current.current && setBusy(false));
  };
  const earlier = () => read(page === null ? -PAGE : Math.max(0, page.offset + OVERLAP - PAGE), true);
  const first = page !== null && page.offset === 0;
  return html`
    ${lines?.length > 0 && html`
      <div class="controls" role="group" aria-label=${t.training.logPages}>
        <button type="button" disabled=${busy || first} onClick=${() => read(0, false)}>${t.training.logStart}${!free && html`<${Cost} reads=${true} />`}</button>
        <button type="button" disabled=${busy || first} onClick=${earlier}>‹ ${t.training.logEarlier}</button>
        <button type="button" disabled=${busy || page === null || page.last} onClick=${() => read(page.next_offset - OVERLAP, false)}>${t.training.logLater} ›</button>
        <button type="button" aria-pressed=${page === null} onClick=${() => setPage(null)}>${t.training.follow}</button>
        ${busy ? html`<span class="asking" role="status"><span class="spinner" aria-hidden="true"></span>${t.shell.loading}</span>` : page && html`<span class="faint" role="status">${t.training.logShown(page.offset, page.next_offset)}</span>`}
      </div>`}
    ${problem && html`<${Notice} problem=${problem} />`}
    ${page ? html`<${Log} key=${page.offset} lines=${page.text.replace(/\n$/, "").split("\n")} atEnd=${page.end} />` : html`<${Log} lines=${lines} />`}`;
}
