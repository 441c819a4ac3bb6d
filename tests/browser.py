"""Chromium for the tests of pages: how it is started, what a page must not do, and what every page must be."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Playwright,
    Request,
    ViewportSize,
    expect,
)

CHROMIUM = shutil.which("chromium")
#: Of every module that opens a page.
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
LARGE: ViewportSize = {"width": 3840, "height": 2160}
#: Names and captions that a page must show as text.
HOSTILE = ("<img src=x onerror=alert(1)>", "שלום עולם, חתול על ספה", "w" * 10_000, "a short one")

OpenPage = Callable[..., Page]


def launch(playwright: Playwright) -> Browser:
    """Start the browser of this machine."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


def new_page(browser: Browser, **options: Any) -> tuple[BrowserContext, Page]:
    """Return a page of a browser profile of its own; the context must be closed."""
    settings = {"viewport": DESKTOP, "locale": "en-US", "timezone_id": "Europe/Berlin", **options}
    context = browser.new_context(**settings)
    return context, context.new_page()


class PageTroubles(list[str]):
    """What a page must not do: errors, dialogs, and requests for anything but its server."""

    #: What Chromium reports when a server is asked for what it does not know.
    UNKNOWN = "404 (Not Found)"

    def watch(self, page: Page, *urls: str) -> None:
        """Collect the troubles of a page that may request only what begins with one of these URLs."""

        def console(line: ConsoleMessage) -> None:
            if line.type == "error" and self.UNKNOWN not in line.text:
                self.append(line.text)

        def dialog(shown: Dialog) -> None:
            self.append(shown.message)
            shown.dismiss()

        def request(asked: Request) -> None:
            if not asked.url.startswith(urls):
                self.append(asked.url)

        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("console", console)
        page.on("dialog", dialog)
        page.on("request", request)


def faults(page: Page) -> list[str]:
    """Return axe's serious faults of a page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:160]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


def too_wide(page: Page) -> list[str]:
    """Return by how much a page is wider than its window, as `faults` does."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{wider} px wider than the window"] if wider > 0 else []


def is_shown(page: Page) -> None:
    """Wait until a page has its content and its images."""
    expect(page.locator("h1, .notice").first).to_be_visible()
    # Not by `wait_for_function`: it evaluates a text in the page, which the page's policy forbids.
    complete = "[...document.images].every((image) => image.complete || image.loading === 'lazy')"
    deadline = time.monotonic() + 20
    while not page.evaluate(complete):
        assert time.monotonic() < deadline, "an image was not loaded"
        page.wait_for_timeout(50)
