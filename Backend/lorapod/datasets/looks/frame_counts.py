"""How many frames of a clip AI Toolkit trains on, and which numbers a model takes."""

from __future__ import annotations

from collections.abc import Mapping
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

    @classmethod
    def of(cls, arch: str | None) -> FrameRule:
        """Return the rule of a model's architecture; without one, that of most models."""
        name = (arch or "").split(":")[0]
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


def frames_advice(clips: Mapping[str, VideoLook | None], arch: str | None) -> str:
    """Return what to write into a config that has clips and no `num_frames`.

    Args:
        clips: by name; None for a clip that could not be opened.
        arch: the model's architecture in the config.
    """
    rule = FrameRule.of(arch)
    subject = "1 clip is" if len(clips) == 1 else f"{len(clips)} clips are"
    begin = (
        f"{subject} not trained on, because the dataset in the config has no `num_frames` above 1: "
        f"{listed(list(clips))}."
    )
    opened = [look for look in clips.values() if look is not None and not look.error and look.duration_s > 0]
    if not opened:
        return f"{begin} Set it to a number of the form {rule.text}, for example {rule.largest(3 * rule.fps)}, or set `auto_frame_count: true`."
    shortest = min(opened, key=lambda look: look.duration_s)
    frames = rule.largest(int(shortest.duration_s * rule.fps))
    return (
        f"{begin} Set it to {frames} ({rule.text}; the shortest clip has {shortest.duration_s:.1f} s, "
        f"the model {rule.fps} frames per second), or set `auto_frame_count: true`."
    )


def unfit_frames(num_frames: int, arch: str | None) -> str | None:
    """Return a sentence if the model does not take `num_frames`, and which numbers next to it fit."""
    rule = FrameRule.of(arch)
    if num_frames <= 1 or rule.fits(num_frames):
        return None
    below = rule.largest(num_frames)
    return f"num_frames: {num_frames} is not of the form {rule.text}, which the model takes; use {below} or {below + rule.step}."
