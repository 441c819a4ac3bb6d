"""Count the tokens of captions as a text encoder reads them, with the tokenizer that lies beside its model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WHOLE = "tokenizer.json"
_VOCABULARY = "vocab.json"
_MERGES = "merges.txt"
_CONFIG = "tokenizer_config.json"

#: Tokenizers that are kept in memory; the largest take a hundred megabytes.
_KEPT = 2

_CLIP_WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
_QWEN_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class TokenizerUnusable(Exception):
    """A tokenizer cannot be used here; the text is a sentence that says why."""


@dataclass(frozen=True, kw_only=True)
class CaptionTokenizer:
    """What counts the tokens of captions for one text encoder."""

    #: The model and the folder in it, e.g. `black-forest-labs/FLUX.1-dev/tokenizer_2`.
    name: str
    #: Tokens that the trainer gives the text encoder at most, with those that begin and end a text; None: not known.
    limit: int | None
    #: Returns how many tokens a text has, with those that begin and end it.
    count: Callable[[str], int]


def is_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds a tokenizer that can be read here."""
    return (folder / _WHOLE).is_file() or all((folder / name).is_file() for name in (_VOCABULARY, _MERGES))


def open_tokenizer(folder: Path, *, name: str, limit: int | None) -> CaptionTokenizer:
    """Read the tokenizer in a folder.

    Raises:
        TokenizerUnusable: it is damaged or of a kind that is not known, or the library is not installed.
    """
    try:
        stamp = tuple(
            (path.stat().st_size, path.stat().st_mtime_ns)
            for path in (folder / _WHOLE, folder / _VOCABULARY, folder / _MERGES)
            if path.is_file()
        )
        opened = _open(folder, stamp)
    except ImportError:
        raise TokenizerUnusable("the library `tokenizers` is not installed") from None
    except TokenizerUnusable:
        raise
    except Exception as error:
        raise TokenizerUnusable(f"the tokenizer {name} cannot be read ({type(error).__name__})") from error
    # One text after the other: a batch would start threads, and this process forks.
    return CaptionTokenizer(name=name, limit=limit, count=lambda text: len(opened.encode(text).ids))


@lru_cache(maxsize=_KEPT)
def _open(folder: Path, _stamp: tuple[tuple[int, int], ...]) -> Tokenizer:
    """Read a tokenizer; `_stamp` changes with its files."""
    from tokenizers import Tokenizer

    if (folder / _WHOLE).is_file():
        tokenizer = Tokenizer.from_file(str(folder / _WHOLE))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    kind = _kind(folder)
    if kind.startswith("CLIP"):
        return _clip(folder)
    if kind.startswith("Qwen2"):
        return _qwen(folder)
    raise TokenizerUnusable(f"tokenizers of the kind {kind[:60] or 'unknown'} are not counted with")


def _kind(folder: Path) -> str:
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("tokenizer_class", "")) if isinstance(config, Mapping) else ""


def _clip(folder: Path) -> Tokenizer:
    """Build CLIP's tokenizer of its two files, as transformers does."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    first, last = "<|startoftext|>", "<|endoftext|>"
    model = models.BPE.from_file(
        str(folder / _VOCABULARY), str(folder / _MERGES), end_of_word_suffix="</w>", unk_token=last
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    numbers = [(text, tokenizer.token_to_id(text)) for text in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=numbers
    )
    return tokenizer


def _qwen(folder: Path) -> Tokenizer:
    """Build the tokenizer of Qwen2 and later of its two files, as transformers does."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.BPE.from_file(str(folder / _VOCABULARY), str(folder / _MERGES)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
