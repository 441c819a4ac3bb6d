// The loss of one or several trainings: smoothing, a log scale, zoom; a million points draw as fast as a thousand.
import { html, useEffect, useMemo, useRef, useState } from "../dom.js";
import { contentUrl, getBytes } from "../api.js";
import { readCurve, smoothed, thinned } from "../curve.js";
import { integer, number } from "../format.js";
import { t } from "../strings.js";

let loadingPlot = null;
let askedAt = null;

/** Note when a person or a page asked for a drawing; the next one measures how long that took, for the benchmark. */
function ask() {
  askedAt = performance.now();
}

function measure() {
  if (askedAt === null) return;
  performance.clearMeasures("curve");
  performance.measure("curve", { start: askedAt });
  askedAt = null;
}

/** Load uPlot, which is a classic script, when the first chart needs it. */
function loadPlot() {
  loadingPlot ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/assets/vendor/uPlot.iife.min.js";
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => reject(new Error("uPlot"));
    document.head.append(script);
  });
  return loadingPlot;
}

/** Fetch the curves of runs; what was fetched stays while they grow, so that nothing flickers. */
function useCurves(runs) {
  const [curves, setCurves] = useState([]);
  const kept = useRef(new Map());
  const wanted = runs.map((run) => run.digest).join();
  useEffect(() => {
    let current = true;
    const read = async ({ digest }) => {
      if (!kept.current.has(digest)) {
        ask();
        kept.current.set(digest, readCurve(await getBytes(contentUrl(digest))));
      }
      return kept.current.get(digest);
    };
    Promise.all(runs.map(async (run) => ({ ...run, ...(await read(run)) }))).then((found) => {
      if (!current) return;
      for (const digest of kept.current.keys()) if (!wanted.includes(digest)) kept.current.delete(digest);
      setCurves(found);
    }, () => {});
    return () => { current = false; };
  }, [wanted]);
  return curves;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function seriesOf(curves) {
  const value = (_, shown) => (shown == null ? "–" : number(shown));
  const series = [{ label: t.curve.step, value: (_, step) => (step == null ? "–" : integer(Math.round(step))) }];
  const bands = [];
  curves.forEach((curve, place) => {
    const ink = colour(`--run-${place % 8}`);
    const faint = { stroke: `${ink}55`, width: 1, points: { show: false }, spanGaps: true, value, class: "quiet" };
    series.push({ ...faint, label: t.curve.lowest(curve.name) }, { ...faint, label: t.curve.highest(curve.name) });
    series.push({ label: curve.name, stroke: ink, width: 2, points: { show: false }, spanGaps: true, value });
    bands.push({ series: [3 * place + 2, 3 * place + 1], fill: `${ink}22` });
  });
  return { series, bands };
}

function options(curves, place, { logarithmic, onZoom, onReset }) {
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const round = (ticks) => ticks.map((tick) => (Number.isInteger(tick) ? integer(tick) : ""));
  return {
    width: Math.max(220, place.clientWidth),
    height: Math.max(220, Math.min(420, place.clientWidth * 0.5)),
    scales: { x: { time: false }, y: logarithmic ? { distr: 3, log: 10 } : {} },
    axes: [{ ...axis, values: (_, ticks) => round(ticks) }, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick))) }],
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
    hooks: {
      setSelect: [(plot) => {
        if (plot.select.width < 4) return;
        onZoom([plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")]);
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
      draw: [measure],
      ready: [(plot) => plot.over.addEventListener("dblclick", onReset)],
    },
    ...seriesOf(curves),
  };
}

/** Let the arrow keys move the cursor, and say what it shows. */
function makeOperable(plot, speak) {
  plot.over.tabIndex = 0;
  plot.over.setAttribute("role", "application");
  plot.over.setAttribute("aria-label", t.curve.label);
  plot.over.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: 20, PageDown: -20 }[event.key];
    if (!move) return;
    event.preventDefault();
    const steps = plot.data[0];
    const next = Math.max(0, Math.min(steps.length - 1, (plot.cursor.idx ?? (move > 0 ? -1 : steps.length)) + move));
    plot.setCursor({ left: plot.valToPos(steps[next], "x"), top: plot.over.clientHeight / 2 });
    const values = plot.series.flatMap((one, place) => (place && place % 3 === 0 && plot.data[place][next] != null ? [`${one.label} ${number(plot.data[place][next])}`] : []));
    speak(t.curve.at(integer(Math.round(steps[next])), values.join(", ") || t.curve.noValue));
  });
}

