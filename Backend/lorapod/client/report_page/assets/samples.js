// The samples: one image for each prompt, and one slider that moves all of them through the steps.
const sampleState = { step: null, all: false };
let cards = [];
let sampleSteps = [];

function readCards(section) {
  const found = [...document.querySelectorAll(`#${section} .card`)].map((card) => {
    const frames = [...card.querySelectorAll("li[data-step]")].flatMap((item) => {
      const image = item.querySelector("img");
      const step = Number(item.dataset.step);
      const label = item.dataset.label ?? `step ${wholeNumbers.format(step)}`;
      return image ? [{ step, image, label }] : [];
    });
    const prompt = card.closest(".prompt").querySelector("h3");
    const full = prompt.querySelector("details > bdi") ?? prompt;
    const run = card.querySelector(".run")?.textContent ?? "";
    return { card, frames, prompt: full.textContent, group: card.closest(".prompt"), run };
  });
  const deck = found.filter((card) => card.frames.length);
  for (const card of deck) card.deck = deck;
  return deck;
}

function readSamples() {
  cards = readCards("samples");
  sampleSteps = [...new Set(cards.flatMap((card) => card.frames.map((frame) => frame.step)))].sort((a, b) => a - b);
}

// The frame of a card at a step: the newest one that is not later.
function frameAt(card, step) {
  return card.frames.findLast((frame) => frame.step <= step) ?? card.frames[0];
}

function showImage(target, source) {
  target.src = source.src;
  target.alt = source.alt;
  target.width = source.width;
  target.height = source.height;
  target.className = source.className;
}

function addViewer(card) {
  const image = make("img");
  const label = make("span", { className: "at-step" });
  const button = make("button", { type: "button", className: "open viewer" }, image, label);
  button.addEventListener("click", () => openLightbox(card, frameAt(card, sampleState.step)));
  card.card.querySelector("ol").before(button);
  card.show = (step) => {
    const frame = frameAt(card, step);
    showImage(image, frame.image);
    label.textContent = frame.label;
  };
  addOpeners(card);
}

// Every image of a card becomes a button that opens it large.
function addOpeners(card) {
  for (const frame of card.frames) {
    const opener = make("button", { type: "button", className: "open" });
    frame.image.replaceWith(opener);
    opener.append(frame.image);
    opener.addEventListener("click", () => openLightbox(card, frame));
  }
}

function showStep(step) {
  sampleState.step = step;
  for (const card of cards) card.show(step);
  const text = `${wholeNumbers.format(step)} of ${wholeNumbers.format(sampleSteps.at(-1))}`;
  byId("step-shown").textContent = text;
  byId("step").setAttribute("aria-valuetext", `step ${text}`);
}

function setUpSamples() {
  const slider = byId("step");
  if (!slider) return;
  const newest = sampleState.step === null || sampleState.step === sampleSteps.at(-1);
  readSamples();
  if (!cards.length) {
    slider.parentElement.hidden = true;
    return;
  }
  cards.forEach(addViewer);
  slider.max = sampleSteps.length - 1;
  const wanted = newest ? sampleSteps.at(-1) : sampleState.step;
  slider.value = Math.max(0, sampleSteps.findLastIndex((step) => step <= wanted));
  slider.addEventListener("input", () => showStep(sampleSteps[Number(slider.value)]));
  showStep(sampleSteps[Number(slider.value)]);
  const all = byId("all-steps");
  const showAll = () => {
    all.setAttribute("aria-pressed", String(sampleState.all));
    byId("samples").classList.toggle("all-steps", sampleState.all);
    slider.disabled = sampleState.all;
  };
  all.addEventListener("click", () => {
    sampleState.all = !sampleState.all;
    showAll();
  });
  showAll();
}

// The cells of a comparison are all shown; each opens large, beside the others of its prompt.
function setUpComparison() {
  readCards("comparison").forEach(addOpeners);
}
