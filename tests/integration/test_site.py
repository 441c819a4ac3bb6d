"""The documentation as a site, built as `make site` does: whole, and without anything of another host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lorapod.actions.registry import ACTIONS

ROOT = Path(__file__).parents[2]
#: What a browser fetches by itself when it shows a page; a link is not among it.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=\"?([^\" >]+)"
    r"|<link\b[^>]*\bhref=\"?([^\" >]+)[^>]*>"
    r"|@import\s+[\"']([^\"']+)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strict: a page outside the navigation and a link or an anchor that leads nowhere end the build."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_a_page_fetches_nothing_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(ACTIONS)
    outside = {
        (page.relative_to(site).as_posix(), target)
        for page in pages
        for found in FETCHED.finditer(page.read_text("utf-8"))
        for target in filter(None, found.groups())
        if re.match(r"(?:https?:)?//", target)
    }
    assert outside == set()


def test_every_action_has_a_page_that_the_search_finds(site: Path) -> None:
    found = json.loads((site / "search/search_index.json").read_text("utf-8"))["docs"]
    titles = {entry["location"]: entry["title"] for entry in found}
    assert {titles.get(f"reference/actions/{name}/") for name in ACTIONS} == set(ACTIONS)


def test_the_python_client_is_described_from_its_docstrings(site: Path) -> None:
    import lorapod.client

    text = (site / "reference/python/index.html").read_text("utf-8")
    missing = [name for name in lorapod.client.__all__ if f'id="lorapod.client.{name}"' not in text]
    assert missing == []


def test_the_pattern_sees_what_a_browser_would_fetch() -> None:
    page = '<img src="https://a.test/1.png"><link rel="x" href="//b.test/c.css"><a href="https://c.test">'
    assert ["".join(found) for found in FETCHED.findall(page)] == ["https://a.test/1.png", "//b.test/c.css"]
