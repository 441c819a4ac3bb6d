// A loss in a few points: a small line.
import { html } from "../dom.js";
import { number } from "../format.js";
import { t } from "../strings.js";

const WIDTH = 120;
const HEIGHT = 32;

export function Spark({ values }) {
  if (!values || values.length < 2) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (place) => (place / (values.length - 1)) * (WIDTH - 4) + 2;
  const y = (value) => HEIGHT - 3 - ((value - low) / (high - low || 1)) * (HEIGHT - 6);
  const line = values.map((value, place) => `${place ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const label = t.card.lossLine(number(values[0]), number(values.at(-1)));
  return html`
    <svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
      <path class="under" d=${`${line}L${WIDTH - 2} ${HEIGHT}L2 ${HEIGHT}Z`} /><path class="line" d=${line} />
    </svg>`;
}
