// A part of a log; at its end it follows what comes unless the person has scrolled up.
import { html, useEffect, useRef, useState } from "../dom.js";
import { t } from "../strings.js";

/** Cursor movements and colours of a terminal. */
const ESCAPES = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** @param atEnd whether the last line is shown first */
export function Log({ lines, label = t.training.log, atEnd = true }) {
  const [follows, setFollows] = useState(atEnd);
  const box = useRef(null);
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follows]);
  if (!lines?.length) return html`<p class="faint">${t.training.logNone}</p>`;
  const scrolled = ({ target }) => setFollows(target.scrollHeight - target.scrollTop - target.clientHeight < 24);
  return html`<pre ref=${box} class="log" tabindex="0" role="log" aria-label=${label} aria-live="off" onScroll=${scrolled}>${lines.join("\n").replace(ESCAPES, "")}</pre>`;
}
