// A training in a list: its newest image, its state, its loss.
import { classes, html } from "../dom.js";
import { Link } from "../router.js";
import { duration, integer, number, since } from "../format.js";
import { Picture } from "./picture.js";
import { Spark } from "./spark.js";
import { hasEnded, Status } from "./status.js";
import { t } from "../strings.js";

export function TrainingCard({ process }) {
  const { progress = {} } = process;
  const running = !hasEnded(process);
  const title = process.name || process.process_id;
  const left = running && progress.eta_s ? t.card.left(duration(progress.eta_s)) : since(process.ended_at ?? process.created_at);
  return html`
    <article class="card">
      <${Link} href=${`/trainings/${process.process_id}`} class="cover">
        <${Picture} digest=${process.picture} alt="" missing=${t.card.noPicture} />
        <h3 title=${title}>${title}</h3>
      </${Link}>
      <div class="card-text">
        <p class="row"><${Status} process=${process} /><span class="faint">${left}</span></p>
        ${running && progress.total_steps && html`<progress max=${progress.total_steps} value=${progress.step} aria-label=${t.card.step(progress.step, progress.total_steps)}></progress>`}
        <p class="row faint"><span>${t.card.step(integer(progress.step ?? 0), progress.total_steps && integer(progress.total_steps))}</span>
          ${progress.loss != null && html`<span>${t.card.loss(number(progress.loss))}</span>`}</p>
        ${process.failure && html`<p class="bad clamp">${process.failure.message}</p>`}
        <${Spark} values=${process.spark} />
      </div>
    </article>`;
}

/** @param wide whether each card takes a row of its own: for the few that matter now */
export const CardGrid = ({ processes, label, wide = false }) =>
  html`<ul class=${classes("cards", wide && "wide")} aria-label=${label}>${processes.map((process) => html`<li key=${process.process_id}><${TrainingCard} process=${process} /></li>`)}</ul>`;
