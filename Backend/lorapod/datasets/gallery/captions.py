"""What the captions of a dataset have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lorapod.datasets.captions import PLACEHOLDER
from lorapod.datasets.gallery.tokenizer import CaptionTokenizer

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")

#: Words that are in every caption of a text.
_COMMON_MAX = 30
#: Captions without the trigger word, or too long, that are named.
_NAMED_MAX = 100
#: Characters of a caption that are counted in tokens: far more than any text encoder reads.
_COUNTED = 20_000


@dataclass(frozen=True, kw_only=True)
class CaptionTokens:
    """Lengths of all captions in tokens, with those that begin and end a text."""

    #: The model and the folder in it.
    tokenizer: str
    #: Tokens that the trainer reads at most; None: not known.
    limit: int | None
    least: int
    median: float
    most: int
    #: Captions that are longer than the limit.
    cut_count: int
    #: Names of images with such a caption, some of them.
    cut: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class CaptionStatistics:
    """Figures of all captions that the trainer reads."""

    count: int
    words_min: int
    words_median: float
    words_max: int
    #: In every caption, the longest first: what all images share is learnt as one with these words.
    common_words: Sequence[str]
    #: Names of images whose caption has neither the trigger word nor `[trigger]`; empty if no word was given.
    without_trigger_word: Sequence[str]
    #: None if there is no tokenizer.
    tokens: CaptionTokens | None = None


def caption_statistics(
    captions: Mapping[str, str], trigger_word: str | None, tokenizer: CaptionTokenizer | None = None
) -> CaptionStatistics | None:
    """Return the figures; None if there is no caption.

    Args:
        captions: the text of each item with a caption, by its name.
        trigger_word: to look for, in any case of letters.
        tokenizer: of the model that will be trained.
    """
    words = {name: _WORD.findall(text.lower()) for name, text in captions.items()}
    if not words:
        return None
    counts = sorted(len(found) for found in words.values())
    seen = Counter(word for found in words.values() for word in set(found))
    common = [word for word, count in seen.items() if count == len(words)] if len(words) > 1 else []
    missing: list[str] = []
    if trigger_word is not None:
        wanted = re.compile(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", re.IGNORECASE)
        missing = [
            name for name, text in captions.items() if PLACEHOLDER not in text and not wanted.search(text)
        ]
    return CaptionStatistics(
        count=len(words),
        words_min=counts[0],
        words_median=median(counts),
        words_max=counts[-1],
        common_words=sorted(common, key=lambda word: (-len(word), word))[:_COMMON_MAX],
        without_trigger_word=missing[:_NAMED_MAX],
        tokens=None if tokenizer is None else _tokens(captions, trigger_word, tokenizer),
    )


def _tokens(
    captions: Mapping[str, str], trigger_word: str | None, tokenizer: CaptionTokenizer
) -> CaptionTokens:
    counts = {}
    for name, text in captions.items():
        # The trainer fills it in before it counts.
        filled = text if trigger_word is None else text.replace(PLACEHOLDER, trigger_word)
        counts[name] = tokenizer.count(filled[:_COUNTED])
    limit = tokenizer.limit
    cut = [name for name, count in counts.items() if limit is not None and count > limit]
    return CaptionTokens(
        tokenizer=tokenizer.name,
        limit=limit,
        least=min(counts.values()),
        median=median(counts.values()),
        most=max(counts.values()),
        cut_count=len(cut),
        cut=cut[:_NAMED_MAX],
    )
