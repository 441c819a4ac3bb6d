// An image that was fetched, or its place.
import { classes, html } from "../dom.js";
import { contentUrl } from "../api.js";

export function Picture({ digest, side = 384, alt, missing, class: name }) {
  if (!digest) return html`<span class=${classes("picture", "missing", name)} role="img" aria-label=${missing}><span aria-hidden="true">${missing}</span></span>`;
  const twice = side === 192 ? 384 : 768;
  return html`<img class=${classes("picture", name)} src=${contentUrl(digest, side)} srcset=${`${contentUrl(digest, side)} 1x, ${contentUrl(digest, twice)} 2x`} alt=${alt} loading="lazy" decoding="async" />`;
}
