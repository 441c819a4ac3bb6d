"""A small CLIP that sees what the demo's base model draws: things, colours, places and styles."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from demo_base_parts.clip_card import clip_card
from demo_base_parts.pictures import SIDE, as_floats, scenes
from demo_base_parts.recognition import recognised
from demo_base_parts.text import LENGTH, tokenizer

log = logging.getLogger("demo_base")

_WIDTH, _PATCH, _OUT = 96, 8, 64
_BATCH = 128
_RATE = 1e-3
#: Pictures that it never sees while it is trained.
HELD_BACK = 500


def train_clip(out: Path, *, pictures: int, steps: int, seed: int, held_back: int = HELD_BACK) -> None:
    """Train it to match pictures with their captions, and write it in half precision, with its card."""
    pixels, captions = scenes(pictures, seed + 100)
    words = tokenizer()
    tokens = words(captions, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    caption_of = torch.tensor([numbers[caption] for caption in captions])
    torch.manual_seed(seed)
    model = CLIPModel(_config(words))
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=steps, pct_start=0.05)
    began, mean_loss = time.monotonic(), 4.0
    for step in range(1, steps + 1):
        chosen = torch.randint(len(pixels) - held_back, (_BATCH,))
        output = model(
            pixel_values=as_floats(pixels[chosen]),
            input_ids=tokens.input_ids[chosen],
            attention_mask=tokens.attention_mask[chosen],
        )
        same = (caption_of[chosen][:, None] == caption_of[chosen][None]).float()
        wanted = same / same.sum(dim=1, keepdim=True)
        fits = output.logits_per_text
        loss = (functional.cross_entropy(fits, wanted) + functional.cross_entropy(fits.T, wanted)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean_loss += 0.02 * (loss.item() - mean_loss)
        if step % 50 == 0:
            log.info("CLIP step %d: loss %.4f, %.0f s", step, mean_loss, time.monotonic() - began)
    known = recognised(model.eval(), words, pixels[-held_back:], captions[-held_back:])
    model.half().save_pretrained(out)
    words.save_pretrained(out)
    size = {"height": SIDE, "width": SIDE}
    middle = [0.5, 0.5, 0.5]
    CLIPImageProcessorPil(
        size=size, crop_size=size, image_mean=middle, image_std=middle, do_center_crop=False
    ).save_pretrained(out)
    (out / "README.md").write_text(
        clip_card(model, pictures=len(pixels) - held_back, batch=_BATCH, steps=steps, seed=seed, known=known),
        "utf-8",
    )
    for file in out.glob("*.safetensors"):
        file.chmod(0o644)


def _config(words: object) -> CLIPConfig:
    part = {"hidden_size": _WIDTH, "intermediate_size": 2 * _WIDTH, "num_attention_heads": 4}
    ids = {name: getattr(words, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    return CLIPConfig(
        text_config={
            **part,
            **ids,
            "num_hidden_layers": 2,
            "vocab_size": len(words),  # type: ignore[arg-type]
            "max_position_embeddings": LENGTH,
        },
        vision_config={**part, "num_hidden_layers": 3, "image_size": SIDE, "patch_size": _PATCH},
        projection_dim=_OUT,
    )
