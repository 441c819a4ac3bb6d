"""Makes a Wan model of random weights, a few hundred kilobytes: `python tiny_wan.py FOLDER`, with AI Toolkit's Python."""

from __future__ import annotations

import string
import sys
from pathlib import Path


def main(folder: Path) -> None:
    import torch
    from diffusers import AutoencoderKLWan, WanTransformer3DModel
    from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=32,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
    ).save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=3, dim_mult=[1, 1, 1, 1], num_res_blocks=1).save_pretrained(folder / "vae")
    encoder = UMT5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    UMT5EncoderModel(encoder).save_pretrained(folder / "text_encoder")
    words = ["<pad>", "</s>", "<unk>", "\u2581", *string.ascii_lowercase]
    vocabulary = [(word, -float(place > 2)) for place, word in enumerate(words)]
    T5TokenizerFast(vocab=vocabulary, extra_ids=0).save_pretrained(folder / "tokenizer")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
