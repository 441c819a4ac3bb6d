"""A look into the clips of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.looks.findings import listed
from lorapod.datasets.looks.frame_counts import frame_warnings, frames_advice
from lorapod.datasets.looks.video_container import check_video
from lorapod.datasets.looks.video_look import VideoLook, VideoProbe
from lorapod.errors import WorkerError


@dataclass(frozen=True, kw_only=True)
class ClipsLook:
    """What is known of the clips in a dataset's folder, whether they are trained on or not."""

    entry: DatasetEntry
    #: By name; None: it was not opened.
    clips: Mapping[str, VideoLook | None]
    #: By name: why no trainer can read it, in a sentence.
    faults: Mapping[str, str]

    @property
    def warnings(self) -> Iterator[str]:
        """What a person should know, a sentence for each kind."""
        entry = self.entry
        if entry.num_frames is None or not self.clips:
            return
        if not entry.reads_clips:
            yield frames_advice(self.clips, entry.frame_rule)
            return
        if not entry.auto_frame_count:
            yield from frame_warnings(self.clips, entry.num_frames, entry.frame_rule)
        unknown = [name for name, look in self.clips.items() if look is None]
        if unknown:
            yield f"This worker has neither PyAV nor ffprobe, so it did not look into {listed(unknown)}."


def look_at_clips(entry: DatasetEntry, names: Sequence[str]) -> ClipsLook:
    """Check the first bytes of each clip; open them too once a config is known.

    Args:
        entry: the dataset.
        names: of the clips, relative to its folder.
    """
    faults: dict[str, str] = {}
    for name in names:
        try:
            check_video(entry.folder / name, name=name)
        except WorkerError as error:
            faults[name] = error.message
        except OSError as error:
            faults[name] = f"{name} cannot be read: {error.strerror}."
    whole = [name for name in names if name not in faults]
    clips: dict[str, VideoLook | None] = dict.fromkeys(whole)
    if entry.num_frames is not None and (probe := _probe()) is not None:
        looks = probe.look([entry.folder / name for name in whole])
        clips = {name: looks.get(entry.folder / name) for name in whole}
    for name, look in clips.items():
        if look is not None and look.error:
            faults[name] = f"{name} cannot be opened as a video: {look.error.rstrip('.')}."
    return ClipsLook(entry=entry, clips=clips, faults=faults)


@cache
def _probe() -> VideoProbe | None:
    return VideoProbe.find()
