// The console: the frame around every page, and the page of the present address.
import { Component, html, render, useEffect, useRef, useState } from "./dom.js";
import { pages } from "./pages.js";
import { Link, match, usePath } from "./router.js";
import { EndpointPill } from "./parts/endpoint.js";
import { Notice } from "./parts/notice.js";
import { t } from "./strings.js";

/** Keep a page that breaks from taking the frame with it. */
class Boundary extends Component {
  constructor(props) {
    super(props);
    this.state = { error: null };
  }

  static getDerivedStateFromError(error) {
    return { error };
  }

  componentDidCatch(error) {
    console.error(error);
  }

  componentDidUpdate(before) {
    if (before.path !== this.props.path && this.state.error) this.setState({ error: null });
  }

  render({ children }, { error }) {
    if (!error) return children;
    return html`<${Notice} kind="bad" problem=${{ error: t.shell.broken, hint: String(error.message ?? error) }} />`;
  }
}

function usePage(page) {
  const [loaded, setLoaded] = useState(null);
  useEffect(() => {
    let current = true;
    page?.load().then(
      (module) => current && setLoaded({ page, show: module.default }),
      (error) => current && setLoaded({ page, show: () => { throw error; } }),
    );
    return () => { current = false; };
  }, [page]);
  return loaded && loaded.page === page ? loaded.show : null;
}

function Content({ found, path }) {
  const Page = usePage(found?.page);
  const first = useRef(true);
  useEffect(() => {
    // A screen reader goes to the new page; the first one it reads by itself.
    if (!first.current) document.getElementById("content").focus({ preventScroll: true });
    first.current = false;
    // On a phone the menu is wider than the window.
    document.querySelector("nav [aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });
    document.title = found ? `${t.nav[found.page.name]} · ${t.brand}` : t.brand;
  }, [path]);
  if (!found) return html`<${Notice} kind="quiet" problem=${{ error: t.shell.notFound }} />`;
  if (!Page) return html`<p class="faint" role="status">${t.shell.loading}</p>`;
  return html`<${Boundary} path=${path}><${Page} key=${path} ...${found.values} /></${Boundary}>`;
}

function App() {
  const path = usePath();
  const found = match(pages, path);
  const open = found?.page.under ?? found?.page.name;
  return html`
    <a class="skip" href="#content">${t.shell.skip}</a>
    <header class="top">
      <${Link} href="/" class="brand" aria-label=${t.brand}><img src="/assets/icon.svg" alt="" width="28" height="28" /><span>${t.brand}</span></${Link}>
      <nav aria-label=${t.shell.menu}>
        ${pages.filter((page) => page.nav).map((page) => html`
          <${Link} key=${page.name} href=${page.path} aria-current=${open === page.name ? "page" : undefined}>${t.nav[page.name]}</${Link}>`)}
      </nav>
      <${EndpointPill} />
    </header>
    <main id="content" tabindex="-1"><${Content} found=${found} path=${path} /></main>`;
}

render(html`<${App} />`, document.getElementById("app"));
