"""Real tokenizers of a small vocabulary, in the files in which models have theirs."""

from __future__ import annotations

import json
from pathlib import Path

#: What they learn from.
TEXT = [
    "a photo of a mycat, sitting on the red sofa in front of a window",
    "two dogs' houses, 12 trees and 3 rivers: it's all there",
    "caf\u00e9 na\u00efve \u5199\u771f \U0001f408 under-exposed_image (masterpiece:1.2)",
]


def make_clip(folder: Path) -> Path:
    """Write CLIP's two files, `vocab.json` and `merges.txt`, as the repositories of SD 1.5 and SDXL have them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    vocabulary = tokenizer.get_vocab()
    for text in [*(f"{symbol}</w>" for symbol in alphabet), "<|startoftext|>", "<|endoftext|>"]:
        vocabulary.setdefault(text, len(vocabulary))
    folder.mkdir(parents=True, exist_ok=True)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges), ""]))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
    )
    return folder


def make_qwen(folder: Path) -> Path:
    """Write the two files of Qwen2's tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.model.save(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer"}))
    return folder


def make_t5(folder: Path) -> Path:
    """Write a `tokenizer.json` that ends each text with a token of its own, and that cuts texts by itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = sorted({word for text in TEXT for word in text.split()})
    vocabulary = [("<unk>", 0.0), ("</s>", 0.0), *((f"\u2581{word}", -1.0) for word in words)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=4)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
