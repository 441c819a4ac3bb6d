"""From the paths of one intake to names in the dataset: nothing is lost, and a caption keeps its image."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from lorapod.datasets.layout import Layout, Spot
from lorapod.kinds import VIDEO_SUFFIXES, suffix_of
from lorapod.safety.images import SUFFIXES as IMAGE_SUFFIXES
from lorapod.wire.dataset import CAPTION_SUFFIXES, CONVERTED_SUFFIXES, is_dataset_name

#: Between the folders and the name of what a folder held.
JOINT = "__"

#: Longest stem, in bytes: a trainer adds about 40 to it for the file of an image's latents, and 255 are the most.
STEM_MAX_BYTES = 200

#: Control characters, separators, and the marks that make a name read as another one.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff/\\]")
_SEPARATORS = re.compile(r"[/\\]")
_PICTURES = IMAGE_SUFFIXES | CONVERTED_SUFFIXES | VIDEO_SUFFIXES
_CAPTIONS = CAPTION_SUFFIXES | {".json"}


class Folders(Enum):
    """What the folders of a source say."""

    #: The person made them: they become part of every name.
    MATTER = "matter"
    #: A server made them (a URL's path): they become part of names that are the same without them.
    TELL_APART = "tell apart"


_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value", bound=Hashable)

#: Place, folders, stem.
_Family = tuple[str, tuple[str, ...], str]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One path of the intake, taken apart."""

    folders: tuple[str, ...]
    stem: str
    suffix: str
    #: Folder in the dataset that the file keeps.
    place: str = ""

    @classmethod
    def of(cls, name: str, spot: Spot) -> _Source:
        suffix = name[len(name) - len(suffix_of(name)) :] if is_dataset_name(name) else ""
        return cls(
            folders=spot.folders, stem=name[: len(name) - len(suffix)], suffix=suffix, place=spot.place
        )

    @property
    def kind(self) -> str:
        return self.suffix.lower()

    @property
    def is_picture(self) -> bool:
        return self.kind in _PICTURES

    @property
    def is_caption(self) -> bool:
        return self.kind in _CAPTIONS

    @property
    def family(self) -> _Family:
        """What an image and its captions have in common."""
        return self.place, self.folders, self.stem


@dataclass(frozen=True, kw_only=True)
class NamePlan:
    """The name in the dataset of each path of one intake."""

    #: In the order of the paths; no two alike but for the same path twice in an upload.
    names: Sequence[str]
    #: What the person should know about folders, a sentence each.
    notes: Sequence[str] = ()
    paths: Sequence[str] = field(repr=False, default=())

    @classmethod
    def of(
        cls,
        paths: Sequence[str],
        *,
        folders: Folders = Folders.MATTER,
        under: str = "",
        present: Iterable[str] = (),
    ) -> NamePlan:
        """Plan the names of an intake.

        Args:
            paths: folders and names as the source has them, with `/` or a backslash between them; the same path twice
                is two files.
            folders: what the folders say.
            under: a folder to put in front of every name; empty: no folder.
            present: names that the dataset already has: a caption is named after an image of them if they differ only
                in the case of letters.
        """
        split = _split(paths)
        layout = Layout.of(
            [tuple(parts[:-1]) for parts in split],
            pictures=[suffix_of(parts[-1]) in _PICTURES for parts in split],
        )
        top = (under,) if under else ()
        sources = _beside_their_images(
            [
                _Source.of(parts[-1], replace(spot, folders=(*top, *spot.folders)))
                for parts, spot in zip(split, layout.spots, strict=True)
            ],
            present,
        )
        names = _distinct(sources, _stems([source.family for source in sources], folders))
        return cls(names=names, notes=layout.notes, paths=paths)

    @property
    def renamed(self) -> Mapping[str, str]:
        """What has another name now: the path in the source, and the name in the dataset."""
        return {
            path: name
            for path, name in zip(self.paths, self.names, strict=True)
            if name != path and not path.replace("\\", "/").endswith(f"/{name}")
        }


def plain_stem(text: str) -> str:
    """Return the text as part of a file's name that every trainer takes; most texts stay as they are."""
    plain = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip().lstrip(". ") or "file"
    encoded = plain.encode()
    if len(encoded) <= STEM_MAX_BYTES:
        return plain
    # Two long names are often different at their ends only.
    digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return f"{encoded[: STEM_MAX_BYTES - 9].decode(errors='ignore').rstrip()}_{digest}"


def _split(paths: Sequence[str]) -> Sequence[Sequence[str]]:
    """Return the parts of each path with composed letters, unless two paths differ in just that."""
    written = [
        [part for part in _SEPARATORS.split(path) if part not in {"", "."}] or ["file"] for path in paths
    ]
    composed = [[unicodedata.normalize("NFC", part) for part in parts] for parts in written]
    forms: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for raw, parts in zip(written, composed, strict=True):
        stem, dot, suffix = parts[-1].rpartition(".")
        forms[*parts[:-1], stem, dot + suffix.lower()].add(raw[-1].rpartition(".")[0])
    twice = {key[:-1] for key, stems in forms.items() if len(stems) > 1}
    return [
        [*parts[:-1], raw[-1]] if (*parts[:-1], parts[-1].rpartition(".")[0]) in twice else parts
        for raw, parts in zip(written, composed, strict=True)
    ]