const spanOf = (runs) => [Math.min(...runs.map((run) => run.steps[0])), Math.max(...runs.map((run) => run.steps.at(-1)))];

/** Draw the curves into an element: anew when the runs change, else only their columns. */
function usePlot(place, runs, range, settings) {
  const plot = useRef(null);
  const drawn = useRef([]);
  const [Plot, setPlot] = useState(null);
  useEffect(() => void loadPlot().then((loaded) => setPlot(() => loaded), () => {}), []);
  const columns = (width) => {
    const [from, to] = range ?? spanOf(runs);
    return thinned(runs, from, to, { buckets: Math.max(300, Math.min(1600, width)), logarithmic: settings.logarithmic });
  };
  const names = runs.map((run) => run.name).join("\n");
  useEffect(() => {
    // An effect runs after the paint: the page may have been left by then, and the element with it.
    const element = place.current;
    if (!Plot || !runs.length || !element) return undefined;
    const made = new Plot(options(runs, element, settings), columns(element.clientWidth), element);
    plot.current = made;
    drawn.current = [runs, range];
    makeOperable(made, settings.speak);
    const size = new ResizeObserver(() => {
      const width = Math.max(220, element.clientWidth);
      if (Math.abs(made.width - width) > 1) made.setSize({ width, height: made.height });
    });
    size.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", settings.onScheme);
    return () => {
      size.disconnect();
      scheme.removeEventListener("change", settings.onScheme);
      made.destroy();
      plot.current = null;
    };
  }, [Plot, names, settings.logarithmic, settings.scheme]);
  useEffect(() => {
    if (!plot.current || !runs.length || (drawn.current[0] === runs && drawn.current[1] === range)) return;
    drawn.current = [runs, range];
    plot.current.setData(columns(plot.current.width));
  }, [runs, range]);
}

/** @param runs `[{ name, digest }]`: one curve of each training */
export function LossChart({ runs, children }) {
  const [smoothing, setSmoothing] = useState(0.9);
  const [logarithmic, setLogarithmic] = useState(false);
  const [range, setRange] = useState(null);
  const [spoken, setSpoken] = useState("");
  const [scheme, setScheme] = useState(0);
  const place = useRef(null);
  const curves = useCurves(runs);
  const drawn = useMemo(
    () => curves.filter((curve) => curve.steps.length).map((curve) => ({ ...curve, means: smoothed(curve.values, smoothing) })),
    [curves, smoothing],
  );
  const show = (next) => {
    ask();
    setRange(next);
  };
  usePlot(place, drawn, range, {
    logarithmic,
    scheme,
    onZoom: show,
    onReset: () => show(null),
    onScheme: () => setScheme((count) => count + 1),
    speak: setSpoken,
  });
  const zoomBy = (share) => {
    const whole = spanOf(drawn);
    const [from, to] = range ?? whole;
    const [middle, half] = [(from + to) / 2, ((to - from) * share) / 2];
    const next = [Math.max(whole[0], middle - half), Math.min(whole[1], middle + half)];
    show(next[0] <= whole[0] && next[1] >= whole[1] ? null : next);
  };
  const points = drawn.reduce((total, curve) => total + curve.steps.length, 0);
  return html`
    <div class="controls">
      <label class="slider">${t.curve.smoothing}<input type="range" min="0" max="0.999" step="0.001" value=${smoothing} onInput=${(event) => setSmoothing(Number(event.target.value))} /></label>
      <label class="check"><input type="checkbox" checked=${logarithmic} onChange=${(event) => setLogarithmic(event.target.checked)} />${t.curve.log}</label>
      <span class="buttons">
        <button type="button" class="icon" aria-label=${t.curve.zoomIn} title=${t.curve.zoomIn} disabled=${!points} onClick=${() => zoomBy(0.5)}>+</button>
        <button type="button" class="icon" aria-label=${t.curve.zoomOut} title=${t.curve.zoomOut} disabled=${!range} onClick=${() => zoomBy(2)}>−</button>
        <button type="button" disabled=${!range} onClick=${() => show(null)}>${t.curve.reset}</button>
      </span>
      ${children}
      <span class="faint" role="status">${points > 0 && t.curve.points(integer(points))}</span>
    </div>
    <div class="chart" ref=${place}></div>
    <p class="spoken" role="status">${spoken}</p>`;
}
