"""Videos as a trainer sees them: length, frames and size, read by PyAV or ffprobe in a child process."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: A look into one video takes a tenth of a second; a network volume that hangs must not hold a request.
_TIMEOUT_S = 120.0
_SCRIPT = Path(__file__).with_name("video_probe.py")


@dataclass(frozen=True, kw_only=True)
class VideoLook:
    """What is known of a video that was opened."""

    #: Why it cannot be read, in a few words; the other fields are 0 then.
    error: str = ""
    #: After rotation, in pixels.
    width: int = 0
    height: int = 0
    frames: int = 0
    fps: float = 0.0
    duration_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class VideoProbe:
    """A program that looks into videos."""

    argv: Sequence[str]
    #: Whether it is ffprobe, which takes one file a call; else it is a Python with PyAV.
    is_ffprobe: bool = False

    @classmethod
    def find(cls, *pythons: Path | None) -> VideoProbe | None:
        """Return what this machine has; None if it has nothing that opens videos.

        Args:
            pythons: interpreters that have PyAV if they exist, as AI Toolkit's does.
        """
        if find_spec("av") is not None:
            return cls(argv=(sys.executable, str(_SCRIPT)))
        if (ffprobe := shutil.which("ffprobe")) is not None:
            return cls(argv=(ffprobe,), is_ffprobe=True)
        found = next((python for python in pythons if python is not None and python.exists()), None)
        return None if found is None else cls(argv=(str(found), str(_SCRIPT)))

    def look(self, paths: Sequence[Path]) -> Mapping[Path, VideoLook]:
        """Open each video; one that took too long, or that the program did not answer for, is missing in the result."""
        if not paths:
            return {}
        if not self.is_ffprobe:
            lines = self._run((), "".join(f"{path}\n" for path in paths)).splitlines()
            return {path: _look(json.loads(line)) for path, line in zip(paths, lines, strict=False)}
        found = {path: _ffprobe_look(self._run((*_FFPROBE, "--", str(path)), "")) for path in paths}
        return {path: look for path, look in found.items() if look is not None}

    def _run(self, options: Sequence[str], lines: str) -> str:
        try:
            done = subprocess.run(
                [*self.argv, *options],
                input=lines,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            logger.warning("cannot look into videos", extra={"error": str(error)})
            return ""
        return done.stdout


_FFPROBE = (
    *("-v", "error", "-of", "json", "-select_streams", "v:0", "-show_entries"),
    "stream=width,height,nb_frames,avg_frame_rate,duration:stream_side_data=rotation:format=duration",
)


def _look(answer: Mapping[str, Any]) -> VideoLook:
    return VideoLook(error=answer["error"]) if "error" in answer else VideoLook(**answer)


def _ffprobe_look(text: str) -> VideoLook | None:
    if not text:
        return None
    answer = json.loads(text)
    if not answer.get("streams"):
        return VideoLook(error="it has no video stream")
    stream = answer["streams"][0]
    over, _, under = stream.get("avg_frame_rate", "0/1").partition("/")
    fps = float(over) / (float(under or 1) or 1)
    duration_s = float(stream.get("duration") or answer.get("format", {}).get("duration") or 0)
    turned = any(side.get("rotation", 0) % 180 for side in stream.get("side_data_list", ()))
    width, height = stream["width"], stream["height"]
    return VideoLook(
        width=height if turned else width,
        height=width if turned else height,
        frames=int(stream.get("nb_frames") or round(duration_s * fps)),
        fps=round(fps, 3),
        duration_s=round(duration_s, 3),
    )
