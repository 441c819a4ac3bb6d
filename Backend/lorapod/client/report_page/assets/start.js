document.documentElement.classList.add("js");
setUp(document);
setUpSamples();
setUpLightbox();
setUpChart(() => pageData);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawChart(pageData));
addEventListener("pointerdown", () => { pointerDown = true; });
for (const name of ["pointerup", "pointercancel", "blur"]) addEventListener(name, () => { pointerDown = false; });
if (document.body.dataset.live) follow();
