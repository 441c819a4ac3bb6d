// One sample, large: through its steps, beside an earlier one or another training's, and to the next prompt.
const box = { card: null, place: 0, before: null };

function lightboxFrame() {
  return box.card.frames[box.place];
}

function openLightbox(card, frame) {
  box.card = card;
  box.place = card.frames.indexOf(frame);
  fillBefore();
  showLightbox();
  if (!byId("lightbox").open) byId("lightbox").showModal();
}

// What the image can be laid beside: the first step, and the same step of other trainings.
function fillBefore() {
  const choices = [["", "off"]];
  if (box.card.frames.length > 1) choices.push(["first", `first: ${box.card.frames[0].label}`]);
  box.card.deck.forEach((other, place) => {
    if (other !== box.card && other.group && other.group === box.card.group) choices.push([String(place), `${other.run}, same step`]);
  });
  const select = byId("before-with");
  const kept = choices.some(([value]) => value === select.value) ? select.value : "";
  select.replaceChildren(...choices.map(([value, text]) => make("option", { value, textContent: text })));
  select.value = kept;
  byId("lightbox-before").hidden = choices.length < 2;
}

function beforeFrame() {
  const chosen = byId("before-with").value;
  if (chosen === "") return null;
  return chosen === "first" ? box.card.frames[0] : frameAt(box.card.deck[Number(chosen)], lightboxFrame().step);
}

function showLightbox() {
  const frame = lightboxFrame();
  const slider = byId("lightbox-step");
  byId("lightbox-title").textContent = [box.card.prompt, box.card.run].filter(Boolean).join(" – ");
  showImage(byId("large"), frame.image);
  slider.max = box.card.frames.length - 1;
  slider.value = box.place;
  byId("lightbox-steps").hidden = box.card.frames.length < 2;
  const text = frame.label;
  byId("lightbox-step-shown").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  const before = beforeFrame();
  byId("large-before").hidden = byId("divide").hidden = byId("divide-label").hidden = before === null;
  for (const tag of ["before-tag", "after-tag"]) byId(tag).hidden = before === null;
  if (before) {
    showImage(byId("large-before"), before.image);
    byId("before-tag").textContent = byId("before-with").selectedOptions[0].textContent;
    byId("after-tag").textContent = [box.card.run, text].filter(Boolean).join(", ");
  }
  divide();
  byId("previous-prompt").hidden = byId("next-prompt").hidden = box.card.deck.length < 2;
}

function divide() {
  byId("large-before").style.clipPath = `inset(0 ${100 - Number(byId("divide").value)}% 0 0)`;
}

function moveStep(by) {
  box.place = Math.max(0, Math.min(box.card.frames.length - 1, box.place + by));
  showLightbox();
}

function movePrompt(by) {
  const deck = box.card.deck;
  const next = deck[(deck.indexOf(box.card) + by + deck.length) % deck.length];
  openLightbox(next, next.frames.find((frame) => frame.label === lightboxFrame().label) ?? frameAt(next, lightboxFrame().step));
}

function setUpLightbox() {
  const dialog = byId("lightbox");
  byId("lightbox-step").addEventListener("input", (event) => moveStep(Number(event.target.value) - box.place));
  byId("before-with").addEventListener("change", showLightbox);
  byId("divide").addEventListener("input", divide);
  byId("previous-prompt").addEventListener("click", () => movePrompt(-1));
  byId("next-prompt").addEventListener("click", () => movePrompt(1));
  byId("close-lightbox").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    const action = { ArrowLeft: () => moveStep(-1), ArrowRight: () => moveStep(1), ArrowUp: () => movePrompt(-1), ArrowDown: () => movePrompt(1) }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

// Single images that open large: the dataset's contact sheet, a grid.
function setUpSheets(root) {
  for (const button of root.querySelectorAll(".sheet > button.open")) {
    const image = button.querySelector("img");
    const card = { frames: [{ step: 0, image, label: "" }], prompt: button.dataset.title, run: "", group: null };
    card.deck = [card];
    button.addEventListener("click", () => openLightbox(card, card.frames[0]));
  }
}
