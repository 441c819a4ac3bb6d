// Numbers, times and sizes as a person reads them.
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const money = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });

export const DASH = "–";
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const integer = (value) => (known(value) ? whole.format(value) : DASH);
export const number = (value) => (known(value) ? precise.format(value) : DASH);
export const dollars = (value) => (known(value) ? money.format(value) : DASH);
export const percent = (value) => (known(value) ? `${whole.format(value)} %` : DASH);

/** A learning rate and the like: 0.0001 as 1e-4, as people write it. */
export function small(value) {
  if (!known(value)) return DASH;
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential().replace("e-0", "e-") : precise.format(value);
}

export function duration(seconds) {
  if (!known(seconds)) return DASH;
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60];
  if (hours) return `${whole.format(hours)} h ${minutes} min`;
  if (minutes) return minutes < 10 ? `${minutes} min ${rest} s` : `${minutes} min`;
  return `${rest} s`;
}

export function bytes(size) {
  if (!known(size)) return DASH;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  let value = size;
  while (value >= 1000 && place < units.length - 1) {
    value /= 1000;
    place += 1;
  }
  return `${value >= 100 || place === 0 ? whole.format(value) : value.toFixed(1)} ${units[place]}`;
}

/** A moment of the server, or null if there is none or it cannot be read. */
const read = (text) => (text && Number.isFinite(Date.parse(text)) ? new Date(text) : null);

export const at = (text) => (read(text) ? moment.format(read(text)) : DASH);

/** How long ago a moment was: "5 minutes ago". */
export function since(text, now = Date.now()) {
  const then = read(text);
  if (!then) return DASH;
  const seconds = (then.getTime() - now) / 1000;
  if (seconds < -30 * 86400) return day.format(then);
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return ago.format(Math.round(seconds / size), unit);
  }
  return ago.format(Math.round(seconds / 5) * 5, "second");
}

export const secondsBetween = (from, to) => (from ? ((to ? new Date(to) : new Date()) - new Date(from)) / 1000 : null);
