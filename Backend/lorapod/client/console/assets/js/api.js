// Requests to the console's own server. The browser knows no key and talks to nothing else.

import { t } from "./strings.js";

/** What the server refused or could not do, in words for a person. */
export class ApiError extends Error {
  constructor({ error, hint = "", code = null, details = [], ...more }, status) {
    super(error);
    Object.assign(this, { hint, code, details, status, ...more });
  }
}

const KEPT = "console-key";
const OPENED = /^#key=([\w-]+)$/;

// The link leads here with the key of this session, which this page alone sends: a cookie goes to every port of a machine.
if (OPENED.test(location.hash)) {
  localStorage.setItem(KEPT, OPENED.exec(location.hash)[1]);
  history.replaceState(null, "", location.pathname);
}

/** What a request to the console's server has, beside the cookie. */
export const ownHeaders = () => ({ "X-Console-Key": localStorage.getItem(KEPT) ?? "" });

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options?.headers, ...ownHeaders() }, credentials: "same-origin" });
  } catch {
    throw new ApiError({ error: t.api.away, hint: t.api.awayHint, code: "away" }, 0);
  }
  if (response.ok) return response;
  let problem = { error: t.api.odd(response.status) };
  try {
    problem = await response.json();
  } catch {
    if (response.status === 401) problem = { error: t.api.session, hint: t.api.sessionHint, code: "session" };
  }
  throw new ApiError(problem, response.status);
}

export const getJson = async (path) => (await request(path)).json();

export const postJson = async (path, body = {}) =>
  (await request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).json();

export const postFile = async (path, file) => (await request(path, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file })).json();

export const getBytes = async (path) => (await request(path)).arrayBuffer();

export const contentUrl = (digest, side) => `/api/contents/${digest}${side ? `?side=${side}` : ""}`;
