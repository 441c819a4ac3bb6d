"""The header's notes of a LoRA that was made of others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

#: What LoRAs were put together, and how: JSON.
MADE_BY = "lorapod.made_by"

#: Digests of the weights, which are others now.
_STALE = frozenset({"sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"})
_TRIGGERS = ("trigger_word", "modelspec.trigger_phrase", "ss_trigger_words")


def new_metadata(
    sources: Sequence[Mapping[str, str]], notes: Mapping[str, str], *, without: Collection[str] = ()
) -> dict[str, str]:
    """Return the notes of the sources as far as all agree, their trigger words one after the other, and `notes`."""
    agreed = {
        key: value
        for key, value in sources[0].items()
        if key not in _STALE and key not in without and all(other.get(key) == value for other in sources)
    }
    for key in _TRIGGERS:
        words = dict.fromkeys(source[key] for source in sources if source.get(key))
        if words:
            agreed[key] = ", ".join(words)
    return {**agreed, **notes}
