from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorapod.dataset_reader.item import FoundFile
from lorapod.datasets.looks import facts, gathering
from lorapod.datasets.looks.facts import ImageFacts
from lorapod.datasets.looks.gathering import image_facts
from lorapod.datasets.looks.image_look import ImageLook
from lorapod.datasets.looks.kept_facts import KeptFacts

PLAIN = ImageFacts(look=ImageLook(width=4, height=4, format="PNG"))


def file(name: str = "a.png", *, mtime_ns: int = 1, size_bytes: int = 9) -> FoundFile:
    return FoundFile(name=name, path=Path("/d", name), size_bytes=size_bytes, mtime_ns=mtime_ns)


def test_facts_are_those_of_one_state_of_the_file() -> None:
    kept = KeptFacts[ImageFacts]()
    kept.keep(file(), PLAIN)
    assert kept.known(file()) == PLAIN
    for other in (file(mtime_ns=2), file(size_bytes=8), file("b.png")):
        assert kept.known(other) is None


def test_what_failed_for_another_reason_than_the_file_is_not_kept() -> None:
    kept = KeptFacts[ImageFacts]()
    kept.keep(file(), ImageFacts(look=None, error="away", lasting=False))
    assert kept.known(file()) is None
    kept.keep(file(), ImageFacts(look=None, error="cut off"))
    assert kept.known(file()) is not None


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    kept = KeptFacts[ImageFacts](most=2)
    for name in ("a", "b"):
        kept.keep(file(name), PLAIN)
    kept.known(file("a"))
    kept.keep(file("c"), PLAIN)
    assert [name for name in "abc" if kept.known(file(name))] == ["a", "c"]


class TestGathering:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The names of the images that are opened; each look begins with nothing known."""
        monkeypatch.setattr(gathering, "_IMAGES", KeptFacts[ImageFacts]())
        opened: list[str] = []

        def facts_of_image(path: Path, name: str, *, decode_alpha: bool) -> ImageFacts:
            opened.append(f"{name} decoded" if decode_alpha else name)
            return facts.facts_of_image(path, name, decode_alpha=decode_alpha)

        monkeypatch.setattr(gathering, "facts_of_image", facts_of_image)
        return opened

    def listed(self, folder: Path) -> list[FoundFile]:
        return [
            FoundFile(
                name=path.name, path=path, size_bytes=path.stat().st_size, mtime_ns=path.stat().st_mtime_ns
            )
            for path in sorted(folder.iterdir())
        ]

    def test_a_second_look_opens_only_what_has_changed(self, tmp_path: Path, opened: list[str]) -> None:
        for number in range(40):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{number:02}.png")
        image_facts(self.listed(tmp_path))
        assert len(opened) == 40
        opened.clear()
        Image.new("RGB", (9, 9)).save(tmp_path / "07.png")
        found = image_facts(self.listed(tmp_path))
        assert opened == ["07.png"]
        assert [one.look.width for one in found if one.look] == [8] * 7 + [9] + [8] * 32

    def test_alpha_channels_are_gone_through_as_far_as_one_look_does(
        self, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gathering, "_DECODED_PIXELS_MAX", 100)
        for number in range(3):
            Image.new("RGBA", (8, 8)).save(tmp_path / f"{number}.png")
        files = self.listed(tmp_path)
        assert [one.look.transparent for one in image_facts(files) if one.look] == [True, True, None]
        opened.clear()
        assert [one.look.transparent for one in image_facts(files) if one.look] == [True] * 3
        assert opened == ["2.png decoded"]

    def test_no_pixel_is_decoded_if_nobody_asks_for_it(self, tmp_path: Path, opened: list[str]) -> None:
        Image.new("RGBA", (8, 8)).save(tmp_path / "a.png")
        (found,) = image_facts(self.listed(tmp_path), decode_alpha=False)
        assert found.look is not None
        assert found.look.transparent is None
        assert opened == ["a.png"]
