"""Headers of safetensors files, read without torch and without touching the weights.

The format: 8 bytes of header size (little-endian), then that much JSON
`{"__metadata__": {text: text}, "<tensor>": {"dtype", "shape", "data_offsets": [begin, end]}}`, then the data, which
ends where the last tensor ends (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

from lorapod.errors import InvalidInput, NotFound

SUFFIX = ".safetensors"

#: Largest header that is read. Those of real checkpoints are below 1 MB, except with embedded preview images.
HEADER_MAX_BYTES = 32_000_000

_LENGTH = struct.Struct("<Q")
_TRIGGER_KEYS = ("trigger_word", "modelspec.trigger_phrase", "ss_trigger_words")
_BASE_MODEL_KEYS = ("base_model", "ss_base_model_version", "ss_sd_model_name", "modelspec.architecture")
_LORA_DOWN = (".lora_A.", ".lora_down.", ".lora.down.", "_lora.down.", ".lokr_w1", ".hada_w1_a")


@dataclass(frozen=True, kw_only=True)
class WeightsHeader:
    """The header of a safetensors file."""

    #: The file's own notes, text to text; values are often JSON again.
    metadata: Mapping[str, str]
    tensor_count: int
    #: Tensors of each dtype, e.g. `{"F16": 96}`.
    dtypes: Mapping[str, int]
    #: Bytes of all tensors together.
    tensor_bytes: int
    #: Bytes of the JSON header, without its 8-byte length.
    header_bytes: int
    #: Bytes that the file has, and those it would have if it were whole.
    file_bytes: int
    expected_bytes: int
    #: The rank of a LoRA, from its metadata or its tensors' shapes.
    rank: int | None
    #: Whether its tensors are those of a LoRA (or LoKr, LoHa), not of a whole model.
    is_lora: bool
    #: The shape of each tensor, by its name.
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def whole(self) -> bool:
        """Return whether the file has exactly the bytes that its header promises."""
        return self.file_bytes == self.expected_bytes

    @property
    def base_model(self) -> str | None:
        """Return the model that it was trained on, if the metadata has it."""
        return self._first(_BASE_MODEL_KEYS)

    @property
    def trigger_word(self) -> str | None:
        """Return the word that triggers what it has learnt: the named one, else the only tag that it was trained with."""
        return self._first(_TRIGGER_KEYS) or self._only_tag()

    def _first(self, keys: tuple[str, ...]) -> str | None:
        for key in keys:
            text = _unquoted(self.metadata.get(key, "")).strip()
            if text and text != "None":
                return text
        return None

    def _only_tag(self) -> str | None:
        folders = _json_object(self.metadata.get("ss_tag_frequency", ""))
        tags = {tag for counts in folders.values() if isinstance(counts, dict) for tag in counts}
        return str(next(iter(tags))) or None if len(tags) == 1 else None


def read_header(path: Path) -> WeightsHeader:
    """Read the header of one safetensors file; the data may be cut off, see `WeightsHeader.whole`.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is not a safetensors file, its header is cut off, or larger than `HEADER_MAX_BYTES`.
    """
    try:
        return _read_header(path)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path.name}.") from error
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}.") from error


def is_whole(path: Path) -> bool:
    """Return whether `path` is a safetensors file of exactly the size that its header promises.

    Raises:
        OSError: the file cannot be read now, as on a network volume that lost its server.
    """
    try:
        return _read_header(path).whole
    except (InvalidInput, FileNotFoundError, PermissionError):
        return False


def step_of(header: WeightsHeader) -> int | None:
    """Return the step that the weights were trained for: `step` in the metadata's `training_info`, if it is there."""
    step = _json_object(header.metadata.get("training_info", "")).get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None


def _read_header(path: Path) -> WeightsHeader:
    with open(path, "rb", opener=_nonblocking) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput(f"{path.name} is not a file.")
        prefix = file.read(_LENGTH.size)
        if len(prefix) < _LENGTH.size:
            raise InvalidInput(f"{path.name} is not a safetensors file: it has only {len(prefix)} bytes.")
        (header_bytes,) = _LENGTH.unpack(prefix)
        if header_bytes > HEADER_MAX_BYTES:
            raise InvalidInput(
                f"{path.name} is not a safetensors file, or its header is too large: {header_bytes} bytes."
            )
        text = file.read(header_bytes)
    if len(text) < header_bytes:
        raise InvalidInput(f"{path.name} is cut off: its header has {len(text)} of {header_bytes} bytes.")
    return _header(path.name, text, state.st_size)


def _nonblocking(name: str, flags: int) -> int:
    """Refuse a pipe, which would block the reader."""
    return os.open(name, flags | os.O_NONBLOCK)


def _header(name: str, text: bytes, file_bytes: int) -> WeightsHeader:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} is not a safetensors file: its header is not JSON.") from error
    if not isinstance(fields, dict):
        raise InvalidInput(f"{name} is not a safetensors file: its header is not a JSON object.")
    notes = fields.pop("__metadata__", None) or {}
    if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
        raise InvalidInput(f"{name} is damaged: its metadata is not text.")
    dtypes: Counter[str] = Counter()
    tensor_bytes = end = 0
    ranks: set[int] = set()
    is_lora = False
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor, entry in fields.items():
        dtype, shape, (begin, stop) = _tensor(name, entry)
        shapes[tensor] = tuple(shape)
        dtypes[dtype] += 1
        tensor_bytes += stop - begin
        end = max(end, stop)
        if any(part in tensor for part in _LORA_DOWN):
            is_lora = True
            if shape and "_w1" not in tensor:
                ranks.add(shape[0])
    return WeightsHeader(
        metadata=MappingProxyType(notes),
        tensor_count=len(fields),
        dtypes=MappingProxyType(dict(dtypes)),
        tensor_bytes=tensor_bytes,
        header_bytes=len(text),
        file_bytes=file_bytes,
        expected_bytes=_LENGTH.size + len(text) + end,
        rank=_rank(notes, ranks),
        is_lora=is_lora,
        shapes=MappingProxyType(shapes),
    )


def _tensor(name: str, entry: Any) -> tuple[str, list[int], tuple[int, int]]:
    match entry:
        case {"dtype": str(dtype), "shape": shape, "data_offsets": [begin, stop]}:
            if _naturals(shape) and _naturals([begin, stop]) and begin <= stop:
                return dtype, shape, (begin, stop)
    raise InvalidInput(f"{name} is damaged: its header describes a tensor without type, shape or place.")


def _naturals(candidate: Any) -> TypeGuard[list[int]]:
    return isinstance(candidate, list) and all(type(number) is int and number >= 0 for number in candidate)


def _rank(metadata: Mapping[str, str], ranks: set[int]) -> int | None:
    noted = _unquoted(metadata.get("ss_network_dim", ""))
    if noted.isascii() and noted.isdigit() and len(noted) < 9:
        return int(noted)
    return max(ranks) if ranks else None


def _unquoted(text: str) -> str:
    """Return a metadata value without the JSON quotes that some trainers write around it."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
