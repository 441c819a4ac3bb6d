"""Frames out of videos, as images: by PyAV in a child process, or by ffmpeg."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lorapod.datasets.looks.video_look import VideoProbe

#: To decode a long video to its end takes its time; a network volume that hangs must not hold a process for ever.
_TIMEOUT_S = 300.0
_SCRIPT = Path(__file__).with_name("video_frames_script.py")


class FramesMissing(Exception):
    """A video has no frames that can be had; the message is a sentence for its owner."""


@dataclass(frozen=True, kw_only=True)
class VideoFrames:
    """A program that takes frames out of videos."""

    argv: Sequence[str]
    #: Looks up how long a video is, for ffmpeg; None: the program is a Python with PyAV and Pillow.
    probe: VideoProbe | None = None

    @classmethod
    def find(cls, *pythons: Path | None) -> VideoFrames | None:
        """Return what this machine has; None if it has nothing that opens videos.

        Args:
            pythons: interpreters that have PyAV if they exist, as AI Toolkit's does.
        """
        if find_spec("av") is not None:
            return cls(argv=(sys.executable, str(_SCRIPT)))
        ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
        if ffmpeg is not None and ffprobe is not None:
            return cls(argv=(ffmpeg,), probe=VideoProbe(argv=(ffprobe,), is_ffprobe=True))
        found = next((python for python in pythons if python is not None and python.exists()), None)
        return None if found is None else cls(argv=(str(found), str(_SCRIPT)))

    def take(self, video: Path, folder: Path, *, count: int) -> list[Path]:
        """Write `count` frames, evenly spread over the video, to a folder; fewer if it has fewer.

        Raises:
            FramesMissing: it cannot be opened, or has no frames.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.probe is None:
            self._run([*self.argv, str(video), str(folder), str(count)], video)
        else:
            self._by_ffmpeg(video, folder, count, self.probe)
        frames = sorted(folder.glob("*.png"))
        if not frames:
            raise FramesMissing(f"The video {video.name} has no frames that can be read.")
        return frames

    def _by_ffmpeg(self, video: Path, folder: Path, count: int, probe: VideoProbe) -> None:
        look = probe.look([video]).get(video)
        if look is None or look.error:
            reason = look.error if look is not None else "ffprobe gave no answer"
            raise FramesMissing(f"The video {video.name} cannot be opened: {reason}.")
        for index in range(count):
            at_s = look.duration_s * (index + 0.5) / count
            target = folder / f"{index:03d}.png"
            options = [
                "-v",
                "error",
                "-ss",
                f"{at_s:.3f}",
                "-i",
                str(video),
                "-frames:v",
                "1",
                "-y",
                str(target),
            ]
            self._run([*self.argv, *options], video)

    def _run(self, argv: Sequence[str], video: Path) -> None:
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise FramesMissing(
                f"The video {video.name} could not be read within {_TIMEOUT_S:g} s."
            ) from None
        except OSError as error:
            raise FramesMissing(f"The video {video.name} cannot be read: {error.strerror}.") from error
        if done.returncode != 0:
            raise FramesMissing(f"The video {video.name} cannot be opened: {_reason(done)}.")


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return what the program said last, in one line."""
    try:
        return str(json.loads(done.stdout)["error"]).rstrip(".")
    except (ValueError, TypeError, KeyError):
        lines = done.stderr.strip().splitlines()
        return (lines[-1] if lines else f"its reader ended with exit code {done.returncode}").rstrip(".")
