// A message: what happened, and what to do next.
import { classes, html } from "../dom.js";

export function Notice({ kind = "bad", problem, title, children }) {
  return html`
    <div class=${classes("notice", kind)} role=${kind === "bad" ? "alert" : "status"}>
      ${title && html`<h2>${title}</h2>`}
      <p class="strong">${problem.error}</p>
      ${problem.hint && html`<p>${problem.hint}</p>`}
      ${(problem.details ?? []).map((detail, place) => html`<p key=${place} class="faint">${detail.problem ?? detail.message ?? ""}</p>`)}
      ${children}
    </div>`;
}

/** What stands where there is nothing to show yet. */
export function Empty({ title, text, children }) {
  return html`<div class="empty">${title && html`<h2>${title}</h2>`}<p>${text}</p>${children}</div>`;
}
