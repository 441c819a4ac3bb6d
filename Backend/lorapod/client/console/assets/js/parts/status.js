import { classes, html } from "../dom.js";
import { t } from "../strings.js";

export const hasEnded = (process) => ["completed", "failed", "cancelled", "interrupted"].includes(process.status);

export function Status({ process }) {
  return html`<span class=${classes("status", process.status)}>${t.status[process.status] ?? process.status}</span>`;
}
