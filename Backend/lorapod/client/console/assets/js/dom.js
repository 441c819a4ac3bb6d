// Preact, its hooks and htm, from one place.
import { h, render, Component } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { render, Component };
export { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../vendor/hooks.js";
export const html = htm.bind(h);

/** Join the names of classes that apply. */
export const classes = (...names) => names.filter(Boolean).join(" ");
