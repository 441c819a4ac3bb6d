"""How many frames of a clip AI Toolkit trains on, and which numbers a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lorapod.datasets.looks.findings import listed
from lorapod.datasets.looks.video_look import VideoLook


@dataclass(frozen=True, kw_only=True)
class FrameRule:
    """The numbers of frames that a model takes: `step` n + `offset`."""

    step: int = 8
    offset: int = 1
    #: Frames per second that the model was made with.
    fps: int = 24
    #: The architecture, if its models learn from images only.
    images_only: str | None = None

    @classmethod
    def of(cls, arch: str | None) -> FrameRule:
        """Return the rule of a model's architecture; without one, that of most models."""
        name = (arch or "").split(":")[0]
        if name.startswith(_OF_IMAGES):
            return cls(images_only=name)
        return next((rule for prefix, rule in _RULES.items() if name.startswith(prefix)), cls())

    @property
    def text(self) -> str:
        """The rule as a sentence says it."""
        return f"{self.step} n + {self.offset}"

    def fits(self, frames: int) -> bool:
        """Return whether the model takes this number."""
        return frames >= self.offset and (frames - self.offset) % self.step == 0

    def largest(self, frames: int) -> int:
        """Return the largest number that the model takes and that is not beyond `frames`."""
        return max(self.offset, frames - (frames - self.offset) % self.step)


_RULES = {
    "wan22_5b": FrameRule(step=4, fps=24),
    "wan": FrameRule(step=4, fps=16),
    "ltx": FrameRule(step=8, fps=24),
    "minimax_h3": FrameRule(step=17, offset=5, fps=24),
}

#: How the names of architectures begin whose models make one image.
_OF_IMAGES = (
    *(
        "sd1",
        "sd2",
        "sd3",
        "sdxl",
        "ssd",
        "vega",
        "flux",
        "flex",
        "chroma",
        "qwen_image",
        "hidream",
        "zimage",
    ),
    *("lumina2", "omnigen2", "krea2"),
)


def frames_advice(clips: Mapping[str, VideoLook | None], rule: FrameRule) -> str:
    """Return what to write into a config that has clips and no `num_frames`.

    Args:
        clips: by name; None for a clip that was not opened.
        rule: the numbers that the model takes.
    """
    subject = "1 clip is" if len(clips) == 1 else f"{len(clips)} clips are"
    if rule.images_only is not None:
        why = f"the model ({rule.images_only}) learns from images only"
        return f"{subject} not trained on, because {why}: {listed(list(clips))}."
    begin = (
        f"{subject} not trained on, because the dataset in the config has no `num_frames` above 1: "
        f"{listed(list(clips))}."
    )
    opened = [look for look in clips.values() if look is not None and not look.error and look.duration_s > 0]
    if not opened:
        example = rule.largest(3 * rule.fps)
        return f"{begin} Set it to a number of the form {rule.text}, for example {example}, or set `auto_frame_count: true`."
    shortest = min(opened, key=lambda look: look.duration_s)
    frames = rule.largest(int(shortest.duration_s * rule.fps))
    return (
        f"{begin} Set it to {frames} ({rule.text}; the shortest clip has {shortest.duration_s:.1f} s, "
        f"the model {rule.fps} frames per second), or set `auto_frame_count: true`."
    )


def frame_warnings(clips: Mapping[str, VideoLook | None], num_frames: int, rule: FrameRule) -> Iterator[str]:
    """Yield what a person should know of clips that are trained on with this number of frames."""
    if num_frames > 1 and not rule.fits(num_frames):
        below = rule.largest(num_frames)
        yield (
            f"num_frames: {num_frames} is not of the form {rule.text}, which the model takes; "
            f"use {below} or {below + rule.step}."
        )
    short = [
        name
        for name, look in clips.items()
        if look is not None and not look.error and 0 < look.frames < num_frames
    ]
    if short:
        subject = "1 clip has" if len(short) == 1 else f"{len(short)} clips have"
        yield f"{subject} fewer than the {num_frames} frames of num_frames, so that frames are repeated: {listed(short)}."
