"""How many frames of a clip AI Toolkit trains on: the numbers that a model takes."""

from __future__ import annotations

from dataclasses import dataclass


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
