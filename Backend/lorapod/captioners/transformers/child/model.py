"""One loaded model: texts about images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from lorapod.captioners.pictures import contact_sheet
from lorapod.captioners.prompts import CaptionStyle

#: Models that follow no instructions: what they are asked by style, in words that they learnt; `""` asks nothing.
_TASKS = {
    "florence2": {
        CaptionStyle.NATURAL: "<MORE_DETAILED_CAPTION>",
        CaptionStyle.TAGS: "<DETAILED_CAPTION>",
        CaptionStyle.SHORT: "<CAPTION>",
    },
    "paligemma": dict.fromkeys(CaptionStyle, "caption en"),
    "kosmos-2": dict.fromkeys(CaptionStyle, "An image of"),
    **dict.fromkeys(
        ("blip", "blip-2", "git", "pix2struct", "vision-encoder-decoder"), dict.fromkeys(CaptionStyle, "")
    ),
}


class CaptionModelRunner:
    """Asks a model about images."""

    def __init__(self, model: Any, processor: Any) -> None:
        """Use a model that is loaded, and its processor."""
        self.model = model
        self._processor = processor
        self._tokenizer = getattr(processor, "tokenizer", processor)
        # Decoders write on at the right end.
        self._tokenizer.padding_side = "left"
        if getattr(self._tokenizer, "pad_token", None) is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._chats = getattr(processor, "chat_template", None) is not None

    def prompt_for(self, prompt: str, style: CaptionStyle, *, own: bool) -> str:
        """Return what this model is asked: the caller's prompt, or its own words for the style."""
        tasks = _TASKS.get(self.model.config.model_type)
        return prompt if own or tasks is None else tasks[style]

    def texts(
        self,
        pictures: Sequence[list[Image.Image]],
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        cancelled: Callable[[], bool],
    ) -> list[str]:
        """Return a text for each item; stop in the middle of it once `cancelled` says so.

        Args:
            pictures: of each item, one or several.
            prompts: of each item.
            max_new_tokens: longest text.
            cancelled: asked after each token.
        """
        inputs = self._chat(pictures, prompts) if self._chats else self._plain(pictures, prompts)
        inputs = inputs.to(self.model.device)
        dtype = self.model.dtype
        values = {
            name: value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            made = self.model.generate(
                **values,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                stopping_criteria=[lambda ids, _scores: _all_stop(ids, stop=cancelled())],
            )
        return self._decoded(made, values.get("input_ids"))

    def _chat(self, pictures: Sequence[list[Image.Image]], prompts: Sequence[str]) -> Any:
        messages = [
            [
                {
                    "role": "user",
                    "content": [
                        *({"type": "image", "image": picture} for picture in shown),
                        {"type": "text", "text": prompt},
                    ],
                }
            ]
            for shown, prompt in zip(pictures, prompts, strict=True)
        ]
        return self._processor.apply_chat_template(
            messages,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            enable_thinking=False,
            processor_kwargs={"padding": True},
        )

    def _plain(self, pictures: Sequence[list[Image.Image]], prompts: Sequence[str]) -> Any:
        sheets = [contact_sheet(shown) for shown in pictures]
        if not any(prompts):
            return self._processor(images=sheets, return_tensors="pt")
        return self._processor(images=sheets, text=list(prompts), padding=True, return_tensors="pt")

    def _decoded(self, made: Any, asked: Any) -> list[str]:
        """Return the new text; models that continue a prompt return it too, and with it the words are a sentence."""
        continues = self.model.config.model_type in _TASKS
        if asked is None or continues or made.shape[1] <= asked.shape[1]:
            return self._texts(made)
        repeats = torch.equal(made[:, : asked.shape[1]].cpu(), asked.cpu())
        return self._texts(made[:, asked.shape[1] :] if repeats else made)

    def _texts(self, made: Any) -> list[str]:
        return [str(text) for text in self._tokenizer.batch_decode(made, skip_special_tokens=True)]


def _all_stop(ids: Any, *, stop: bool) -> Any:
    return torch.full((ids.shape[0],), stop, dtype=torch.bool, device=ids.device)
