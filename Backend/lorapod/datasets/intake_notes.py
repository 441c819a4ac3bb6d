"""What one intake changed on the way, for the person who sent it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

from lorapod.datasets.naming import NamePlan
from lorapod.datasets.sentences import some


class IntakeNotes:
    """Collects new names, and sentences."""

    def __init__(self) -> None:
        """Begin with nothing changed."""
        self._renamed: dict[str, str] = {}
        #: Of images that another format gave another suffix: the planned name, and the name in the dataset.
        self._suffixed: dict[str, str] = {}
        self._sentences: list[str] = []
        #: Names of captions by the encoding that they had.
        self._converted: dict[str, list[str]] = defaultdict(list)

    def add_plan(self, plan: NamePlan, *, source: str = "") -> None:
        """Note what a plan renames and says about folders; `source` tells its paths from those of other plans."""
        for path, name in plan.renamed.items():
            self._renamed[path if path not in self._renamed else f"{source}/{path}"] = name
        for sentence in plan.notes:
            self.say(sentence)

    def add_suffix(self, planned: str, name: str) -> None:
        """Note the name that an image has, which another format may have given another suffix than was planned."""
        if name != planned:
            self._suffixed[planned] = name

    def add_conversion(self, name: str, encoding: str) -> None:
        """Note that a caption was not UTF-8."""
        self._converted[encoding].append(name)

    def add_replaced(self, names: Sequence[str]) -> None:
        """Note which images of the dataset are lost, because another image of the same name took their place."""
        if names:
            self.say(
                f"{some(names)}: replaced another image of the same name in the dataset. To keep both, send one of "
                "them under another name."
            )

    def say(self, sentence: str) -> None:
        """Note a sentence, once."""
        if sentence not in self._sentences:
            self._sentences.append(sentence)

    def renamed(self, taken: Container[str]) -> Mapping[str, str]:
        """Return the path in the source, and the name in the dataset, of what was taken under another name."""
        names = {path: self._suffixed.get(name, name) for path, name in self._renamed.items()}
        return {path: name for path, name in names.items() if name in taken}

    @property
    def sentences(self) -> Sequence[str]:
        """All sentences."""
        converted = (
            f"{some(names)}: read as {encoding}, stored as UTF-8."
            for encoding, names in self._converted.items()
        )
        return [*self._sentences, *converted]
