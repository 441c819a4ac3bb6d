"""The console's doctor in a real browser: findings, the worst first, and a fix that a person confirms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.browser import PHONE, faults, launch, needs_chromium, too_wide
from tests.console_pages import ConsoleOverWorker
from tests.running_console import running_console

from lorapod.client import Client
from lorapod.client.console.console_doctor import ConsoleDoctor
from lorapod.client.doctor.finding import Finding, note, ok, problem
from lorapod.client.errors import LorapodError
from lorapod.platform.requests import EndpointSettings
from lorapod.testing.fake_queue import FakeQueue

pytestmark = needs_chromium

HOSTILE = "<img src=x onerror=alert(1)>"
FIX = EndpointSettings(name="mended")


class SickEndpoint:
    """An endpoint with one fault that a program may mend, until it is mended."""

    def __init__(self) -> None:
        self.fixed: list[str] = []
        self.away = False

    def look(self) -> list[Finding]:
        if self.away:
            raise LorapodError("RunPod does not answer.", hint="Try again in a minute.")
        found = [
            ok("key", "RunPod accepts the key."),
            note("workers", f"A worker said {HOSTILE}", lines=(HOSTILE,)),
        ]
        if not self.fixed:
            found.append(problem("start", "Workers start cold.", mend="lorapod doctor --fix", fix=FIX))
        return found

    def fix(self, finding: Finding) -> None:
        assert finding.fix is FIX
        self.fixed.append(finding.check)


@pytest.fixture
def endpoint() -> SickEndpoint:
    return SickEndpoint()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def site(endpoint: SickEndpoint, queue: FakeQueue, tmp_path: Path) -> Iterator[ConsoleOverWorker]:
    client = Client("https://runpod.test/v2/fake/", "rpa_made_up_key", http=queue)
    doctor = ConsoleDoctor(endpoint.look, endpoint.fix, wakes_worker=False)
    with (
        sync_playwright() as playwright,
        running_console(client, tmp_path / "cache", doctor=doctor) as console,
        launch(playwright) as browser,
    ):
        site = ConsoleOverWorker(console=console, client=client, workspace=tmp_path, browser=browser)
        yield site
        site.close_pages()


def test_findings_are_shown_mended_and_kept(
    site: ConsoleOverWorker, endpoint: SickEndpoint, queue: FakeQueue
) -> None:
    page = site.open("/doctor")
    expect(page.get_by_text("Nothing was looked at yet")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Look")).click()
    expect(page.get_by_text("1 problem", exact=True)).to_be_visible()
    expect(page.locator(".finding").first).to_contain_text("Workers start cold.")
    expect(page.get_by_text(f"A worker said {HOSTILE}")).to_be_visible()
    assert page.locator("img[src='x']").count() == 0
    assert faults(page) == []

    page.get_by_role("button", name="Mend it").click()
    page.get_by_role("dialog").get_by_role("button", name="Back").click()
    assert endpoint.fixed == []
    page.get_by_role("button", name="Mend it").click()
    page.get_by_role("dialog").get_by_role("button", name="Mend it").click()
    expect(page.get_by_text("No problem was found.")).to_be_visible()
    assert endpoint.fixed == ["start"]

    endpoint.away = True
    page.get_by_role("button", name=re.compile("^Look again")).click()
    expect(page.get_by_role("alert")).to_contain_text("RunPod does not answer.")
    expect(page.get_by_text("RunPod accepts the key.")).to_be_visible()
    assert queue.inputs == []

    phone = site.open("/doctor", viewport=PHONE, color_scheme="dark")
    expect(phone.locator(".finding")).to_have_count(2)
    assert faults(phone) + too_wide(phone) == []
