"""A console over a real worker on a workspace with real datasets, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.browser import PageTroubles, is_shown, launch, new_page
from tests.integration.served_worker import worker_config
from tests.report_worker import painting
from tests.running_console import RunningConsole, running_console

from lorapod.client import Client
from lorapod.client.serving import serving

KEY = "rpa_made_up_key"
#: How long a test waits for what a worker answers; the suite may run on a busy machine.
expect.set_options(timeout=20_000)


def write_dataset(folder: Path, count: int, *, side: int = 64) -> None:
    """Write images, every fifth of them without a caption."""
    folder.mkdir(parents=True)
    drawn = [painting(number % 4, 1.0, side=side, seed=number // 4) for number in range(min(count, 12))]
    for number in range(count):
        (folder / f"IMG_{number:04}.png").write_bytes(drawn[number % 12])
        if number % 5:
            (folder / f"IMG_{number:04}.txt").write_text(f"a photo of mycat number {number}", "utf-8")


@dataclass(kw_only=True)
class ConsoleOverWorker:
    """A console whose worker runs on a workspace of its own, and who has looked at it."""

    console: RunningConsole
    client: Client
    workspace: Path
    browser: Browser
    troubles: PageTroubles = field(default_factory=PageTroubles)
    contexts: list[BrowserContext] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.console.url

    @property
    def datasets(self) -> Path:
        return self.workspace / "training_data"

    def open(self, path: str = "/", **options: Any) -> Page:
        """Open a page in a browser of its own; it must give no trouble."""
        context, page = new_page(self.browser, **options)
        self.contexts.append(context)
        page.set_default_timeout(15_000)
        self.troubles.watch(page, f"{self.url}/")
        page.goto(self.console.server.link)
        page.wait_for_url(f"{self.url}/")
        page.goto(f"{self.url}{path}")
        is_shown(page)
        return page

    def close_pages(self) -> None:
        """Close what was opened; fail if a page gave trouble."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()
        found = list(self.troubles)
        self.troubles.clear()
        assert found == [], found


Prepare = Callable[[Path], None]


@contextmanager
def console_over_worker(folder: Path, prepare: Prepare, **worker: Any) -> Iterator[ConsoleOverWorker]:
    """Serve a worker and a console over it; `prepare` fills the workspace before."""
    workspace = folder / "workspace"
    prepare(workspace)
    with serving(worker_config(workspace, **worker)) as endpoint, sync_playwright() as playwright:
        browser = launch(playwright)
        client = Client(endpoint.url, KEY)
        with running_console(client, folder / "cache") as console:
            yield ConsoleOverWorker(console=console, client=client, workspace=workspace, browser=browser)
        browser.close()
