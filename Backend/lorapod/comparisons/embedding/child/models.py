"""Models of transformers that turn images and texts into vectors of length 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from lorapod.comparisons.embedding.child.kept_vectors import Vectors
from lorapod.comparisons.embedding.job import EmbeddingSource
from lorapod.errors import ErrorCode, InvalidInput
from lorapod.library_errors import code_of, reason_of

#: Images of one step.
_BATCH = 16


class EmbeddingModel:
    """One loaded model."""

    def __init__(self, source: EmbeddingSource) -> None:
        """Load it on the GPU, or on the processor if there is no GPU or too little memory.

        Raises:
            InvalidInput: it cannot be loaded.
        """
        self.source = source
        try:
            config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
            self._processor = AutoImageProcessor.from_pretrained(source.folder, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                source.folder,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                trust_remote_code=False,
            )
        except Exception as error:
            # Each library has exceptions of its own for a damaged file; what is the machine's fault has a code.
            if not isinstance(error, OSError) and code_of(error) is not ErrorCode.INTERNAL:
                raise
            raise InvalidInput(f"The model {source.name} cannot be loaded: {reason_of(error)}") from error
        self._model: Any = model.eval()
        self._place("cuda" if torch.cuda.is_available() else "cpu")

    def images(self, paths: Sequence[Path]) -> Iterator[Vectors]:
        """Yield the vectors of some images at a time, in their order."""
        for start in range(0, len(paths), _BATCH):
            pictures = [_open(path) for path in paths[start : start + _BATCH]]
            inputs = self._processor(images=pictures, return_tensors="pt")
            yield self._run(inputs, "get_image_features")

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts.

        Raises:
            InvalidInput: the model reads no text.
        """
        if not hasattr(self._model, "get_text_features"):
            raise InvalidInput(
                f"The model {self.source.name} does not compare images with texts; take one such as CLIP or SigLIP."
            )
        tokenizer = AutoTokenizer.from_pretrained(self.source.folder, trust_remote_code=False)
        longest = getattr(self._model.config.text_config, "max_position_embeddings", 64)
        # SigLIP was trained on texts of full length only.
        padding = "max_length" if "siglip" in self._model.config.model_type else True
        inputs = tokenizer(
            list(texts), padding=padding, truncation=True, max_length=longest, return_tensors="pt"
        )
        known = {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
        return self._run(known, "get_text_features")

    def _place(self, device: str) -> None:
        try:
            self._model.to(device)
        except torch.OutOfMemoryError:
            device = "cpu"
            self._model.to(device)
        self._device = device

    def _run(self, inputs: Any, features: str) -> Vectors:
        try:
            return self._compute(inputs, features)
        except torch.OutOfMemoryError:
            self._place("cpu")
            torch.cuda.empty_cache()
            return self._compute(inputs, features)

    def _compute(self, inputs: Any, features: str) -> Vectors:
        moved = {name: tensor.to(self._device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            compute = getattr(self._model, features, self._model)
            output = compute(**moved)
        if not isinstance(output, torch.Tensor):
            pooled = getattr(output, "pooler_output", None)
            output = pooled if pooled is not None else output.last_hidden_state.mean(dim=1)
        vectors = torch.nn.functional.normalize(output.float(), dim=-1)
        return np.asarray(vectors.cpu().numpy(), dtype=np.float32)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
