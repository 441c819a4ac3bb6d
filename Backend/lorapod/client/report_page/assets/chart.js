// The loss curve: smoothing, a logarithmic scale, and values under the pointer or the arrow keys.
const chartState = { smoothing: 90, logarithmic: false };
let chart = null;
let chartSize = null;

function smoothed(values, weight) {
  let total = 0;
  let correction = 0;
  return values.map((value) => {
    if (value === null) return null;
    total = weight * total + (1 - weight) * value;
    correction = weight * correction + (1 - weight);
    return total / correction;
  });
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function curveLabel(curve, several) {
  const kind = curve.key === "loss/loss" ? "loss" : curve.key;
  return several ? `${curve.name.slice(0, 60)}: ${kind}` : kind;
}

function chartSeries(data) {
  const several = new Set(data.series.map((curve) => curve.run)).size > 1;
  const series = [{ label: "step", value: (_, step) => (step === null ? "–" : wholeNumbers.format(step)) }];
  const tables = [];
  const bands = [];
  const usable = (value) => (chartState.logarithmic && value !== null && value <= 0 ? null : value);
  const value = (_, shown) => (shown === null || shown === undefined ? "–" : numbers.format(shown));
  const kinds = new Map();
  for (const curve of data.series) {
    const ink = colour(`--run-${curve.run % 8}`);
    const place = kinds.get(curve.run) ?? 0;
    kinds.set(curve.run, place + 1);
    const dash = place ? [6, 4] : curve.run >= 8 ? [2, 3] : undefined;
    const label = curveLabel(curve, several);
    const columns = [curve.steps, curve.values.map(usable)];
    series.push({ label: `${label}, logged`, stroke: `${ink}66`, width: 1, dash, points: { show: false }, value });
    if (curve.merged > 1) {
      columns.push(curve.high.map(usable), curve.low.map(usable));
      bands.push({ series: [series.length, series.length + 1], fill: `${ink}1f` });
      for (const end of ["highest", "lowest"]) {
        series.push({ label: `${label}, ${end}`, stroke: `${ink}00`, width: 0, points: { show: false }, value, class: "quiet" });
      }
    }
    columns.push(smoothed(curve.values, chartState.smoothing / 100).map(usable));
    series.push({ label: `${label}, smoothed`, stroke: ink, width: 2, dash, points: { show: false }, value });
    tables.push(columns);
  }
  return { series, bands, table: uPlot.join(tables) };
}

function drawChart(data) {
  const place = byId("chart");
  if (chart) chart.destroy();
  chart = null;
  if (!place || !data.series.length) return;
  place.hidden = false;
  place.replaceChildren();
  const { series, bands, table } = chartSeries(data);
  const axis = { stroke: colour("--ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "13px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif", labelSize: 22 };
  const logScale = { distr: 3, log: 10 };
  chart = new uPlot(
    {
      width: Math.max(220, place.clientWidth),
      height: Math.max(220, Math.min(340, place.clientWidth * 0.6)),
      scales: { x: { time: false }, y: chartState.logarithmic ? logScale : {} },
      axes: [
        { ...axis, label: "step", values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? wholeNumbers.format(tick) : "")) },
        { ...axis, label: "loss", size: 58, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : numbers.format(tick))) },
      ],
      cursor: { points: { size: 6 } },
      legend: { live: true },
      series,
      bands,
    },
    table,
    place,
  );
  makeChartOperable(place);
}

function makeChartOperable(place) {
  chart.over.tabIndex = 0;
  chart.over.setAttribute("role", "application");
  chart.over.setAttribute("aria-label", "Loss curve: the left and right arrow keys read its values");
  const spoken = make("p", { className: "spoken" });
  spoken.setAttribute("role", "status");
  place.append(spoken);
  chart.over.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: 20, PageDown: -20 }[event.key];
    if (!move) return;
    event.preventDefault();
    const steps = chart.data[0];
    const next = Math.max(0, Math.min(steps.length - 1, (chart.cursor.idx ?? (move > 0 ? -1 : steps.length)) + move));
    chart.setCursor({ left: chart.valToPos(steps[next], "x"), top: chart.over.clientHeight / 2 });
    const values = chart.series.flatMap((one, place) => {
      const value = chart.data[place][next];
      return place && one.label.endsWith("smoothed") && value !== null && value !== undefined ? [`${one.label} ${numbers.format(value)}`] : [];
    });
    spoken.textContent = `step ${wholeNumbers.format(steps[next])}: ${values.join(", ") || "no value"}`;
  });
}

function setUpChart(data) {
  const smoothing = byId("smoothing");
  const logarithmic = byId("logarithmic");
  if (!smoothing) return;
  smoothing.value = chartState.smoothing;
  logarithmic.checked = chartState.logarithmic;
  smoothing.addEventListener("input", () => {
    chartState.smoothing = Number(smoothing.value);
    drawChart(data());
  });
  logarithmic.addEventListener("change", () => {
    chartState.logarithmic = logarithmic.checked;
    drawChart(data());
  });
  drawChart(data());
  chartSize?.disconnect();
  chartSize = new ResizeObserver(() => {
    const width = Math.max(220, byId("chart").clientWidth);
    if (chart && Math.abs(chart.width - width) > 1) chart.setSize({ width, height: chart.height });
  });
  chartSize.observe(byId("chart"));
}
