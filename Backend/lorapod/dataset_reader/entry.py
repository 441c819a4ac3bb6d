"""One dataset of a config, as AI Toolkit and the builtin trainer read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from lorapod.dataset_reader.buckets import USUAL_STEP, bucket_step
from lorapod.dataset_reader.frame_rule import FrameRule
from lorapod.kinds import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from lorapod.wire.dataset import IMAGE_SUFFIXES

#: AI Toolkit's default of `caption_ext`.
DEFAULT_CAPTION_EXT = ".txt"

#: Their models learn from sound files.
_AUDIO_ARCHS = ("ace_step",)

_CONTROL_KEYS = ("control_path_1", "control_path_2", "control_path_3")


class PartnerKind(StrEnum):
    """What a second picture of the same stem is to an item."""

    CONTROL = "control"
    MASK = "mask"
    INPAINT = "inpaint"
    UNCONDITIONAL = "unconditional"
    CLIP_IMAGE = "clip_image"


@dataclass(frozen=True, kw_only=True)
class PartnerFolder:
    """A folder that a dataset's entry names for second pictures."""

    kind: PartnerKind
    path: Path
    #: The config's key that names it.
    key: str


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """A folder and how a trainer reads it; with `folder` alone, as before any config is known."""

    #: A folder, or a JSON file of AI Toolkit's `dataset_path`.
    folder: Path
    #: Where it is in the config, for messages: `config.process[0].datasets[0]`.
    place: str = ""
    #: Suffix of captions, with its dot; the trainer looks for exactly this spelling.
    caption_ext: str = DEFAULT_CAPTION_EXT
    default_caption: str | None = None
    #: Frames of a clip; None: no config is known yet, so clips count as items.
    num_frames: int | None = None
    auto_frame_count: bool = False
    #: The numbers of frames that the model takes.
    frame_rule: FrameRule = field(default=FrameRule())
    fps: int = 24
    num_repeats: int = 1
    is_reg: bool = False
    #: Sides of the squares that buckets are made for; empty: no config is known yet.
    resolution: Sequence[int] = ()
    #: Sides of buckets are multiples of this, in pixels; it depends on the model.
    bucket_step: int = USUAL_STEP
    #: Whether every image is cropped to a square.
    square: bool = False
    #: Whether the model learns from sound files instead of images.
    audio: bool = False
    alpha_mask: bool = False
    control_from_same_folder: bool = False
    partners: Sequence[PartnerFolder] = field(default=())

    @property
    def reads_clips(self) -> bool:
        """Whether the trainer reads videos too."""
        return self.num_frames is None or self.num_frames > 1 or self.auto_frame_count

    @property
    def suffixes(self) -> Sequence[str]:
        """The suffixes of files that the trainer looks for, in any letters."""
        if self.audio:
            return sorted(AUDIO_SUFFIXES)
        return sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES if self.reads_clips else IMAGE_SUFFIXES)

    @classmethod
    def from_config(
        cls, section: Mapping[str, Any], *, place: str, arch: str | None = None
    ) -> DatasetEntry | None:
        """Read one mapping of a config's `datasets`; return None if it names no folder.

        Values of a wrong type count as not given: the trainer's own checks refuse them.
        """
        source = section.get("dataset_path") or section.get("folder_path")
        if not isinstance(source, str) or not source:
            return None
        frames = section.get("num_frames", 1)
        default_caption = section.get("default_caption")
        return cls(
            folder=Path(source),
            place=place,
            caption_ext=_caption_ext(section),
            default_caption=default_caption if isinstance(default_caption, str) else None,
            num_frames=frames if type(frames) is int else 1,
            auto_frame_count=bool(section.get("auto_frame_count")),
            frame_rule=FrameRule.of(arch),
            fps=_whole(section.get("fps"), 24),
            num_repeats=_whole(section.get("num_repeats"), 1),
            is_reg=bool(section.get("is_reg")),
            resolution=tuple(_sizes(section.get("resolution"))) or (512,),
            bucket_step=bucket_step(arch),
            square=bool(section.get("square_crop")) or not section.get("buckets", True),
            audio=(arch or "").startswith(_AUDIO_ARCHS),
            alpha_mask=bool(section.get("alpha_mask")),
            control_from_same_folder=bool(section.get("control_from_same_folder")),
            partners=tuple(_partners(section)),
        )


def _caption_ext(section: Mapping[str, Any]) -> str:
    legacy, named = section.get("caption_type"), section.get("caption_ext", DEFAULT_CAPTION_EXT)
    if isinstance(legacy, str) and legacy:
        # AI Toolkit takes this older key as it is, without adding a dot.
        return legacy
    if not isinstance(named, str) or not named:
        return DEFAULT_CAPTION_EXT
    return named if named.startswith(".") else f".{named}"


def _partners(section: Mapping[str, Any]) -> Iterator[PartnerFolder]:
    numbered = [key for key in _CONTROL_KEYS if isinstance(section.get(key), str) and section[key]]
    if numbered:
        # These replace `control_path`.
        for key in numbered:
            yield PartnerFolder(kind=PartnerKind.CONTROL, path=Path(section[key]), key=key)
    else:
        named = section.get("control_path")
        for path in named if isinstance(named, list) else [named]:
            if isinstance(path, str) and path:
                yield PartnerFolder(kind=PartnerKind.CONTROL, path=Path(path), key="control_path")
    for kind in (PartnerKind.MASK, PartnerKind.INPAINT, PartnerKind.UNCONDITIONAL, PartnerKind.CLIP_IMAGE):
        key = f"{kind}_path"
        path = section.get(key)
        if isinstance(path, str) and path and not (kind is PartnerKind.MASK and section.get("alpha_mask")):
            yield PartnerFolder(kind=kind, path=Path(path), key=key)


def _sizes(value: object) -> Iterator[int]:
    for size in value if isinstance(value, list | tuple) else [value]:
        if type(size) is int and size > 0:
            yield size


def _whole(value: object, default: int) -> int:
    return value if type(value) is int else default
