"""The hand-written pages lead nowhere wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorapod.actions.registry import ACTIONS
from lorapod.wire.envelope import open_envelope
from lorapod.wire.validation import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_between_pages_leads_to_a_page(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    assert [target for target in targets if not (DOCS / page).parent.joinpath(target).exists()] == []


def test_the_site_has_every_page_in_its_navigation() -> None:
    nav = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = {line.split(": ")[-1].strip() for line in nav.splitlines()}
    assert [page for page in PAGES if page not in named] == []


def events() -> Iterator[tuple[str, Any]]:
    """Of every page, each JSON document that is a job's event; a block may hold several."""
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
            rest = block.strip()
            while rest.startswith('{"input"'):
                event, end = json.JSONDecoder().raw_decode(rest)
                yield page, event
                rest = rest[end:].strip()


EVENTS = list(events())


@pytest.mark.parametrize(("page", "event"), EVENTS)
def test_every_event_on_a_page_is_one_that_its_action_takes(page: str, event: Any) -> None:
    call = open_envelope(event)
    if call.type in ACTIONS:
        parse(ACTIONS[call.type].request, call.request_fields())


def test_there_are_events_on_the_pages() -> None:
    assert {"howto/datasets.md", "howto/live-uploads.md", "howto/object-stores.md"} <= {
        page for page, _ in EVENTS
    }


@pytest.mark.parametrize(
    "page", [*sorted(DOCS.parent.glob("*.md")), *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name
)
def test_no_page_holds_the_mark_of_an_unfinished_merge(page: Path) -> None:
    assert not re.findall(r"^(?:<{7}|={7}|>{7})(?: |$)", page.read_text(encoding="utf-8"), re.MULTILINE)
