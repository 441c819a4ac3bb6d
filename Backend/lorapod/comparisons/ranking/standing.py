"""The candidates of a comparison in the order of their scores, with the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from lorapod.comparisons.ranking.places import CONFIDENCE, IMAGES_MIN, Block, Part, Places, find_places

#: What each part counts in the score.
WEIGHTS: Mapping[str, float] = {"likeness": 1.0, "prompt_fit": 0.5, "drift": -1.0, "memorised": -1.0}

#: What is said of the best and of the worst in a part.
_SENTENCES: Mapping[str, tuple[str, str]] = {
    "likeness": ("most like the dataset", "least like the dataset"),
    "prompt_fit": ("follows the prompts best", "follows the prompts worst"),
    "drift": ("changes other pictures least", "changes other pictures most"),
}
#: A smaller share of likeness is next to nothing.
_HARDLY = 0.1
#: So many names are given of what a candidate is tied with.
_NAMES_MAX = 4


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One candidate with one weight."""

    #: As sentences call it: `step 500`.
    name: str
    #: Images of its dataset of which it has drawn near copies, and how many images that has.
    copied: int = 0
    dataset_size: int = 0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The place of one entrant."""

    #: Its place in the list of entrants.
    entrant: int
    #: 1 is the best; entrants that cannot be told apart may share it.
    place: int
    score: float
    reasons: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """All standings, the best first."""

    standings: Sequence[Standing]
    #: The entrant to take; None if nothing tells them apart.
    recommended: int | None
    warnings: Sequence[str] = field(default=())


def rank(entrants: Sequence[Entrant], blocks: Sequence[Block], parts: Mapping[str, Part]) -> Ranking:
    """Rank entrants.

    Args:
        entrants: at least one.
        blocks: the prompt and seed of each image, the same for all entrants.
        parts: shares by the names of `WEIGHTS`, with `likeness` among them: of each entrant one for each block, None for
            an image that has none.
    """
    usable = {name: part for name, part in parts.items() if _is_comparable(part)}
    places = find_places(blocks, usable, WEIGHTS)
    told = [name for name in _SENTENCES if name in usable]
    by_part = {
        name: find_places(
            blocks,
            {name: usable[name]},
            {name: -1.0 if WEIGHTS[name] < 0 else 1.0},
            # Each part is one more chance to see a difference that is not there.
            confidence=1 - (1 - CONFIDENCE) / len(told),
        )
        for name in told
    }
    order = sorted(range(len(entrants)), key=lambda one: (places.place(one), -places.scores[one]))
    standings = [
        Standing(
            entrant=one,
            place=places.place(one),
            score=places.scores[one],
            reasons=_reasons(one, entrants, usable, places, by_part),
        )
        for one in order
    ]
    told_apart = len(entrants) > 1 and not places.all_tied
    return Ranking(
        standings=standings,
        recommended=order[0] if told_apart else None,
        warnings=_warnings(entrants, blocks, parts, usable, places),
    )


def _is_comparable(part: Part) -> bool:
    """Return whether all entrants have values for the same images, and at least one."""
    having = {tuple(value is not None for value in row) for row in part}
    return len(having) == 1 and any(next(iter(having)))


def _reasons(
    one: int,
    entrants: Sequence[Entrant],
    parts: Mapping[str, Part],
    places: Places,
    by_part: Mapping[str, Places],
) -> Sequence[str]:
    reasons = []
    for name, found in by_part.items():
        best, worst = _SENTENCES[name]
        if found.all_tied:
            continue
        beats = any(found.better(one, other) for other in range(len(entrants)))
        # Of several that cannot be told apart, none is the best or the worst alone.
        shared = ", with others" if found.tied_with(one) else ""
        if beats and found.place(one) == 1:
            reasons.append(best + shared)
        elif not beats and found.place(one) > 1:
            reasons.append(worst + shared)
    shares = [value for value in parts.get("likeness", [[]] * len(entrants))[one] if value is not None]
    if shares and fmean(shares) < _HARDLY:
        reasons.append("hardly more like the dataset than the base model's pictures")
    entrant = entrants[one]
    if entrant.copied:
        reasons.append(f"may have memorised {entrant.copied} of {entrant.dataset_size} images")
    if tied_names := [entrants[other].name for other in places.tied_with(one)]:
        reasons.append(f"tied with {_listed(tied_names)}")
    return reasons


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMES_MAX:
        return f"{', '.join(names[:_NAMES_MAX])} and {len(names) - _NAMES_MAX} more"
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def _warnings(
    entrants: Sequence[Entrant],
    blocks: Sequence[Block],
    parts: Mapping[str, Part],
    usable: Mapping[str, Part],
    places: Places,
) -> Sequence[str]:
    if len(entrants) < 2:
        return []
    warnings = [
        f"The ranking does not count {name}: not every LoRA has it."
        for name in parts
        if name not in usable
        and name != "memorised"
        and any(value is not None for row in parts[name] for value in row)
    ]
    if places.margins is None:
        warnings.append(
            f"Nothing is recommended: {len(blocks)} images of each LoRA are too few to tell them apart. Ask again with more "
            f"prompts or seeds, at least {IMAGES_MIN} together; what is drawn is used again."
        )
    elif places.all_tied:
        warnings.append(
            "Nothing is recommended: the LoRAs differ less than prompts and seeds do. More prompts or seeds may tell them apart."
        )
    return warnings
