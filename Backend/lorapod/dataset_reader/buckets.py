"""The sizes that AI Toolkit trains images at: it scales each to a bucket and cuts off what stands over."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Sides of a bucket are multiples of this, in pixels, unless the model wants others.
USUAL_STEP = 16

_STEPS = {
    **dict.fromkeys(
        ("flux", "flex1", "sd3", "anima", "chroma", "chroma_radiance", "ernie_image", "hidream_o1", "ltx2",
         "ltx2.3", "ltx2.5", "minimax_h3", "minimax_h3_ref2va", "nucleus_image", "qwen_image",
         "qwen_image_edit", "qwen_image_edit_plus", "wan22_5b", "zeta_chroma"),
        32,
    ),
    "cogview4": 8,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BucketRule:
    """How a config's dataset is scaled: one resolution of it."""

    #: Side in pixels of the square with as many pixels as a bucket has at most.
    resolution: int
    #: Sides are multiples of this, in pixels.
    step: int = USUAL_STEP
    #: Whether every image is cropped to a square (`square_crop`, or `buckets: false`).
    square: bool = False

    def bucket(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height that an image of this size is trained at; it is not enlarged for its area."""
        if self.square:
            return self.resolution, self.resolution
        most = self.resolution**2
        wanted = min(width * height, most)
        scale = math.sqrt(wanted / (width * height)) / self.step
        low, high = (width * scale, height * scale), (math.ceil(width * scale), math.ceil(height * scale))
        floor = (math.floor(low[0]), math.floor(low[1]))
        candidates = [
            (across * self.step, down * self.step)
            for across in (floor[0], high[0])
            for down in (floor[1], high[1])
        ]
        fitting = [(across, down) for across, down in candidates if 0 < across * down <= most]
        if not fitting:
            return max(1, floor[0]) * self.step, max(1, floor[1]) * self.step
        return min(fitting, key=lambda size: abs(size[0] * size[1] - wanted))

    def cropped_part(self, width: int, height: int) -> float:
        """Return the part of an image of this size that is cut off: 0 is nothing, 0.25 a quarter."""
        across, down = self.bucket(width, height)
        scale = max(across / width, down / height)
        return 1 - (across * down) / (math.ceil(width * scale) * math.ceil(height * scale))


def bucket_step(arch: str | None) -> int:
    """Return the multiple that sides of buckets are for a model of this architecture, in pixels."""
    return _STEPS.get((arch or "").split(":")[0], USUAL_STEP)
