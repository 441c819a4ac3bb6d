"""What a person should know of how their images look to a trainer: one sentence for each kind, with names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lorapod.dataset_reader.buckets import BucketRule
from lorapod.datasets.looks.image_look import ImageLook

#: Part of an image beyond which cutting it off is worth a warning.
CROPPED_PART_MAX = 0.2

#: Names that one sentence lists; the rest is counted.
_NAMES_MAX = 10


class LookCode(StrEnum):
    """The kinds of findings, as answers name them."""

    TRANSPARENT = "transparent"
    ALPHA_UNKNOWN = "alpha_unknown"
    HIGH_BIT_DEPTH = "high_bit_depth"
    ANIMATED = "animated"
    CMYK = "cmyk"
    COLOUR_PROFILE = "colour_profile"
    CROPPED_BY_BUCKET = "cropped_by_bucket"


@dataclass(frozen=True, kw_only=True)
class LookFinding:
    """Images of which a trainer sees something else than a person does."""

    code: LookCode
    names: Sequence[str]
    message: str


def look_findings(looks: Mapping[str, ImageLook], rules: Sequence[BucketRule] = ()) -> Sequence[LookFinding]:
    """Return what is to be said of these images, by name; nothing if trainers see what a person sees.

    Args:
        looks: by the image's name.
        rules: how the training scales them, one for each resolution.
    """
    found = [
        finding
        for code, applies, sentence in _KINDS
        if (finding := _finding(code, [name for name, look in looks.items() if applies(look)], sentence))
    ]
    profiles = {name: look.profile for name, look in looks.items() if look.profile is not None}
    shown = ", ".join(dict.fromkeys(profiles.values()))
    colours = f"{{have}} a colour profile other than sRGB ({shown}), which trainers ignore: colours change"
    finding = _finding(LookCode.COLOUR_PROFILE, list(profiles), colours)
    return [*found, *([finding] if finding else []), *_crops(looks, rules)]


_KINDS: tuple[tuple[LookCode, Callable[[ImageLook], bool], str], ...] = (
    (
        LookCode.TRANSPARENT,
        lambda look: look.transparent is True,
        "{have} transparency, which trainers see as black",
    ),
    (
        LookCode.ALPHA_UNKNOWN,
        lambda look: look.transparent is None,
        "{have} an alpha channel that was not looked through; trainers see what is transparent as black",
    ),
    (
        LookCode.HIGH_BIT_DEPTH,
        lambda look: look.high_bit_depth,
        "{are} grey with 16 bits, which trainers see as white",
    ),
    (
        LookCode.ANIMATED,
        lambda look: look.animated,
        "{are} animated; trainers see the first frame only",
    ),
    (
        LookCode.CMYK,
        lambda look: look.cmyk,
        "{are} CMYK, for print, which trainers convert without a colour profile: colours change",
    ),
)


def _finding(code: LookCode, names: Sequence[str], sentence: str) -> LookFinding | None:
    if not names:
        return None
    one = len(names) == 1
    said = sentence.replace("{have}", "has" if one else "have").replace("{are}", "is" if one else "are")
    subject = "1 image" if one else f"{len(names)} images"
    return LookFinding(code=code, names=names, message=f"{subject} {said}: {listed(names)}.")


def _crops(looks: Mapping[str, ImageLook], rules: Sequence[BucketRule]) -> list[LookFinding]:
    found: list[LookFinding] = []
    for rule in dict.fromkeys(rules):
        parts = {name: rule.cropped_part(look.width, look.height) for name, look in looks.items()}
        names = [name for name, part in parts.items() if part > CROPPED_PART_MAX]
        if names:
            how = "square crop" if rule.square else "bucket"
            most = max(parts[name] for name in names)
            sentence = (
                f"{{are}} too small or too elongated for a {how} at resolution {rule.resolution}: "
                f"up to {most:.0%} of it is cut off"
            )
            finding = _finding(LookCode.CROPPED_BY_BUCKET, names, sentence)
            found += [finding] if finding else []
    return found


def listed(names: Sequence[str]) -> str:
    """Return the names as a sentence lists them."""
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
