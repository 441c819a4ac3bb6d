// A live page asks its server for what has changed, but not while nobody sees it.
const POLL_MS = 2000;
let pageData = JSON.parse(byId("data").textContent);
let pageVersion = Number(document.body.dataset.live ?? 0);
let pointerDown = false;

function setUp(root) {
  localise(root);
  setUpSheets(root);
  for (const item of root.querySelectorAll(".needs-script[hidden]")) item.hidden = false;
  for (const log of root.querySelectorAll("pre.tail")) log.scrollTop = log.scrollHeight;
}

// Replace the sections that have changed, and keep the order of all.
function take(answer) {
  const main = document.querySelector("main");
  const focused = document.activeElement?.id;
  const changed = new Set();
  pageData = answer.data ?? pageData;
  for (const { name, html } of answer.changed) {
    const section = make("template", { innerHTML: html }).content.firstElementChild;
    byId(name)?.remove();
    main.append(section);
    changed.add(name);
  }
  for (const section of [...main.children]) if (!answer.order.includes(section.id)) section.remove();
  if (changed.size) answer.order.forEach((name, place) => byId(name) !== main.children[place] && main.insertBefore(byId(name), main.children[place]));
  for (const name of changed) setUp(byId(name));
  if (changed.has("samples")) setUpSamples();
  if (changed.has("comparison")) setUpComparison();
  if (changed.has("loss")) setUpChart(() => pageData);
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus({ preventScroll: true });
  pageVersion = answer.version;
}

function follow() {
  const connection = byId("connection");
  connection.hidden = false;
  let asking = false;
  let over = false;
  async function ask() {
    if (asking || over || document.hidden || pointerDown) return;
    asking = true;
    try {
      const answer = await (await fetch(`changes?since=${pageVersion}`, { cache: "no-store" })).json();
      take(answer);
      over = answer.ended;
      connection.textContent = over ? "It has ended. This page is complete: save it, or close it." : `Live. Last look: ${new Date().toLocaleTimeString()}`;
    } catch {
      connection.textContent = "lorapod watch does not answer: this page shows the last state that it had.";
    }
    asking = false;
  }
  setInterval(ask, POLL_MS);
  document.addEventListener("visibilitychange", ask);
  ask();
}
