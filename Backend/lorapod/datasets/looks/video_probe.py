"""Look into videos with PyAV. A script for any Python that has `av`: AI Toolkit's own has it.

It reads one path a line and writes one JSON object a line: `width`, `height`, `frames`, `fps`, `duration_s`, or `error`.
"""

import json
import sys
from typing import Any


def look(path: str) -> dict[str, Any]:
    """Open the video and decode its first frame."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        if stream.duration is not None and stream.time_base is not None:
            duration_s = float(stream.duration * stream.time_base)
        else:
            duration_s = (container.duration or 0) / 1_000_000
        frame = next(container.decode(stream))
        # Trainers read videos as viewers show them: turned.
        turned = getattr(frame, "rotation", 0) % 180 != 0
        width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        return {
            "width": width,
            "height": height,
            "frames": stream.frames or round(duration_s * rate),
            "fps": round(rate, 3),
            "duration_s": round(duration_s, 3),
        }


def main() -> None:
    """Answer each line."""
    for line in sys.stdin:
        try:
            answer = look(line.rstrip("\n"))
        except (OSError, ValueError, LookupError, StopIteration, ArithmeticError) as error:
            # Not the whole text of an OSError, which has the path and a number.
            answer = {"error": getattr(error, "strerror", None) or str(error) or type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
