// The console's pages. To add one: a module in pages/ with a default export, a line here, a section in strings.js, and its
// routes on the server (see the documentation of the package). `nav` pages are in the menu, in this order.
export const pages = [
  { path: "/", name: "home", nav: true, load: () => import("./pages/home.js") },
  { path: "/trainings", name: "trainings", nav: true, load: () => import("./pages/trainings.js") },
  { path: "/trainings/:id", name: "training", under: "trainings", load: () => import("./pages/training.js") },
  { path: "/datasets", name: "datasets", nav: true, load: () => import("./pages/datasets.js") },
  { path: "/datasets/:name", name: "dataset", under: "datasets", load: () => import("./pages/dataset.js") },
  { path: "/new", name: "newTraining", nav: true, load: () => import("./pages/new_training.js") },
  { path: "/comparisons", name: "comparisons", nav: true, load: () => import("./pages/comparisons.js") },
  { path: "/comparisons/:id", name: "comparison", under: "comparisons", load: () => import("./pages/comparison.js") },
  { path: "/library", name: "library", nav: true, load: () => import("./pages/library.js") },
  { path: "/library/:path", name: "model", under: "library", load: () => import("./pages/model.js") },
  { path: "/playground", name: "playground", nav: true, load: () => import("./pages/playground.js") },
  { path: "/doctor", name: "doctor", nav: true, load: () => import("./pages/doctor.js") },
];
