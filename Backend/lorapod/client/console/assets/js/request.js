// A training's request as a plain object: values by the names of the form, several values of one as a sweep.

/** Fields that may have several values, so that one training is made of each combination. */
export const SWEPT = new Set(["steps", "learning_rate", "rank", "batch_size", "gradient_accumulation", "caption_dropout", "seed", "network.alpha", "optimizer", "scheduler", "network.type", "timestep_type"]);
const MOST = 50;

const at = (object, path) => path.split(".").reduce((inner, part) => inner?.[part], object);
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const isMap = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Return a copy with one value set, or removed if it is undefined; objects that become empty go. */
function withValue(object, path, value) {
  const [name, ...rest] = path.split(".");
  const next = { ...(isMap(object) ? object : {}) };
  const inner = rest.length ? withValue(next[name], rest.join("."), value) : value;
  if (inner === undefined || (isMap(inner) && !Object.keys(inner).length && rest.length)) delete next[name];
  else next[name] = inner;
  return next;
}

/** Return the values of a field: one, or those of a sweep. */
export function valuesOf(request, path) {
  const swept = (request.variants ?? []).map((variant) => at(variant, path)).filter((value) => value !== undefined);
  const own = at(request, path);
  const all = swept.length ? swept : own === undefined || own === null ? [] : [own];
  return all.filter((value, place) => all.findIndex((other) => same(value, other)) === place);
}

/** Return the request with these values of a field; several make variants. */
export function withValues(request, path, values) {
  const swept = new Map([...SWEPT].map((name) => [name, valuesOf(request, name)]).filter(([name, all]) => name !== path && all.length > 1));
  let next = withValue(request, path, values.length === 1 ? values[0] : undefined);
  if (values.length > 1) swept.set(path, values);
  delete next.variants;
  if (!swept.size) return next;
  let variants = [{}];
  for (const [name, all] of swept) {
    next = withValue(next, name, undefined);
    variants = variants.flatMap((variant) => all.map((value) => withValue(variant, name, value)));
  }
  return { ...next, variants: variants.slice(0, MOST) };
}

export const countOf = (request) => (Array.isArray(request.variants) ? request.variants.length : 1);

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const one = (text) => (NUMBER.test(text) ? Number(text) : text);

/** Return the values that a person typed; what is no number stays text, and the check says so. */
export function readValues(kind, text, several) {
  const trimmed = text.trim();
  if (!trimmed) return [];
  if (kind === "lines") return [text.split("\n").map((line) => line.trim()).filter(Boolean)];
  const parts = trimmed.split(/[\s,;]+/).filter(Boolean);
  if (kind === "integers") return [parts.length === 1 ? one(parts[0]) : parts.map(one)];
  if (kind === "text") return [trimmed];
  return several ? parts.map(one) : [one(trimmed)];
}

export function shownValues(kind, values) {
  if (kind === "lines") return (Array.isArray(values[0]) ? values[0] : values).join("\n");
  return values.map((value) => (Array.isArray(value) ? value.join(", ") : shortNumber(value))).join(", ");
}

const shortNumber = (value) => (typeof value === "number" && value !== 0 && Math.abs(value) < 0.001 ? value.toExponential().replace("e-0", "e-") : String(value));
