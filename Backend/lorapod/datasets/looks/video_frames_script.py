"""Take frames out of one video with PyAV. A script for any Python that has `av` and Pillow: AI Toolkit's own has both.

It takes the video's path, a folder and the number of frames. If it fails, it writes a JSON object with `error`.
"""

import json
import sys
from pathlib import Path
from typing import Any


def take(video: str, folder: Path, count: int) -> None:
    """Write frames that are evenly spread over the video as PNG images."""
    import av

    with av.open(video) as container:
        stream = container.streams.video[0]
        total = sum(1 for _ in container.decode(stream))
    wanted = {int(total * (index + 0.5) / count) for index in range(count)}
    with av.open(video) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                _upright(frame).save(folder / f"{number:06d}.png")


def _upright(frame: Any) -> Any:
    """Return the frame as viewers show it."""
    image = frame.to_image()
    turned = getattr(frame, "rotation", 0)
    return image.rotate(turned, expand=True) if turned else image


def main() -> int:
    """Take the frames; return the exit code."""
    video, folder, count = sys.argv[1:]
    try:
        take(video, Path(folder), int(count))
    except (OSError, ValueError, LookupError, ArithmeticError) as error:
        sys.stdout.write(json.dumps({"error": str(error) or type(error).__name__}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
