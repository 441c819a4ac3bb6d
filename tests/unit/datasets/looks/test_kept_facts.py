from __future__ import annotations

from pathlib import Path

from lorapod.datasets.item import FoundFile
from lorapod.datasets.looks.facts import ImageFacts
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.looks.kept_facts import KeptFacts

PLAIN = ImageFacts(look=ImageLook(width=4, height=4, format="PNG"))
UNDECODED = ImageFacts(look=ImageLook(width=4, height=4, format="PNG", transparent=None))


def file(name: str = "a.png", *, mtime_ns: int = 1, size_bytes: int = 9) -> FoundFile:
    return FoundFile(name=name, path=Path("/d", name), size_bytes=size_bytes, mtime_ns=mtime_ns)


class Looks:
    """Counts what is opened."""

    def __init__(self, facts: ImageFacts = PLAIN) -> None:
        self.facts = facts
        self.opened: list[str] = []

    def __call__(self, file: FoundFile) -> ImageFacts:
        self.opened.append(file.name)
        return self.facts


def test_a_file_that_has_not_changed_is_opened_once() -> None:
    kept, look = KeptFacts[ImageFacts](), Looks()
    assert [kept.get(file(), look) for _ in range(3)] == [PLAIN] * 3
    assert look.opened == ["a.png"]


def test_another_time_or_size_is_another_file() -> None:
    kept, look = KeptFacts[ImageFacts](), Looks()
    for one in (file(), file(mtime_ns=2), file(size_bytes=8), file("b.png")):
        kept.get(one, look)
    assert len(look.opened) == 4


def test_what_failed_for_another_reason_than_the_file_is_tried_again() -> None:
    kept, look = KeptFacts[ImageFacts](), Looks(ImageFacts(look=None, error="away", lasting=False))
    kept.get(file(), look)
    kept.get(file(), look)
    assert len(look.opened) == 2


def test_a_damaged_file_is_opened_once() -> None:
    kept, look = KeptFacts[ImageFacts](), Looks(ImageFacts(look=None, error="cut off"))
    kept.get(file(), look)
    kept.get(file(), look)
    assert len(look.opened) == 1


def test_what_does_not_suffice_is_looked_at_again() -> None:
    kept: KeptFacts[ImageFacts] = KeptFacts()
    assert kept.get(file(), Looks(UNDECODED)) == UNDECODED
    assert kept.get(file(), Looks(PLAIN)) == UNDECODED
    assert kept.get(file(), Looks(PLAIN), suffices=lambda facts: facts != UNDECODED) == PLAIN
    assert kept.get(file(), Looks(UNDECODED)) == PLAIN


def test_the_oldest_are_forgotten() -> None:
    kept, look = KeptFacts[ImageFacts](most=2), Looks()
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(file(name), look)
    assert look.opened == ["a", "b", "c", "b"]