def _beside_their_images(sources: Sequence[_Source], present: Iterable[str]) -> Sequence[_Source]:
    """Return the sources, each caption in the family of its image, if it has one."""
    pictures = [source for source in sources if source.is_picture]
    families = {source.family for source in pictures}
    owned = {
        (source.family, source.kind) for source in sources if source.is_caption and source.family in families
    }
    by_name = {
        (source.place, source.folders, source.stem + source.suffix): source.family for source in pictures
    }
    by_letters = _unambiguous((_letters(family), family) for family in families)
    by_stem = _unambiguous(((family[0], family[2].lower()), family) for family in families)
    present = list(present)
    here = {name[: len(name) - len(suffix_of(name))] for name in present if suffix_of(name) in _PICTURES}
    by_present = _unambiguous(
        (text.lower(), name[: len(name) - len(suffix_of(name))])
        for name in present
        if suffix_of(name) in _PICTURES and "/" not in name
        for text in (name, name[: len(name) - len(suffix_of(name))])
    )

    def settled(source: _Source) -> _Source:
        if not source.is_caption or source.family in families:
            return source
        found = (
            by_name.get(source.family)
            or by_letters.get(_letters(source.family))
            or by_stem.get((source.place, source.stem.lower()))
        )
        if found is not None and (found, source.kind) not in owned:
            return replace(source, place=found[0], folders=found[1], stem=found[2])
        if not source.folders and source.stem not in here:
            return replace(source, stem=by_present.get(source.stem.lower(), source.stem))
        return source

    return [settled(source) for source in sources]


def _letters(family: _Family) -> _Family:
    place, folders, stem = family
    return place, folders, stem.lower()


def _unambiguous(pairs: Iterable[tuple[_Key, _Value]]) -> Mapping[_Key, _Value]:
    """Return the keys that have one value."""
    found: dict[_Key, set[_Value]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return {key: next(iter(values)) for key, values in found.items() if len(values) == 1}


def _stems(families: Sequence[_Family], folders: Folders) -> Mapping[_Family, str]:
    """Return a stem for each family, no two alike in one place; those that can keep their names come first."""
    unique = list(dict.fromkeys(families))
    joined = _joined if folders is Folders.MATTER else _told_apart(unique)
    wanted = {family: joined(family) for family in unique}
    stems: dict[_Family, str] = {}
    taken: set[tuple[str, str]] = set()
    numbers: Counter[tuple[str, str]] = Counter(
        {(family[0], plain_stem(text)): 1 for family, text in wanted.items()}
    )
    natural = {(family[0], text) for family, text in wanted.items()}
    for family in sorted(
        unique, key=lambda family: (family[0], plain_stem(wanted[family]) != wanted[family])
    ):
        place, stem = family[0], stems.get(("", *family[1:])) or plain_stem(wanted[family])
        chosen = stem
        while (place, chosen) in taken or (chosen != stem and (place, chosen) in natural):
            numbers[place, stem] += 1
            chosen = f"{stem}_{numbers[place, stem]}"
        taken.add((place, chosen))
        stems[family] = chosen
    return stems


def _joined(family: _Family) -> str:
    _, folders, stem = family
    return JOINT.join([*(plain_stem(folder) for folder in folders), stem])


def _told_apart(families: Sequence[_Family]) -> Callable[[_Family], str]:
    """Return a function that adds as many folders to a stem as tell it from the others."""
    rivals: dict[tuple[str, str], list[_Family]] = defaultdict(list)
    for family in families:
        rivals[family[0], plain_stem(family[2])].append(family)
    depths: dict[_Family, int] = {}
    for same in rivals.values():
        deepest = max(len(folders) for _, folders, _ in same)
        depth = next((depth for depth in range(deepest) if _are_apart(same, depth)), deepest)
        depths |= dict.fromkeys(same, depth)

    def joined(family: _Family) -> str:
        place, folders, stem = family
        return _joined((place, folders[len(folders) - min(len(folders), depths[family]) :], stem))

    return joined


def _are_apart(families: Sequence[_Family], depth: int) -> bool:
    return len({folders[max(0, len(folders) - depth) :] for _, folders, _ in families}) == len(families)


def _distinct(sources: Sequence[_Source], stems: Mapping[_Family, str]) -> Sequence[str]:
    """Return the whole names; a second file of one family and suffix gets a number."""
    seen: Counter[tuple[_Family, str]] = Counter()
    last: Counter[_Family] = Counter()
    taken = {(place, stem) for (place, _, _), stem in stems.items()}
    # The stem of the second, third, … file of a family; its captions have the same.
    numbered = {(family, 1): stem for family, stem in stems.items()}
    names = []
    for source in sources:
        # Control images are looked up with a suffix in small letters, captions too.
        suffix = source.suffix if source.is_picture and not source.place else source.kind
        seen[source.family, suffix] += 1
        occurrence = seen[source.family, suffix]
        if (source.family, occurrence) not in numbered:
            last[source.family] = max(occurrence, last[source.family] + 1)
            while (source.place, stem := f"{stems[source.family]}_{last[source.family]}") in taken:
                last[source.family] += 1
            taken.add((source.place, stem))
            numbered[source.family, occurrence] = stem
        stem = numbered[source.family, occurrence]
        if not suffix and suffix_of(stem):
            # A file of no known kind, such as `.png` in a folder, could meet one whose suffix is known.
            stem += "_"
        names.append("/".join(filter(None, (source.place, stem + suffix))))
    return names
