"""The console in Chromium: its first page, a curve of a million points, and its memory over a live training."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from aiohttp import web
from playwright.sync_api import Browser, Page, sync_playwright
from tests.benchmarks.report import Report
from tests.browser import launch, needs_chromium
from tests.report_worker import ReportWorker
from tests.running_console import RunningConsole, page_key_of, running_console
from tests.servers.http_thread import serving

from lorapod.client import Client
from lorapod.testing.fake_queue import FakeQueue

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(900),
    needs_chromium,
]
POINTS = 1_000_000
POLLS = 10_000
TRAINING = "train_0123456789ab"
RUNS = 7
#: An hour, asked every three seconds; three steps between two questions, and a sample of each prompt every 102 steps.
ASKS = 1200
STEPS = 3
SAMPLED = 102

MOST_FIRST_PAGE_S = 1.0
MOST_FIRST_DRAW_S = 0.3
MOST_ZOOM_S = 0.05
MOST_MEMORY_BYTES = 120_000_000
MOST_GROWTH_BYTES = 8_000_000


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    for number in range(8):
        worker.add_training(
            f"train_0123456789a{number}",
            seed=number,
            side=512,
            name=f"training {number}",
            steps=(0, 750, 1500),
        )
    return worker


@pytest.fixture
def console(queue: FakeQueue, worker: ReportWorker, tmp_path: Path) -> Iterator[RunningConsole]:
    client = Client("https://runpod.test/v2/fake/", "rpa_made_up_key", http=queue)
    with running_console(client, tmp_path) as console:
        console.learn(*worker.processes)
        yield console


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, console: RunningConsole) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(console.server.link)
    page.wait_for_url(f"{console.url}/")
    page.wait_for_selector(".card img")
    return page


def test_the_first_page(page: Page, console: RunningConsole, report: Report) -> None:
    """Under 1 s to the cards and their images, from a warm cache."""
    times = []
    for _ in range(RUNS):
        page.goto("about:blank")
        page.goto(f"{console.url}/", wait_until="commit")
        page.wait_for_function(
            "() => document.querySelectorAll('.card').length === 8 && [...document.querySelectorAll('.card img')].slice(0, 4).every((image) => image.complete && image.naturalWidth)"
        )
        times.append(page.evaluate("performance.now()") / 1000)
    median_s = statistics.median(times)
    report(
        "First page with 8 trainings, to its images", median_s * 1000, "ms", at_most=MOST_FIRST_PAGE_S * 1000
    )


def next_drawing_s(page: Page) -> float:
    """Return how long the newest drawing of the curve took, from the request or the press to the drawn chart."""
    page.wait_for_function("() => performance.getEntriesByName('curve').length")
    return float(page.evaluate("performance.getEntriesByName('curve')[0].duration")) / 1000


def test_a_curve_of_a_million_points(page: Page, console: RunningConsole, report: Report) -> None:
    """First draw under 300 ms, from the arrival of the bytes' request; zoom under 50 ms."""
    dice = random.Random(1)
    points = [(step, 0.1 + 100 / (1000 + step) + dice.random() * 0.05) for step in range(POINTS)]
    console.learn(f"{TRAINING[:-1]}0")
    console.parts.curves.add("train_0123456789a0", {"loss/loss": points}, afresh=True)
    draws, zooms = [], []
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    for _ in range(RUNS):
        page.goto(f"{console.url}/trainings/train_0123456789a0")
        draws.append(next_drawing_s(page))
        for _ in range(4):
            page.evaluate("performance.clearMeasures('curve')")
            page.get_by_role("button", name="Zoom in").click()
            zooms.append(next_drawing_s(page))
    draw_s, zoom_s = statistics.median(draws), statistics.median(zooms)
    curve = f"A curve of {POINTS:,} points"
    report(
        f"{curve}, from its request to its first draw", draw_s * 1000, "ms", at_most=MOST_FIRST_DRAW_S * 1000
    )
    report(f"{curve}, a zoom", zoom_s * 1000, "ms", at_most=MOST_ZOOM_S * 1000)


class LiveHour:
    """A training that runs for an hour, behind a server with a queue in memory."""

    def __init__(self) -> None:
        self.queue = FakeQueue()
        worker = ReportWorker(self.queue)
        worker.add_training(
            TRAINING,
            steps=range(0, ASKS * STEPS + 1, SAMPLED),
            points=ASKS * STEPS,
            side=256,
            status="running",
            ended_at=None,
        )
        self.process = worker.processes[TRAINING]
        self._series, self._samples, self._curves = (
            worker.series,
            self.process["samples"],
            worker.series[TRAINING],
        )

    def go_on(self, step: int) -> None:
        self.process["progress"] = {"step": step, "total_steps": ASKS * STEPS, "loss": 0.1}
        self.process["samples"] = [sample for sample in self._samples if sample["step"] <= step]
        self._series[TRAINING] = {
            key: [point for point in points if point[0] <= step] for key, points in self._curves.items()
        }
        self.queue.requests.clear()

    def application(self) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            found = self.queue.send(
                request.method, str(request.url), headers={}, body=await request.read() or None, wait_s=0
            )
            return web.Response(status=found.status, body=found.body, content_type="application/json")

        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", answer)
        return app


@contextmanager
def console_process(url: str, folder: Path) -> Iterator[tuple[psutil.Process, httpx.Client]]:
    """Run `lorapod console`; yield the process, and a browser with its session."""
    command = [str(Path(sys.executable).with_name("lorapod")), "console", "--port", "0", "--url", url]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as console:
        try:
            assert console.stdout is not None
            link = console.stdout.readline().strip()
            base = link.partition("/open/")[0]
            with httpx.Client(
                base_url=base, headers={"Origin": base}, trust_env=False, timeout=60
            ) as browser:
                browser.headers["X-Console-Key"] = page_key_of(browser.get(link).text)
                yield psutil.Process(console.pid), browser
        finally:
            console.kill()


def test_the_memory_of_a_live_training(tmp_path: Path, report: Report) -> None:
    """Under 120 MB after an hour of a live training, and no growth over 10,000 polls."""
    hour, path = LiveHour(), f"/api/trainings/{TRAINING}"
    with (
        serving(hour.application) as port,
        console_process(f"http://127.0.0.1:{port}/v2/x", tmp_path) as opened,
    ):
        console, browser = opened
        for number in range(1, ASKS + 1):
            hour.go_on(number * STEPS)
            assert browser.post(f"{path}/ask").status_code == 202
            while not browser.get(path).json()["ask"]["ended"]:
                continue
        hour_bytes = console.memory_info().rss
        polled: list[int] = []
        for number in range(POLLS):
            browser.get(path if number % 2 else "/api/home")
            polled.append(console.memory_info().rss)
        view = browser.get(path).json()
    grown_bytes = polled[-1] - polled[POLLS // 10]
    assert view["process"]["progress"]["step"] == ASKS * STEPS
    assert view["curves"]["loss/loss"]["points"] == ASKS * STEPS
    report(
        f"Memory after an hour of a live training ({ASKS} questions)",
        hour_bytes / 1e6,
        "MB",
        at_most=MOST_MEMORY_BYTES / 1e6,
    )
    report(f"Growth over {POLLS:,} polls after it", grown_bytes / 1e6, "MB", at_most=MOST_GROWTH_BYTES / 1e6)
