"""The tokenizer and the text encoder: a small CLIP whose vocabulary has the captions' words."""

from __future__ import annotations

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.scene import STYLES
from lorapod.client.drawing.things import COLOURS, THINGS

WIDTH = 128
#: Tokens of a prompt, with its start and end.
LENGTH = 24


def tokenizer() -> CLIPTokenizer:
    """Return a tokenizer that knows the captions' words, and spells every other word in bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    # CLIP's alphabet: printable bytes are themselves, the others are the code points from 256 on.
    letters = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in known_words():
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            # The end grows first: a merge then never joins letters inside a word that is not known.
            pair = pieces[-2], pieces[-1]
            if pair not in merges:
                merges.append(pair)
                vocabulary.append("".join(pair))
            pieces[-2:] = ["".join(pair)]
    words = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: place for place, word in enumerate(words)}, merges=merges, model_max_length=LENGTH
    )


def known_words() -> list[str]:
    """Return the captions' words, in alphabetical order."""
    phrases = [*COLOURS, *PLACES, *STYLES, *THINGS, "a an of"]
    return sorted({word for phrase in phrases for word in phrase.split() if len(word) > 1})


def encoder(words: CLIPTokenizer) -> CLIPTextModel:
    """Return a text encoder with random weights."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
