"""The console: lorapod in a browser, served on this machine.

To add a page, add two modules and name each once:

- `routes/<noun>.py` with `routes(parts)`, listed in `routes/__init__.py`. A GET reads what is known here, at the endpoint
  and on the volume; what asks a worker is a POST.
- `assets/js/pages/<noun>.js` with a default export, listed in `assets/js/pages.js`. Its sentences are a section of
  `assets/js/strings.js`, which alone is imported; a long section is a file in `assets/js/strings/`; what several pages show is a component in `assets/js/parts/`, its style a file in `assets/css/`.
"""
