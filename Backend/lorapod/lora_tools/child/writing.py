"""Write a safetensors file tensor by tensor, so that a large LoRA is never whole in RAM.

The header stands before the data but is known only after them: room is kept for it, and what is left of the room is
filled with spaces, as the format allows.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import torch

from lorapod.lora_tools.child.factors import Factors
from lorapod.lora_tools.names import PEFT, NameStyle

#: Names of number formats in headers.
DTYPES: Mapping[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
#: Bytes that a tensor's line in the header has beside its name.
_LINE_BYTES = 160
_LENGTH = struct.Struct("<Q")
_ALPHA_BYTES = 4
_ALIGNED = 8


class LoraWriter:
    """Writes one LoRA; `with` it, then `finish`."""

    def __init__(
        self,
        path: Path,
        *,
        modules: Sequence[str],
        style: NameStyle,
        alphas: bool,
        metadata: Mapping[str, str],
    ) -> None:
        """Begin the file.

        Args:
            path: the new file.
            modules: the names of all modules that can come.
            style: how tensors are named.
            alphas: whether each module gets its alpha.
            metadata: the header's notes.
        """
        self._file: IO[bytes] = path.open("xb")
        self._style = style
        self._alphas: list[float] = []
        self._with_alphas = alphas
        self._header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
        notes_bytes = len(json.dumps(self._header).encode())
        names_bytes = sum(len(json.dumps(module)) + _LINE_BYTES for module in modules)
        room_bytes = notes_bytes + 4 * names_bytes + _ALIGNED
        self._room_bytes = room_bytes + -room_bytes % _ALIGNED
        #: Alphas come first, as 32 bit, so that every tensor is aligned to its own size.
        first_bytes = len(modules) * _ALPHA_BYTES if alphas else 0
        self._data_at = _LENGTH.size + self._room_bytes
        self._end = first_bytes
        self._file.seek(self._data_at + first_bytes)
        self.ranks: dict[str, int] = {}
        self.dtypes: set[str] = set()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def add(self, module: str, factors: Factors) -> None:
        """Write one module, with scale 1."""
        factors = factors.baked()
        self._tensor(f"{module}{self._style.down}", factors.down)
        self._tensor(f"{module}{self._style.up}", factors.up)
        if factors.magnitude is not None:
            self._tensor(f"{module}{self._style.magnitude}", self._shaped(factors.magnitude, factors.up))
        if self._with_alphas:
            begin = len(self._alphas) * _ALPHA_BYTES
            self._alphas.append(float(factors.rank))
            self._note(f"{module}{self._style.alpha}", "F32", [], begin, begin + _ALPHA_BYTES)
        self.ranks[module] = factors.rank

    def finish(self, notes: Mapping[str, str]) -> None:
        """Write the header with further `notes`, and all to the disk."""
        self._header.setdefault("__metadata__", {}).update(notes)
        header = json.dumps(self._header, separators=(",", ":")).encode()
        assert len(header) <= self._room_bytes, "the header's room was measured by the modules"
        self._file.seek(0)
        self._file.write(_LENGTH.pack(self._room_bytes))
        self._file.write(header.ljust(self._room_bytes))
        self._file.write(struct.pack(f"<{len(self._alphas)}f", *self._alphas))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _shaped(self, magnitude: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """Return magnitudes in the shape that belongs to their name."""
        ones = [1 for _ in up.shape[2:]]
        if self._style.magnitude == PEFT.magnitude:
            return magnitude.reshape(1, -1, *ones) if ones else magnitude.reshape(-1)
        return magnitude.reshape(-1, 1, *ones)

    def _tensor(self, name: str, tensor: torch.Tensor) -> None:
        data = tensor.contiguous()
        dtype = DTYPES[data.dtype]
        self.dtypes.add(dtype)
        view = data.reshape(-1).view(torch.uint8).numpy()
        self._file.write(view.data)
        self._note(name, dtype, list(data.shape), self._end, self._end + view.nbytes)
        self._end += view.nbytes

    def _note(self, name: str, dtype: str, shape: list[int], begin: int, end: int) -> None:
        self._header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
