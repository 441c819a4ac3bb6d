"""What the folders of an intake mean: a common one says nothing, and some belong beside the images, not among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorapod.datasets.repeats import repeat_counts, repeats_of

#: AI Toolkit trains on the images of every folder below a dataset's, but not on those in a folder of this name.
CONTROLS = "_controls"

_CONTROL = re.compile(r"_?controls?|control_images?|conditioning(_images?)?|control_?1", re.IGNORECASE)
_MORE_CONTROL = re.compile(r"control_?([2-9])", re.IGNORECASE)
_MASK = re.compile(r"masks?", re.IGNORECASE)
_BEFORE = re.compile(r"sources?|inputs?|before|references?", re.IGNORECASE)
_AFTER = re.compile(r"targets?|outputs?|after|edited", re.IGNORECASE)
_REGULARIZATION = re.compile(r"reg|regs|regulari[sz]ation", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where a file goes, as far as its folders tell."""

    #: Folder of the dataset that it is kept in; empty: the dataset's own.
    place: str = ""
    #: The folders that become part of its name.
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The spot of each file of one intake."""

    spots: Sequence[Spot]
    #: What the person should know, a sentence each.
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, folders: Sequence[tuple[str, ...]], *, pictures: Sequence[bool]) -> Layout:
        """Find the layout.

        Args:
            folders: the folders above each file, outermost first.
            pictures: whether each file is an image or a video.
        """
        common = _common(folders)
        inner = [path[len(common) :] for path in folders]
        shown = [path for path, picture in zip(inner, pictures, strict=True) if picture]
        beside = _beside(shown)
        if beside:
            return _with_companions(inner, beside)
        counts = repeat_counts([path[-1] if path else "" for path in shown])
        if counts:
            return _with_repeats(inner, counts)
        notes = list(_order_note({path[-1] for path in shown if path}))
        if common and (repeats_of(common[-1]) or 1) > 1:
            notes = [f"{common[-1]}: its repeats change nothing, since every image is in this folder."]
        if any(path and _REGULARIZATION.fullmatch(path[0]) for path in shown):
            notes.append(
                "The regularization images are trained like the others here. Upload them as a dataset of their own, and "
                "name its folder in an entry of `datasets` with `is_reg: true`."
            )
        return cls(spots=[Spot(folders=path) for path in inner], notes=notes)


def _common(folders: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the folders that every file is in."""
    if not folders:
        return ()
    common = folders[0]
    for path in folders:
        length = next(
            (at for at, (one, other) in enumerate(zip(common, path, strict=False)) if one != other), None
        )
        common = common[: min(len(common), len(path)) if length is None else length]
    return common


def _with_repeats(inner: Sequence[tuple[str, ...]], counts: Mapping[str, int]) -> Layout:
    spots = [
        Spot(place=path[-1], folders=path[:-1]) if path and path[-1] in counts else Spot(folders=path)
        for path in inner
    ]
    told = ", ".join(f"{count} times those in {name}" for name, count in list(counts.items())[:5])
    return Layout(
        spots=spots,
        notes=[
            f"The images are repeated as their folders say: {told}. `num_repeats` in the config overrules that."
        ],
    )


def _order_note(parents: set[str]) -> Iterator[str]:
    counts = {parent: count for parent in sorted(parents) if (count := repeats_of(parent)) is not None}
    if any(count > 1 for count in counts.values()):
        yield (
            f"{', '.join(list(counts)[:5])}: the numbers are not taken as repeats. If they are meant so, upload each "
            "folder as a dataset of its own, and name them in entries of `datasets` with `num_repeats`."
        )


def _beside(shown: Sequence[tuple[str, ...]]) -> Mapping[str, str]:
    """Return the outermost folders that hold no images to learn, and where they are kept."""
    tops = {path[0] for path in shown if path}
    targets = [top for top in tops if _AFTER.fullmatch(top)]
    places: dict[str, str] = {}
    for top in sorted(tops):
        if _CONTROL.fullmatch(top) or (targets and _BEFORE.fullmatch(top)):
            places[top] = CONTROLS if CONTROLS not in places.values() else f"{top}/{CONTROLS}"
        elif (more := _MORE_CONTROL.fullmatch(top)) is not None:
            places[top] = f"control_{more[1]}/{CONTROLS}"
        elif _MASK.fullmatch(top):
            places[top] = f"mask/{CONTROLS}"
    learnt = any(not path or path[0] not in places for path in shown)
    return places if learnt else {}


def _with_companions(inner: Sequence[tuple[str, ...]], places: Mapping[str, str]) -> Layout:
    main = [path for path in inner if not path or path[0] not in places]
    # One level at most: what is below it has to stay the same as below the companions.
    skipped = len(_common(main)[:1])
    spots = [
        Spot(place=places[path[0]], folders=path[1:])
        if path and path[0] in places
        else Spot(folders=path[skipped:])
        for path in inner
    ]
    notes = [
        f"{top}: kept in {place} of the dataset, where no trainer learns from it; name this folder in the config's "
        f"`{'mask_path' if place.startswith('mask/') else 'control_path'}`."
        for top, place in places.items()
    ]
    return Layout(spots=spots, notes=notes)
