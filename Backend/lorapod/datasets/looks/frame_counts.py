"""What a person should know of clips and the number of their frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lorapod.dataset_reader.frame_rule import FrameRule
from lorapod.datasets.looks.findings import listed
from lorapod.datasets.looks.video_look import VideoLook


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
