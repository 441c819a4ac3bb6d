"""The pictures of the console for the documentation."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser import CHROMIUM, is_shown, launch
from tests.report_worker import ReportWorker
from tests.running_console import RunningConsole, running_console

from lorapod.client import Client
from lorapod.testing.fake_queue import FakeQueue

PICTURES = os.environ.get("LORAPOD_PICTURES")
pytestmark = pytest.mark.skipif(
    not PICTURES or CHROMIUM is None,
    reason="draws the documentation's pictures; set LORAPOD_PICTURES to a folder",
)
FIRST, RUNNING, COMPARISON = "train_0123456789ab", "train_0123456789ad", "compare_0123456789ab"


def known_worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(FIRST, side=512, points=1500)
    worker.add_training("train_0123456789ac", side=512, points=1500, seed=1, name="cat, rank 32")
    worker.add_training("train_0123456789ae", side=512, points=1500, seed=2, name="white cat")
    worker.add_training(
        RUNNING,
        side=512,
        seed=3,
        points=750,
        name="fox",
        steps=(0, 250, 500, 750),
        status="running",
        phase="training",
        ended_at=None,
        ran_s=545,
        progress={"step": 750, "total_steps": 1500, "loss": 0.071, "steps_per_s": 1.4, "eta_s": 536},
    )
    worker.add_models()
    worker.add_comparison(COMPARISON, training=FIRST, side=192)
    worker.processes[COMPARISON]["created_at"] = "2026-01-31T19:00:00Z"
    return worker


def shown(browser: Browser, console: RunningConsole, path: str, **options: object) -> Page:
    page = browser.new_context(device_scale_factor=1, locale="en-US", **options).new_page()  # type: ignore[arg-type]
    page.goto(console.server.link)
    page.wait_for_url(f"{console.url}/")
    page.goto(f"{console.url}{path}")
    page.wait_for_load_state("networkidle")
    return page


def save(page: Page, path: Path) -> None:
    """Write what a page shows, in few enough colours to be small."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").quantize(255, dither=Image.Dither.NONE).save(path, optimize=True)


def test_pictures(tmp_path: Path) -> None:
    queue = FakeQueue()
    worker = known_worker(queue)
    folder, desktop = Path(PICTURES or ""), {"width": 1280, "height": 900}
    client = Client("https://api.runpod.ai/v2/abc123", http=queue)
    with running_console(client, tmp_path) as console, sync_playwright() as playwright:
        console.learn(*worker.processes)
        browser = launch(playwright)
        home = shown(browser, console, "/", viewport=desktop, color_scheme="light")
        save(home, folder / "console.png")
        training = shown(
            browser,
            console,
            f"/trainings/{RUNNING}",
            viewport={"width": 1280, "height": 1250},
            color_scheme="dark",
        )
        save(training, folder / "console-training.png")
        comparison = shown(
            browser, console, f"/comparisons/{COMPARISON}", viewport=desktop, color_scheme="light"
        )
        save(comparison, folder / "console-comparison.png")
        library = shown(browser, console, "/library", viewport=desktop, color_scheme="light")
        library.get_by_role("button", name=re.compile("^Ask the worker")).click()
        library.get_by_role("button", name=re.compile("^Ask again")).wait_for()
        is_shown(library)
        library.wait_for_load_state("networkidle")
        save(library, folder / "console-library.png")
        queue.states = [
            {"status": "COMPLETED", "output": worker.generation(count=3, side=384), "executionTime": 21_000}
        ]
        playground = shown(
            browser,
            console,
            f"/playground?lora={quote(worker.processes[FIRST]['checkpoints'][-1]['path'], safe='')}",
            viewport={"width": 1280, "height": 1000},
            color_scheme="dark",
        )
        playground.get_by_label("Prompt").fill("mycat in a garden, golden hour")
        playground.get_by_label("Images").fill("3")
        playground.get_by_label("Seed").fill("7")
        playground.get_by_role("button", name=re.compile("^Generate")).click()
        playground.locator(".drawn img").first.wait_for()
        playground.wait_for_load_state("networkidle")
        save(playground, folder / "console-playground.png")
        phone = shown(
            browser,
            console,
            f"/trainings/{FIRST}",
            viewport={"width": 390, "height": 844},
            color_scheme="light",
        )
        save(phone, folder / "console-phone.png")
        browser.close()
